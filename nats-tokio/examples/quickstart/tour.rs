//! The tour. `nats` is `nats_tokio` or `nats_async_std`: the two have the same names.

use std::process::ExitCode;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::StreamExt;
use futures_util::future::try_join;

use super::nats;
use super::server::Server;

const HELP: &str = "\
Shows what NATS does: publish and subscribe, queue groups, headers, requests, a reconnect, a drain.

usage: quickstart [[--url] nats://host:port]

Without an address, NATS_URL in the environment says where the server is. Without that as well, a broker
is started inside of this program, and nothing needs to be installed.";

pub(crate) async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let url = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => std::env::var("NATS_URL").ok().filter(|url| !url.is_empty()),
        (Some("--url"), Some(url), None) => Some(url),
        (Some(url), None, None) if !url.starts_with('-') => Some(url.to_owned()),
        (Some("--help" | "-h"), None, None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    let embedded = url.is_none();
    match tour(url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe tour ends here: {error}");
            if !embedded {
                eprintln!("Without an address and NATS_URL, it starts a broker of its own.");
            }
            ExitCode::FAILURE
        }
    }
}

pub(crate) async fn tour(url: Option<String>) -> Result<(), nats::Error> {
    let mut server = match url {
        Some(url) => Server::Real(url),
        None => Server::embedded().await?,
    };

    println!("1. Connect");
    let (client, mut events) = connect(&server).await?;
    let info = client.server_info();
    println!("   connected to {} (version {})", info.server_name, info.version);
    // Others may be on the same server: all subjects of this run begin with something that nobody else has.
    let run = client.new_inbox().replace("_INBOX", "quickstart");
    println!("   all subjects of this run begin with {run}");

    println!("\n2. Publish and subscribe: `*` stands for one part of a subject");
    let mut orders = client.subscribe(format!("{run}.orders.*")).await?;
    client.publish(format!("{run}.orders.eu"), "two apples".into()).await?;
    client.publish(format!("{run}.orders.us"), "a melon".into()).await?;
    for _ in 0..2 {
        let order = next(&mut orders).await?;
        println!("   {} got {:?}", &order.subject[run.len() + 1..], text(&order));
    }

    println!("\n3. Queue group: each job goes to one of the workers");
    let jobs = format!("{run}.jobs");
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(client.queue_subscribe(jobs.clone(), "workers".into()).await?);
    }
    for job in 1..=8 {
        client.publish(jobs.clone(), job.to_string().into()).await?;
    }
    for (number, mut worker) in workers.into_iter().enumerate() {
        // Ends the subscription, but only after all that is on its way has come.
        worker.drain().await?;
        let done: Vec<String> = worker.map(|job| text(&job)).collect().await;
        println!("   worker {} did jobs {}", number + 1, done.join(", "));
    }

    println!("\n4. Headers: what is said about a message, beside its payload");
    let mut headers = nats::HeaderMap::new();
    headers.insert("Priority", "high");
    client.publish_with_headers(format!("{run}.orders.eu"), headers, "a pear".into()).await?;
    let order = next(&mut orders).await?;
    let priority = order.headers.as_ref().and_then(|headers| headers.get("Priority"));
    println!(
        "   {:?} has Priority: {}",
        text(&order),
        priority.map_or("none", |value| value.as_str())
    );

    println!("\n5. Request and reply");
    let mut requests = client.subscribe(format!("{run}.greet")).await?;
    let asking = async { Ok(client.request(format!("{run}.greet"), "Ann".into()).await?) };
    let answering = async {
        let request = next(&mut requests).await?;
        let reply = request.reply.clone().ok_or("a request without a reply subject")?;
        client.publish(reply, format!("hello {}", text(&request)).into()).await?;
        Ok::<(), nats::Error>(())
    };
    let (reply, ()) = try_join(asking, answering).await?;
    println!("   asked as Ann, was answered {:?}", text(&reply));

    println!("\n6. Nobody there: one is told at once instead of waiting for a timeout");
    match client.request(format!("{run}.nobody"), "hello?".into()).await {
        Err(error) if error.kind() == nats::RequestErrorKind::NoResponders => {
            println!("   the answer is {:?}", error.kind().to_string());
        }
        other => return Err(format!("expected \"no responders\", got {other:?}").into()),
    }

    println!("\n7. Reconnect: subscriptions come back, and what is published meanwhile is kept");
    // After a flush the server has everything: nothing is on its way when the link breaks.
    client.flush().await?;
    server = server.break_link(&client).await?;
    until(&mut events, nats::Event::Disconnected).await?;
    for fruit in ["a plum", "a fig", "a quince"] {
        client.publish(format!("{run}.orders.eu"), fruit.into()).await?;
    }
    println!("   the link is broken; published 3 orders");
    server = server.come_back().await?;
    until(&mut events, nats::Event::Connected).await?;
    for _ in 0..3 {
        println!("   after the reconnect got {:?}", text(&next(&mut orders).await?));
    }

    println!("\n8. Drain: everything on its way arrives, then the client closes");
    client.publish(format!("{run}.orders.us"), "the last melon".into()).await?;
    client.drain().await?;
    let rest: Vec<String> = orders.map(|order| text(&order)).collect().await;
    client.closed().await;
    let account = client.delivery_statistics();
    println!("   got {rest:?}, and the subscription has ended");
    println!(
        "   of {} messages, the server has confirmed {}; {} are uncertain, {} were dropped",
        account.published, account.confirmed, account.uncertain, account.dropped
    );
    // An embedded broker has lived up to here.
    drop(server);
    Ok(())
}

/// A client, and what happens to it.
async fn connect(
    server: &Server,
) -> Result<(nats::Client, UnboundedReceiver<nats::Event>), nats::ConnectError> {
    let (sender, events) = unbounded();
    let client = nats::ConnectOptions::new()
        .name("quickstart")
        .reconnect_wait(Duration::from_millis(100))
        .event_callback(move |event| {
            // Who does not listen any more has seen enough.
            let _ = sender.unbounded_send(event);
            async {}
        })
        .connect(server.url())
        .await?;
    Ok((client, events))
}

/// Waits for an event.
async fn until(
    events: &mut UnboundedReceiver<nats::Event>,
    wanted: nats::Event,
) -> Result<(), nats::Error> {
    while let Some(event) = events.next().await {
        if event == wanted {
            return Ok(());
        }
    }
    Err("the client has closed".into())
}

/// The next message of a subscription.
async fn next(subscriber: &mut nats::Subscriber) -> Result<nats::Message, nats::Error> {
    let message = subscriber.next().await;
    message
        .ok_or_else(|| format!("the subscription has ended: {:?}", subscriber.end_reason()).into())
}

fn text(message: &nats::Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}
