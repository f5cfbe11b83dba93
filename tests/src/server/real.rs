//! A `nats-server` process.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::port::ReservedPort;
use super::{Options, TestServer, WebSocketListener};

/// How long a process may take to start or to end before the test is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks at something that is awaited.
const POLL: Duration = Duration::from_millis(5);

/// Lines of the server's log that are shown when a test fails.
const LOG_LINES: usize = 40;

/// A release of `nats-server` that every scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// 2.15.1
    V2_15,
    /// 2.10.26
    V2_10,
}

impl Release {
    /// Both releases.
    pub const ALL: [Self; 2] = [Self::V2_15, Self::V2_10];

    /// The exact version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V2_15 => "2.15.1",
            Self::V2_10 => "2.10.26",
        }
    }

    /// The environment variable with the path of its executable, which `cargo xtask test` sets.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::V2_15 => "NATS_SERVER_2_15",
            Self::V2_10 => "NATS_SERVER_2_10",
        }
    }

    /// Its executable: what the variable says, or else the one that `cargo xtask server` fetches.
    ///
    /// # Panics
    /// There is none.
    pub fn executable(self) -> PathBuf {
        let path = std::env::var_os(self.variable()).map_or_else(
            || {
                // Cargo says at run time where the package is; at compile time it may have been elsewhere.
                let package = std::env::var_os("CARGO_MANIFEST_DIR");
                let package =
                    package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
                package.join("../target/nats-server").join(self.version()).join("nats-server")
            },
            PathBuf::from,
        );
        assert!(
            path.is_file(),
            "there is no nats-server {} at {}; `cargo xtask test` fetches it and runs the tests, \
             `cargo xtask server` only fetches it",
            self.version(),
            path.display()
        );
        path
    }
}

/// A `nats-server` with a port, a configuration and a log of its own.
///
/// When it is dropped the process is killed and its files are deleted, unless the test is failing: then the
/// end of the log is printed and the files stay.
#[derive(Debug)]
pub struct RealServer {
    executable: PathBuf,
    /// Unique among all servers: a foreign server on the same port is not taken for this one.
    name: String,
    port: ReservedPort,
    websocket: ReservedPort,
    directory: PathBuf,
    process: Option<Child>,
    /// How often the process was started.
    launches: usize,
}

impl RealServer {
    /// Starts a server on a port of its own. Clients can connect when this returns.
    ///
    /// # Panics
    /// The release is missing, or refuses to start.
    pub fn start(release: Release, options: &Options) -> Self {
        let mut server = Self::prepare(release);
        server.configure(options);
        server.launch();
        server.await_ready();
        server
    }

