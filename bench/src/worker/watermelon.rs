//! The jobs that `watermelon` can do.
//!
//! Against the toy servers it cannot be measured: it asks the server to confirm each message, which they do not do.
//! It has no way to have room for more than 256 messages in a subscription and drops the others, so whoever counts
//! what it receives would wait for ever. Publishing to a real server and requests are left.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use watermelon::core::Client;
use watermelon::proto::Subject;
use watermelon::proto::headers::{HeaderMap, HeaderName, HeaderValue};

use super::on_tokio::{block_on, sleep, spawn};
use super::{ECHO, SETTLE, SUBJECT, WARM_UP, payload};
use crate::Result;
use crate::job::{Job, Kind, Sample};
use crate::meter::{Memory, Meter};

pub(super) fn run(url: &str, job: &Job) -> Result<Sample> {
    let (url, job) = (url.to_owned(), job.clone());
    block_on(async { spawn(async move { work(&url, &job).await }).await })
}

async fn work(url: &str, job: &Job) -> Result<Sample> {
    match job.kind {
        Kind::Publish => publish(connect(url).await?, job).await,
        Kind::Request => request(connect(url).await?, job).await,
        Kind::Idle | Kind::Subscriptions => memory(url, job).await,
        Kind::Receive | Kind::PubSub | Kind::Kept => Err("watermelon drops messages".into()),
    }
}

async fn connect(url: &str) -> Result<Client> {
    Ok(Client::builder().connect(url.parse()?).await?)
}

fn headers(job: &Job) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if job.headers {
        let name = HeaderName::from_static("Trace-Id");
        headers.insert(name, HeaderValue::from_static("0123456789abcdef"));
    }
    headers
}

async fn publish(client: Client, job: &Job) -> Result<Sample> {
    let (payload, headers) = (payload(job), headers(job));
    let subject = Subject::from_static(SUBJECT);
    let meter = Meter::start();
    for _ in 0..job.messages {
        let message = client.publish(subject.clone());
        // A map that is empty does not allocate when it is cloned.
        message.headers(headers.clone()).payload(payload.clone()).await?;
    }
    // There is no flush. This waits until everything is written and the server has closed the connection, having
    // read it.
    client.close().await;
    Ok(meter.stop(job.messages, Vec::new()))
}

async fn request_some(client: &Client, job: &Job, count: u64) -> Result<Vec<Duration>> {
    let (payload, headers) = (payload(job), headers(job));
    let subject = Subject::from_static(ECHO);
    let mut latencies = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = Instant::now();
        let request = client.request(subject.clone()).headers(headers.clone());
        let reply = request.payload(payload.clone()).await?.await?;
        latencies.push(start.elapsed());
        std::hint::black_box(&reply);
    }
    Ok(latencies)
}

async fn request(client: Client, job: &Job) -> Result<Sample> {
    request_some(&client, job, WARM_UP as u64).await?;
    let count = job.messages / job.tasks as u64;
    let meter = Meter::start();
    let tasks = (0..job.tasks).map(|_| {
        let (client, job) = (client.clone(), job.clone());
        spawn(async move { request_some(&client, &job, count).await })
    });
    let latencies = join_all(tasks).await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(meter.stop(count * job.tasks as u64, latencies.concat()))
}

async fn memory(url: &str, job: &Job) -> Result<Sample> {
    sleep(SETTLE).await;
    let mut before = Memory::now();
    let client = connect(url).await?;
    sleep(SETTLE).await;
    let mut units = 1;
    let mut subscriptions = Vec::new();
    if job.kind == Kind::Subscriptions {
        units = job.messages;
        before = Memory::now();
        // The handles are part of what a subscription takes.
        subscriptions.reserve_exact(units as usize);
        for n in 0..units {
            let subject: Subject = format!("{SUBJECT}.{n}").parse()?;
            subscriptions.push(client.subscribe(subject, None).await?);
        }
        sleep(SETTLE).await;
    }
    let memory = Some(Memory::now().since(before, units));
    drop((subscriptions, client));
    Ok(Sample { messages: units, memory, ..Sample::default() })
}
