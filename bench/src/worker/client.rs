//! The jobs, written once and compiled for each client that has the names of `async-nats`.

/// A module `$module` that does any job with the crate `$nats` on `$runtime`.
macro_rules! client {
    ($module:ident, $nats:ident, $runtime:path, $options:path) => {
        mod $module {
            use std::time::{Duration, Instant};

            use futures_util::StreamExt;
            use futures_util::future::join_all;
            use $nats::{Client, HeaderMap, Subscriber};
            use $runtime::{block_on, sleep, spawn};

            use super::{ECHO, IDLE, Job, Kind, Result, SETTLE, SUBJECT, Sample, WARM_UP, payload};
            use crate::job::KEEP_ONE_OF;
            use crate::meter::{Memory, Meter};
            use crate::tls;

            pub(super) fn run(url: &str, job: &Job) -> Result<Sample> {
                let (url, job) = (url.to_owned(), job.clone());
                block_on(async {
                    // On the runtime's own threads, as in a real program.
                    spawn(async move { work(&url, &job).await }).await
                })
            }

            async fn work(url: &str, job: &Job) -> Result<Sample> {
                if job.kind.is_memory() && job.kind != Kind::Kept {
                    return memory(url, job).await;
                }
                // Room for everything: what is dropped would be measured as time, and never counted.
                let capacity = job.messages as usize + 1;
                let mut options = $nats::ConnectOptions::new().subscription_capacity(capacity);
                if let Some(root) = tls::root() {
                    options = options.add_root_certificates(root).require_tls(true);
                }
                let client = $options(options).connect(url).await?;
                match job.kind {
                    Kind::Publish => publish(client, job).await,
                    Kind::PubSub => pub_sub(client, job).await,
                    Kind::Request => request(client, job).await,
                    Kind::Kept => kept(client, job).await,
                    _ => receive(client, job).await,
                }
            }

            fn headers(job: &Job) -> Option<HeaderMap> {
                job.headers.then(|| {
                    let mut headers = HeaderMap::new();
                    headers.insert("Trace-Id", "0123456789abcdef");
                    headers
                })
            }

            async fn publish_some(client: &Client, job: &Job, count: u64) -> Result<()> {
                let (payload, headers) = (payload(job), headers(job));
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
                let count = job.messages / job.tasks as u64;
                let meter = Meter::start();
                if job.tasks == 1 {
                    publish_some(&client, job, count).await?;
                } else {
                    let tasks = (0..job.tasks).map(|_| {
                        let (client, job) = (client.clone(), job.clone());
                        spawn(async move { publish_some(&client, &job, count).await })
                    });
                    join_all(tasks).await.into_iter().collect::<Result<()>>()?;
                }
                client.flush().await?;
                Ok(meter.stop(count * job.tasks as u64, Vec::new()))
            }

            async fn receive_some(messages: &mut Subscriber, count: u64) -> Result<()> {
                let mut left = count;
                while left > 0
                    && let Some(message) = messages.next().await
                {
                    std::hint::black_box(&message);
                    left -= 1;
                }
                if left > 0 { Err("the subscription has ended".into()) } else { Ok(()) }
            }

            /// The flood begins with the last subscription, and with a message to that.
            async fn receive(client: Client, job: &Job) -> Result<Sample> {
                let count = job.messages / job.subscriptions as u64;
                let mut idle = Vec::new();
                for n in 0..job.idle_subscriptions {
                    idle.push(client.subscribe(format!("{IDLE}.{n}")).await?);
                }
                let mut others = Vec::new();
                for n in 1..job.subscriptions {
                    let mut messages = client.subscribe(format!("{SUBJECT}.{n}")).await?;
                    others.push(spawn(async move { receive_some(&mut messages, count).await }));
                }
                let mut messages = client.subscribe(SUBJECT).await?;
                // The first message starts the clock: connecting is not measured.
                receive_some(&mut messages, 1).await?;
                let meter = Meter::start();
                receive_some(&mut messages, count).await?;
                join_all(others).await.into_iter().collect::<Result<()>>()?;
                let sample = meter.stop(count * job.subscriptions as u64, Vec::new());
                drop(idle);
                Ok(sample)
            }

            async fn pub_sub(client: Client, job: &Job) -> Result<Sample> {
                let mut messages = client.subscribe(SUBJECT).await?;
                client.flush().await?;
                let meter = Meter::start();
                let publisher = {
                    let (client, job) = (client.clone(), job.clone());
                    spawn(async move {
                        publish_some(&client, &job, job.messages).await?;
                        client.flush().await?;
                        Result::Ok(())
                    })
                };
                receive_some(&mut messages, job.messages).await?;
                publisher.await?;
                Ok(meter.stop(job.messages, Vec::new()))
            }

            async fn request_some(client: &Client, job: &Job, count: u64) -> Result<Vec<Duration>> {
                let (payload, headers) = (payload(job), headers(job));
                let mut latencies = Vec::with_capacity(count as usize);
                for _ in 0..count {
                    let start = Instant::now();
                    let payload = payload.clone();
                    let reply = match &headers {
                        None => client.request(ECHO, payload).await?,
                        Some(headers) => {
                            client.request_with_headers(ECHO, headers.clone(), payload).await?
                        }
                    };
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

            /// Memory of an idle client, or of its subscriptions, with the defaults of a program.
            async fn memory(url: &str, job: &Job) -> Result<Sample> {
                // What the runtime takes for its threads and timers is not the client's.
                sleep(SETTLE).await;
                let mut before = Memory::now();
                let client = $nats::ConnectOptions::new().connect(url).await?;
                client.flush().await?;
                sleep(SETTLE).await;
                let mut units = 1;
                let mut subscribers = Vec::new();
                if job.kind == Kind::Subscriptions {
                    units = job.messages;
                    before = Memory::now();
                    // The handles are part of what a subscription takes.
                    subscribers.reserve_exact(units as usize);
                    for n in 0..units {
                        subscribers.push(client.subscribe(format!("{SUBJECT}.{n}")).await?);
                    }
                    client.flush().await?;
                    sleep(SETTLE).await;
                }
                let memory = Some(Memory::now().since(before, units));
                drop(subscribers);
                Ok(Sample { messages: units, memory, ..Sample::default() })
            }

            /// What the kept messages hold is what becomes free with them.
            async fn kept(client: Client, job: &Job) -> Result<Sample> {
                let units = job.messages / KEEP_ONE_OF;
                let mut kept = Vec::with_capacity(units as usize);
                let before = Memory::now();
                let mut messages = client.subscribe(SUBJECT).await?;
                receive_some(&mut messages, 1).await?;
                for n in 0..job.messages {
                    let message = messages.next().await.ok_or("the subscription has ended")?;
                    if n % KEEP_ONE_OF == 0 {
                        kept.push(message);
                    }
                }
                sleep(SETTLE).await;
                let with = Memory::now();
                drop(kept);
                let mut memory = with.since(before, units);
                memory.heap = with.since(Memory::now(), units).heap;
                Ok(Sample { messages: job.messages, memory: Some(memory), ..Sample::default() })
            }
        }
    };
}
