//! The program runs, on the embedded broker.

use async_nats::Tokio;
use nats_broker::{Config, ServerHandle, serve};

async fn broker() -> ServerHandle {
    serve::<Tokio>(Config::default()).await.unwrap()
}

#[tokio::test]
async fn a_program_written_for_async_nats_publishes_and_subscribes() {
    let broker = broker().await;
    assert_eq!(nats_drop_in::publish_and_subscribe(&broker.url()).await.unwrap(), 10);
    let client = async_nats::connect(broker.url()).await.unwrap();
    assert_eq!(
        nats_drop_in::subjects(&client).await.unwrap(),
        ["typed.str", "typed.string", "typed.format", "typed.subject"]
    );
    nats_drop_in::headers(&client).await.unwrap();
    nats_drop_in::interfaces(client).await.unwrap();
}

#[tokio::test]
async fn a_program_written_for_async_nats_asks_and_is_told_what_is_wrong() {
    let broker = broker().await;
    let client = async_nats::connect(broker.url()).await.unwrap();
    assert_eq!(nats_drop_in::requests(&client).await.unwrap(), ["plain", "headers", "built"]);
    nats_drop_in::errors(&client, &broker.url()).await.unwrap();
}

#[tokio::test]
async fn a_program_written_for_async_nats_sets_its_options_and_sees_events() {
    let broker = broker().await;
    // Connected, disconnected, connected, closed; and perhaps disconnected before the end.
    assert!(nats_drop_in::options(&broker.url()).await.unwrap() >= 4);
}

#[tokio::test]
async fn every_name_of_async_nats_is_there_on_tokio() {
    use nats_drop_in::on_tokio as names;
    names::types();
    names::values().unwrap();
    names::addresses().await.unwrap();
    names::options().await.unwrap();
    for (name, text) in names::header_constants() {
        assert_eq!(name.to_string(), text);
    }
    let introduction = names::introduction();
    assert!(!format!("{introduction:?}").contains("canary"));
    let json = serde_json::to_value(introduction).unwrap();
    assert_eq!((&json["sig"], &json["protocol"]), (&"canary".into(), &1.into()));
    let broker = broker().await;
    names::methods(names::way_in(&broker.url()).await.unwrap()).await.unwrap();
}

#[test]
fn every_name_of_async_nats_is_there_on_async_std() {
    use nats_drop_in::on_async_std as names;
    async_std::task::block_on(async {
        names::types();
        names::values().unwrap();
        names::addresses().await.unwrap();
        names::options().await.unwrap();
        let broker = serve::<nats_async_std::AsyncStd>(Config::default()).await.unwrap();
        names::methods(names::way_in(&broker.url()).await.unwrap()).await.unwrap();
    });
}
