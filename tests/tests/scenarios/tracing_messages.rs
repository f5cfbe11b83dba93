//! Messages whose headers ask the servers to tell of their way (ADR-41).

use nats_client::{HeaderMap, header};
use nats_tests::server::{Options, RealServer, Release, TestServer};

use crate::support::{Env, Rt, is_silent, next, text};

pub(crate) async fn servers_tell_where_a_message_would_go<R: Rt>(env: Env<R, Release>) {
    let server = RealServer::start(env.kind, &Options::new());
    let client = env.options().connect(server.url()).await.unwrap();
    let mut orders = client.subscribe("orders.*").await.unwrap();
    let inbox = client.new_inbox();
    let mut traces = client.subscribe(inbox.clone()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_TRACE_DEST, inbox.as_str());
    headers.insert(header::NATS_TRACE_ONLY, "true");
    client.publish_with_headers("orders.eu", headers, "two apples".into()).await.unwrap();
    // Servers before 2.11 take these headers for any others.
    if !client.is_server_compatible(2, 11, 0) {
        assert_eq!(text(&next(&mut orders).await), "two apples");
        client.flush().await.unwrap();
        assert!(is_silent(&mut traces));
        return;
    }
    let trace: serde_json::Value = serde_json::from_str(&text(&next(&mut traces).await)).unwrap();
    let events: Vec<(&str, &str)> = trace["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| Some((event["type"].as_str()?, event["subj"].as_str()?)))
        .collect();
    assert!(events.contains(&("in", "orders.eu")), "{trace}");
    assert_eq!(trace["server"]["name"], client.server_info().server_name);
    client.flush().await.unwrap();
    assert!(is_silent(&mut orders));
}
