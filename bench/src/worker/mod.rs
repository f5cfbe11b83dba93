//! One client at one job, in a process of its own.

#[macro_use]
mod client;
mod watermelon;

use std::convert::identity;
use std::io::BufRead;
use std::time::Duration;

use bytes::Bytes;

use crate::job::{Client, Job, Kind, Sample};
use crate::{Result, blocking, meter};

/// What is published to and subscribed to.
pub(crate) const SUBJECT: &str = "bench.subject";
/// The beginning of subjects to which nothing comes.
pub(crate) const IDLE: &str = "bench.idle";
/// Where the responder listens.
pub(crate) const ECHO: &str = "bench.echo";
/// Requests before the clock starts.
pub(crate) const WARM_UP: usize = 100;
/// How long it takes until a runtime or a client has done by itself what there is to do.
const SETTLE: Duration = Duration::from_millis(200);

client!(ours_tokio, nats_tokio, super::on_tokio, super::unlimited);
client!(ours_async_std, nats_async_std, super::on_async_std, super::unlimited);
client!(peer, async_nats, super::on_tokio, super::identity);

/// What the clients need of tokio.
mod on_tokio {
    use super::Result;

    pub(super) use tokio::time::sleep;

    /// Begins at once, as async-std's does.
    pub(super) fn spawn<T: Send + 'static>(
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send {
        let task = tokio::spawn(future);
        async move { task.await? }
    }

    pub(super) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
    }
}

/// What the clients need of async-std.
mod on_async_std {
    pub(super) use async_std::task::{block_on, sleep, spawn};
}

/// Ours limit the bytes that wait for a subscriber as well.
fn unlimited<R: nats_client::Runtime>(
    options: nats_client::ConnectOptions<R>,
) -> nats_client::ConnectOptions<R> {
    options.subscription_byte_capacity(usize::MAX)
}

/// Lives for ever: reference counts of the payload are the caller's cost, not the client's.
fn payload(job: &Job) -> Bytes {
    Bytes::from_static(vec![b'x'; job.payload].leak())
}

pub(crate) fn main(mut args: impl Iterator<Item = String>) -> Result<()> {
    let (client, url, job) = (args.next(), args.next(), args.next());
    let client: Client = serde_json::from_str(&client.ok_or("no client")?)?;
    let job: Job = serde_json::from_str(&job.ok_or("no job")?)?;
    let url = url.ok_or("no url")?;
    if job.traced {
        // All threads come after this: whoever traces sees them come.
        std::io::stdin().lock().read_line(&mut String::new())?;
        meter::set_traced();
    }
    let sample = match client {
        Client::Tokio => ours_tokio::run(&url, &job)?,
        Client::AsyncStd => ours_async_std::run(&url, &job)?,
        Client::AsyncNats => peer::run(&url, &job)?,
        Client::Watermelon => watermelon::run(&url, &job)?,
        Client::Floor => blocking::run(&url, &job)?,
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
