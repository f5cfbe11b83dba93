//! Which address of a server is tried.

use std::time::Instant;

use super::rig::Rig;
use crate::testing::{FakeServer, options};

/// Where the order is kept: a random one would come to the second address some time.
#[test]
fn an_address_that_takes_connections_and_does_not_speak_gives_way_to_the_next() {
    let (mute, other) = (FakeServer::new(), FakeServer::new());
    let url = FakeServer::url_of_all(&[&mute, &other]);
    let options = options().retain_servers_order().retry_on_initial_connect();
    let rig = Rig::with_url(options, Instant::now, &url, other);
    rig.drive();
    // It need not be the time that is over.
    drop(mute.accept());
    rig.drive();
    assert!(mute.is_left_alone(), "it is tried again");
    rig.connect();
}

/// ADR-11: the addresses of one name share the load.
#[test]
fn which_address_of_a_name_a_client_begins_with_is_left_to_chance() {
    let begins_with_the_second = |seed: u8| {
        let (one, other) = (FakeServer::new(), FakeServer::new());
        let url = FakeServer::url_of_all(&[&one, &other]);
        let rig = Rig::with_seed(options(), Instant::now, &url, other, [seed; 32]);
        rig.drive();
        one.is_left_alone()
    };
    let seconds = (0..16).filter(|seed| begins_with_the_second(*seed)).count();
    assert!((1..16).contains(&seconds), "{seconds} of 16");
}
