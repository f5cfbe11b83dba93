//! What the figures were measured on, and with what.

use std::fs::read_to_string;
use std::process::Command;

use serde::Serialize;

use crate::process::nats_server;

/// Empty where it cannot be found out.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    date: String,
    processor: String,
    cores: usize,
    kernel: String,
    rustc: String,
    nats_server: String,
    /// The peers, as they are in the lock file.
    async_nats: String,
    watermelon: String,
}

impl Machine {
    pub(super) fn this() -> Self {
        let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map_or("", |(_, model)| model);
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let server = nats_server().map(|path| said(Command::new(path).arg("--version")));
        Self {
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            processor: model.trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: format!("{} {}", std::env::consts::OS, kernel.trim()),
            rustc: said(Command::new("rustc").arg("--version")),
            nats_server: server.unwrap_or_default(),
            async_nats: locked("async-nats"),
            watermelon: locked("watermelon"),
        }
    }

    pub(super) fn line(&self) -> String {
        let Self { date, processor, cores, kernel, rustc, nats_server, async_nats, watermelon } =
            self;
        let peers = format!("async-nats {async_nats}, watermelon {watermelon}");
        format!("{date}: {processor}, {cores} cores; {kernel}; {rustc}; {nats_server}; {peers}.")
    }
}

/// What a command prints.
fn said(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The version of a dependency.
fn locked(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = include_str!("../../../Cargo.lock").lines();
    lines.find(|line| *line == name);
    let version = lines.next().and_then(|line| line.split('"').nth(1));
    version.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_lock_file() {
        assert!(locked("async-nats").starts_with("0."), "{}", locked("async-nats"));
        assert_eq!(locked("no-such-crate"), "");
    }
}
