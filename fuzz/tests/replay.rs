//! Every file of the corpora, as an ordinary test.

use std::fs;
use std::path::Path;

fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is there") {
        let path = entry.expect("the corpus can be read").path();
        // Shown if the test fails.
        println!("{}", path.display());
        target(&fs::read(&path).expect("the file can be read"));
        count += 1;
    }
    assert!(count >= 20, "{} has {count} files", corpus.display());
}

#[test]
fn server_operations_of_the_corpus_hold() {
    replay("server_ops", nats_fuzz::server_ops);
}

#[test]
fn client_operations_of_the_corpus_hold() {
    replay("client_ops", nats_fuzz::client_ops);
}

#[test]
fn header_blocks_of_the_corpus_hold() {
    replay("header_block", nats_fuzz::header_block);
}

#[test]
fn connections_of_the_corpus_hold() {
    replay("connection_ops", nats_fuzz::connection_ops);
}

#[test]
fn sessions_of_the_broker_of_the_corpus_hold() {
    replay("broker_sessions", nats_fuzz::broker_sessions);
}

#[test]
fn contexts_of_the_corpus_hold() {
    replay("context_fields", nats_fuzz::context_fields);
}

#[test]
fn credentials_of_the_corpus_hold() {
    replay("credentials", nats_fuzz::credentials);
}

#[test]
fn texts_for_headers_of_the_corpus_hold() {
    replay("header_text", nats_fuzz::header_text);
}

#[test]
fn introductions_of_the_corpus_hold() {
    replay("info_connect", nats_fuzz::info_connect);
}

#[test]
fn addresses_of_the_corpus_hold() {
    replay("server_addr", nats_fuzz::server_addr);
}

#[test]
fn errors_of_servers_of_the_corpus_hold() {
    replay("server_errors", nats_fuzz::server_errors);
}

#[test]
fn subjects_of_the_corpus_hold() {
    replay("subjects", nats_fuzz::subjects);
}

#[test]
fn answers_to_websockets_of_the_corpus_hold() {
    replay("websocket_answer", nats_fuzz::websocket_answer);
}

#[test]
fn websocket_frames_of_the_corpus_hold() {
    replay("websocket_input", nats_fuzz::websocket_input);
}
