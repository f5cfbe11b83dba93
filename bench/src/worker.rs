//! One client at one job, in a process of its own.

use crate::job::{Client, Job, Kind, Sample};
use crate::meter::Meter;
use crate::{Result, blocking};

/// What is published to and subscribed to.
pub(crate) const SUBJECT: &str = "bench.subject";
/// Where the responder listens.
pub(crate) const ECHO: &str = "bench.echo";

/// Written once, compiled for each client: they have the same names.
macro_rules! client {
    ($module:ident, $nats:ident, $spawn:path, $block_on:path, $options:expr) => {
        mod $module {
            use std::time::{Duration, Instant};

            use bytes::Bytes;
            use futures_util::StreamExt;
            use futures_util::future::join_all;
            use $nats::{Client, HeaderMap};

            use super::{ECHO, Job, Kind, Meter, Result, SUBJECT, Sample};

            pub(super) fn run(url: &str, job: &Job) -> Result<Sample> {
                $block_on(async {
                    // Room for everything: what is dropped would be measured as time, and never counted.
                    let capacity = job.messages as usize + 1;
                    let options = $nats::ConnectOptions::new().subscription_capacity(capacity);
                    let client = $options(options).connect(url).await?;
                    let job = job.clone();
                    let work = async move {
                        match job.kind {
                            Kind::Publish => publish(client, &job).await,
                            Kind::Receive => receive(client, &job).await,
                            Kind::PubSub => pub_sub(client, &job).await,
                            Kind::Request => request(client, &job).await,
                        }
                    };
                    // On the runtime's own threads, as in a real program.
                    $spawn(work).await
                })
            }

            fn message(job: &Job) -> (Bytes, Option<HeaderMap>) {
                let headers = job.headers.then(|| {
                    let mut headers = HeaderMap::new();
                    headers.insert("Trace-Id", "0123456789abcdef");
                    headers
                });
                // Lives for ever: reference counts of the payload are the caller's cost, not the client's.
                (Bytes::from_static(vec![b'x'; job.payload].leak()), headers)
            }

            async fn publish_some(client: &Client, job: &Job, count: u64) -> Result<()> {
                let (payload, headers) = message(job);
                for _ in 0..count {
                    match &headers {
                        None => client.publish(SUBJECT, payload.clone()).await?,
                        Some(headers) => {
                            let headers = headers.clone();
                            client.publish_with_headers(SUBJECT, headers, payload.clone()).await?;
                        }
                    }
                }
                Ok(())
            }

            async fn publish(client: Client, job: &Job) -> Result<Sample> {
                client.flush().await?;
                let meter = Meter::start();
                if job.tasks == 1 {
                    publish_some(&client, job, job.messages).await?;
                } else {
                    let tasks = (0..job.tasks).map(|_| {
                        let (client, job) = (client.clone(), job.clone());
                        let count = job.messages / job.tasks as u64;
                        $spawn(async move { publish_some(&client, &job, count).await })
                    });
                    join_all(tasks).await.into_iter().collect::<Result<()>>()?;
                }
                client.flush().await?;
                Ok(meter.stop(job.messages, Vec::new()))
            }

            async fn receive(client: Client, job: &Job) -> Result<Sample> {
                let mut messages = client.subscribe(SUBJECT).await?;
                // The first message starts the clock: connecting is not measured.
                messages.next().await.ok_or("the subscription has ended")?;
                let meter = Meter::start();
                for _ in 0..job.messages {
                    let message = messages.next().await.ok_or("the subscription has ended")?;
                    std::hint::black_box(&message);
                }
                Ok(meter.stop(job.messages, Vec::new()))
            }

            async fn pub_sub(client: Client, job: &Job) -> Result<Sample> {
                let mut messages = client.subscribe(SUBJECT).await?;
                client.flush().await?;
                let meter = Meter::start();
                let publisher = {
                    let (client, job) = (client.clone(), job.clone());
                    $spawn(async move {
                        publish_some(&client, &job, job.messages).await?;
                        client.flush().await?;
                        Result::Ok(())
                    })
                };
                for _ in 0..job.messages {
                    let message = messages.next().await.ok_or("the subscription has ended")?;
                    std::hint::black_box(&message);
                }
                publisher.await?;
                Ok(meter.stop(job.messages, Vec::new()))
            }

            async fn request(client: Client, job: &Job) -> Result<Sample> {
                let (payload, _) = message(job);
                for _ in 0..100 {
                    client.request(ECHO, payload.clone()).await?;
                }
                let meter = Meter::start();
                let count = job.messages / job.tasks as u64;
                let tasks = (0..job.tasks).map(|_| {
                    let (client, payload) = (client.clone(), payload.clone());
                    $spawn(async move {
                        let mut latencies: Vec<Duration> = Vec::with_capacity(count as usize);
                        for _ in 0..count {
                            let start = Instant::now();
                            client.request(ECHO, payload.clone()).await?;
                            latencies.push(start.elapsed());
                        }
                        Result::Ok(latencies)
                    })
                });
                let latencies = join_all(tasks).await.into_iter().collect::<Result<Vec<_>>>()?;
                Ok(meter.stop(count * job.tasks as u64, latencies.concat()))
            }
        }
    };
}

/// Begins at once, as async-std's does.
fn tokio_spawn<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> impl Future<Output = Result<T>> + Send {
    let task = tokio::spawn(future);
    async move { task.await? }
}

fn tokio_block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

/// Ours limit the bytes that wait for a subscriber as well.
fn unlimited<R: nats_client::Runtime>(
    options: nats_client::ConnectOptions<R>,
) -> nats_client::ConnectOptions<R> {
    options.subscription_byte_capacity(usize::MAX).send_buffer_limit(
        std::env::var("WB").ok().and_then(|v| v.parse().ok()).unwrap_or(128 << 10),
    )
}

use std::convert::identity;

client!(ours_tokio, nats_tokio, super::tokio_spawn, super::tokio_block_on, super::unlimited);
client!(
    ours_async_std,
    nats_async_std,
    async_std::task::spawn,
    async_std::task::block_on,
    super::unlimited
);
client!(peer, async_nats, super::tokio_spawn, super::tokio_block_on, super::identity);

pub(crate) fn main(mut args: impl Iterator<Item = String>) -> Result<()> {
    let (client, url, job) = (args.next(), args.next(), args.next());
    let client: Client = serde_json::from_str(&client.ok_or("no client")?)?;
    let job: Job = serde_json::from_str(&job.ok_or("no job")?)?;
    let url = url.ok_or("no url")?;
    let sample = match client {
        Client::Tokio => ours_tokio::run(&url, &job)?,
        Client::AsyncStd => ours_async_std::run(&url, &job)?,
        Client::AsyncNats => peer::run(&url, &job)?,
        Client::Floor => blocking::run(&url, &job)?,
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
