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
