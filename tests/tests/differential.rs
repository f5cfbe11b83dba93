//! The broker behaves as the real server does: the same scripts, with the same expected bytes, on both releases of
//! `nats-server` over TCP and on the broker's core in memory. (The broker's own tests run them over TCP as well, and cut
//! into pieces.)
//!
//! What may differ is marked in the scripts, line by line, each with its reason: see `script.rs`.

#[path = "../../nats-broker/tests/support/mod.rs"]
#[allow(unreachable_pub)]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use nats_tests::server::{Auth, Options, RealServer, Release, TestServer};
use support::memory::Memory;
use support::script::Script;
use support::tcp::{Server, Tcp};

fn options(script: &Script) -> Options {
    let mut options = Options::default();
    for (name, value) in &script.options {
        let number = || value.parse().expect("a number");
        match name.as_str() {
            "token" => options.auth = Auth::Token(value.clone()),
            "user" => {
                let (user, password) = value.split_once(':').expect("user:password");
                options.auth =
                    Auth::UserPassword { user: user.to_owned(), password: password.to_owned() };
            }
            "max_payload" => options.max_payload = Some(number()),
            "max_control_line" => options.max_control_line = Some(number()),
            "ping_interval" => {
                let millis = value.parse().expect("a number of milliseconds");
                options.ping_interval = Some(Duration::from_millis(millis));
            }
            "ping_max" => options.ping_max = Some(value.parse().expect("a number")),
            "own_server" => {}
            // What is left has the name that it has in a server's configuration file.
            name => options = options.extra(&format!("{name}: {value}")),
        }
    }
    options
}

/// A real server, and the names of its release in scripts.
struct Real(RealServer, &'static [&'static str]);

impl Server for Real {
    fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    fn is(&self, name: &str) -> bool {
        name == "nats-server" || self.1.contains(&name)
    }

    fn lame_duck(&mut self) {
        self.0.lame_duck();
    }
}

/// Runs the scripts of a release, those with the same options on one server, and says what was different.
fn differences(release: Release, names: &'static [&'static str]) -> Vec<String> {
    let mut by_options: BTreeMap<Vec<(String, String)>, Vec<Script>> = BTreeMap::new();
    for script in support::scripts() {
        by_options.entry(script.options.clone()).or_default().push(script);
    }
    let mut failures = Vec::new();
    for scripts in by_options.values() {
        let mut server = Real(RealServer::start(release, &options(&scripts[0])), names);
        let failed =
            scripts.iter().filter_map(|script| script.run(&mut Tcp::new(&mut server)).err());
        failures.extend(failed);
    }
    failures
}

fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_script_gives_the_same_on_the_newest_server() {
    assert_none(&differences(Release::V2_15, &["new", "2.15"]));
}

#[test]
fn every_script_gives_the_same_on_an_old_server() {
    assert_none(&differences(Release::V2_10, &["2.10"]));
}

#[test]
fn every_script_gives_the_same_on_the_broker() {
    let scripts = support::scripts();
    let marked = scripts.iter().filter(|script| !script.because.is_empty()).count();
    println!("{} scripts, {marked} of them with a difference that has a reason", scripts.len());
    assert!(scripts.len() - marked >= 100, "only {} scripts without a difference", scripts.len());
    let run = |script: &Script| script.run(&mut Memory::for_script(script, usize::MAX)).err();
    assert_none(&scripts.iter().filter_map(run).collect::<Vec<_>>());
}