    /// A server that has its place but no configuration yet.
    pub(super) fn prepare(release: Release) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);

        let executable = release.executable();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("nats-tests-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir_all(&directory)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", directory.display()));
        let (port, websocket) = (ReservedPort::new(), ReservedPort::new());
        Self { executable, name, port, websocket, directory, process: None, launches: 0 }
    }

    /// Writes the configuration, which the next start reads.
    pub fn configure(&self, options: &Options) {
        let websocket = options.websocket.as_ref().map_or_else(String::new, |listener| {
            let WebSocketListener { compression, tls } = listener;
            let addr = self.websocket_addr();
            let tls = match tls {
                Some((pem, key)) => format!("tls {{ cert_file: {pem:?}, key_file: {key:?} }}"),
                None => "no_tls: true".to_owned(),
            };
            format!("websocket {{ listen: \"{addr}\", compression: {compression}, {tls} }}\n")
        });
        let config = format!(
            "server_name: \"{}\"\nlisten: \"{}\"\n{websocket}{}",
            self.name,
            self.addr(),
            options.config_lines()
        );
        fs::write(self.config_path(), config).expect("the server's directory can be written to");
    }

    /// Starts the process.
    pub(super) fn launch(&mut self) {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("the server's directory can be written to");
        let process = Command::new(&self.executable)
            .arg("--config")
            .arg(self.config_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.executable.display()));
        self.process = Some(process);
        self.launches += 1;
    }

    /// Waits until the server speaks to clients, or says that it would.
    pub(super) fn await_ready(&mut self) {
        if self.speaks_first() {
            return self.await_info("the server to speak", |_| true);
        }
        let given_up = Instant::now() + PATIENCE;
        while self.log().matches("Server is ready").count() < self.launches {
            if let Some(status) = self.exit_status() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < given_up, "the server is not ready:\n{}", self.log());
            thread::sleep(POLL);
        }
    }

    /// Whether a client that connects is told something before it has encrypted the connection.
    fn speaks_first(&self) -> bool {
        let config = fs::read_to_string(self.config_path()).unwrap_or_default();
        !config.contains("handshake_first: true")
    }

    /// Waits until the server introduces itself with an INFO that `accept` accepts.
    pub(super) fn await_info(&mut self, what: &str, accept: impl Fn(&str) -> bool) {
        let given_up = Instant::now() + PATIENCE;
        let name = format!("\"server_name\":\"{}\"", self.name);
        loop {
            if let Some(status) = self.exit_status() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            if info(self.addr()).is_some_and(|info| info.contains(&name) && accept(&info)) {
                return;
            }
            assert!(Instant::now() < given_up, "waited in vain for {what}:\n{}", self.log());
            thread::sleep(POLL);
        }
    }

    /// Has the running server take other options, and tell its clients what that means for them. They last over restarts.
    ///
    /// # Panics
    /// It does not take them.
    pub fn reload(&mut self, options: &Options) {
        let count = |log: &str| log.matches("Reloaded server configuration").count();
        let before = count(&self.log());
        self.configure(options);
        self.signal("HUP");
        let given_up = Instant::now() + PATIENCE;
        while count(&self.log()) == before {
            let log = self.log();
            let refused = log.contains("Failed to reload") || Instant::now() >= given_up;
            assert!(!refused, "the server does not reload:\n{log}");
            thread::sleep(POLL);
        }
    }

    /// Where WebSocket clients connect, as a URL without TLS: see [`websocket_addr`](TestServer::websocket_addr).
    pub fn websocket_url(&self) -> String {
        format!("ws://{}", self.websocket_addr())
    }

    /// Stops the process as if the machine had frozen: connections stay open and nothing answers.
    pub fn pause(&mut self) {
        self.signal("STOP");
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.signal("CONT");
    }

    /// Whether the process runs (or is paused).
    pub fn is_running(&mut self) -> bool {
        self.process.is_some() && self.exit_status().is_none()
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// It does not end.
    pub fn await_exit(&mut self) {
        let given_up = Instant::now() + PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < given_up, "the server does not end:\n{}", self.log());
            thread::sleep(POLL);
        }
        self.process = None;
    }

    /// What the server has logged in all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where its configuration and its log are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut()?;
        process.try_wait().expect("the process is a child of this one")
    }

    /// The shell has `kill` built in, so that this needs neither unsafe code nor a package.
    fn signal(&mut self, signal: &str) {
        let process = self.process.as_ref().expect("the server should be running");
        let status =
            Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", process.id())).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {signal} to the server");
    }

    fn config_path(&self) -> PathBuf {
        self.directory.join("server.conf")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}

impl TestServer for RealServer {
    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.port()).into()
    }

    fn websocket_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.websocket.port()).into()
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already, which is what is wanted; `wait` tells all that matters.
            let _ = process.kill();
            process.wait().expect("the process is a child of this one");
        }
    }

    fn stop(&mut self) {
        if self.is_running() {
            self.signal("INT");
            self.await_exit();
        }
    }

    fn restart(&mut self) {
        self.kill();
        self.launch();
        self.await_ready();
    }

    fn lame_duck(&mut self) {
        self.signal("USR2");
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Nobody can be told of an error here, and a panic during a panic would hide the first.
            let _ = process.kill();
            let _ = process.wait();
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("{} says at its end:\n{}", self.log_path().display(), tail.join("\n"));
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The INFO of whoever listens on `addr`, if anybody does.
fn info(addr: SocketAddr) -> Option<String> {
    let stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.starts_with("INFO ").then_some(line)
}
