//! What a flush proves.

use nats_client::FlushErrorKind;
use nats_tests::server::RawConnection;

use crate::support::{Env, Rt, publish_numbers};

pub(crate) async fn after_a_flush_the_server_has_everything<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    let mut witness = RawConnection::ready(server.addr());
    witness.send(b"SUB proof 1\r\n");
    witness.round_trip();
    client.publish("proof", "seen".into()).await.unwrap();
    client.flush().await.unwrap();
    // Had the server not had the message when the flush ended, this PONG could come before it.
    witness.send(b"PING\r\n");
    witness.expect_line("MSG proof 1 4");
    witness.expect_line("seen");
    witness.expect_line("PONG");
}

pub(crate) async fn a_flush_confirms_every_publish<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    for round in 1..=10 {
        publish_numbers(&client, "nowhere", 0..100).await;
        client.flush().await.unwrap();
        let statistics = client.delivery_statistics();
        assert_eq!(statistics.published, round * 100);
        assert_eq!(statistics.confirmed, round * 100);
        assert_eq!((statistics.pending, statistics.uncertain, statistics.dropped), (0, 0, 0));
    }
}

pub(crate) async fn the_first_flush_needs_no_publish<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    // Many at a time, each with an answer of its own.
    let flushes = (0..20).map(|_| client.flush());
    for result in futures_util::future::join_all(flushes).await {
        result.unwrap();
    }
}

pub(crate) async fn a_closed_client_cannot_flush<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    client.close().await;
    assert_eq!(client.flush().await.unwrap_err().kind(), FlushErrorKind::SendError);
}

pub(crate) async fn the_time_of_a_round_trip_is_measured<R: Rt>(env: Env<R>) {
    let server = env.start();
    let client = env.connect(&*server).await;
    assert!(client.rtt().await.unwrap() > std::time::Duration::ZERO);
    client.close().await;
    assert!(client.rtt().await.is_err());
}
