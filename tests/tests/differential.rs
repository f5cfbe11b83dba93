//! The broker behaves as the real server does: the scripts that the broker passes byte by byte in memory are
//! run here on `nats-server` over TCP, with the same expectations.

#[path = "../../nats-broker/tests/support/script.rs"]
#[allow(dead_code, unreachable_pub)]
mod script;
#[path = "../../nats-broker/tests/support/tcp.rs"]
mod tcp;

use std::collections::BTreeMap;

use nats_tests::server::{Auth, Options, RealServer, Release, TestServer};
use script::Script;
use tcp::Tcp;

const SCRIPTS: [&str; 4] = [
    include_str!("../../nats-broker/tests/scripts/connecting.txt"),
    include_str!("../../nats-broker/tests/scripts/publishing.txt"),
    include_str!("../../nats-broker/tests/scripts/headers.txt"),
    include_str!("../../nats-broker/tests/scripts/violations.txt"),
];

fn options(script: &Script) -> Options {
    let mut options = Options::default();
    for (name, value) in &script.options {
        match name.as_str() {
            "token" => options.auth = Auth::Token(value.clone()),
            "user" => {
                let (user, password) = value.split_once(':').expect("user:password");
                options.auth =
                    Auth::UserPassword { user: user.to_owned(), password: password.to_owned() };
            }
            "max_payload" => options.max_payload = Some(value.parse().expect("a number")),
            // What is left has the name that it has in a server's configuration file.
            name => options = options.extra(&format!("{name}: {value}")),
        }
    }
    options
}

#[test]
fn every_script_gives_the_same_on_the_real_server() {
    let mut by_options: BTreeMap<Vec<(String, String)>, Vec<Script>> = BTreeMap::new();
    for script in SCRIPTS.into_iter().flat_map(script::parse) {
        by_options.entry(script.options.clone()).or_default().push(script);
    }
    let mut failures = Vec::new();
    let mut count = 0;
    for scripts in by_options.values() {
        let server = RealServer::start(Release::V2_15, &options(&scripts[0]));
        for script in scripts {
            count += 1;
            failures.extend(script.run(&mut Tcp::new(server.addr())).err());
        }
    }
    assert!(count >= 100, "only {count} scripts");
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}
