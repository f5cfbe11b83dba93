//! Starts the other processes: servers, the responder, workers.

use std::io::{BufRead, BufReader, read_to_string};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Result;
use crate::job::{Client, Job, Kind, Sample};
use crate::plan::Server;
use crate::tls::Certificate;

/// How long a worker may take, which is many times what one takes that does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program of everything that is timed.
const TIMED: &str = "nats-bench";

/// The program that counts what its workers allocate.
const COUNTING: &str = "nats-bench-counting";

/// A process that ends with this value.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server of a measurement, and whoever else has to be there. A connection leaves nothing behind in any of them,
/// so all clients and runs have the same one.
pub(crate) struct Stage {
    pub(crate) url: String,
    // Ends first: a server that goes away would be an error to it.
    _responder: Option<Process>,
    _server: Process,
    /// If the connections are encrypted.
    certificate: Option<Certificate>,
}

impl Stage {
    pub(crate) fn set(server: Server, job: &Job) -> Result<Self> {
        let certificate = job.tls.then(Certificate::make).transpose()?;
        let (server, addr) = start_server(server, job, certificate.as_ref())?;
        let url = format!("nats://{addr}");
        let responder = (job.kind == Kind::Request)
            .then(|| start(&["responder", &url], certificate.as_ref()))
            .transpose()?
            .map(|(process, _)| process);
        Ok(Self { url, _server: server, _responder: responder, certificate })
    }

    /// One client at one job.
    pub(crate) fn work(&self, client: Client, job: &Job) -> Result<Sample> {
        let program = if job.kind.is_memory() { COUNTING } else { TIMED };
        Ok(serde_json::from_str(&self.output(program, "worker", client, job)?)?)
    }

    /// Allocations of one client at one job, for each message.
    pub(crate) fn allocations(&self, client: Client, job: &Job) -> Result<f64> {
        let output = self.output(COUNTING, "worker", client, job)?;
        let sample: Sample = serde_json::from_str(&output)?;
        Ok(sample.allocations.ok_or("allocations were not counted")? as f64
            / sample.messages as f64)
    }

    /// The system calls of one client at one job. An error says why they cannot be counted.
    pub(crate) fn trace(&self, client: Client, job: &Job) -> Result<u64> {
        Ok(serde_json::from_str(&self.output(TIMED, "trace", client, job)?)?)
    }

    fn output(&self, program: &str, role: &str, client: Client, job: &Job) -> Result<String> {
        let args = [serde_json::to_string(&client)?, self.url.clone(), serde_json::to_string(job)?];
        let mut command = program_of_bench(program, self.certificate.as_ref())?;
        command.arg(role).args(args).stderr(Stdio::piped());
        let spawned =
            command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut child = Process(spawned);
        let stdout = child.0.stdout.take().ok_or("no standard output")?;
        let stderr = child.0.stderr.take().ok_or("no standard error")?;
        let (sender, receiver) = mpsc::channel();
        // Each is a line at most, so one can be read after the other.
        std::thread::spawn(move || sender.send((read_to_string(stdout), read_to_string(stderr))));
        let Ok((answer, said)) = receiver.recv_timeout(PATIENCE) else {
            return Err(format!("{} hangs at {job:?}", client.name()).into());
        };
        if child.0.wait()?.success() {
            return Ok(answer?);
        }
        Err(format!("{} failed at {job:?}: {}", client.name(), said?.trim()).into())
    }
}

fn start_server(
    server: Server,
    job: &Job,
    certificate: Option<&Certificate>,
) -> Result<(Process, String)> {
    let Job { payload, headers, messages, .. } = job;
    let subscriptions = job.subscriptions + job.idle_subscriptions;
    let headers = if *headers { "headers" } else { "plain" };
    match server {
        Server::Sink => start(&["sink"], certificate),
        Server::Flood => {
            let numbers = [payload.to_string(), messages.to_string(), subscriptions.to_string()];
            start(&["flood", &numbers[0], &numbers[1], headers, &numbers[2]], certificate)
        }
        Server::Nats => start_nats(certificate),
    }
}

/// One of the programs of the bench, which lie beside each other, to be started in another role.
fn program_of_bench(name: &str, certificate: Option<&Certificate>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name(name));
    command.stdout(Stdio::piped());
    if let Some(certificate) = certificate {
        certificate.set_for(&mut command);
    }
    Ok(command)
}

/// Starts this program in another role and reads the line by which it says that it is ready.
fn start(args: &[&str], certificate: Option<&Certificate>) -> Result<(Process, String)> {
    let mut child = Process(program_of_bench(TIMED, certificate)?.args(args).spawn()?);
    let stdout = child.0.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        return Err(format!("{args:?} did not start").into());
    }
    Ok((child, line.trim().to_owned()))
}

/// Where the real server is.
pub(crate) fn nats_server() -> Result<PathBuf> {
    let path = std::env::var_os("NATS_SERVER_2_15");
    Ok(path.ok_or("NATS_SERVER_2_15 does not name a nats-server: run `cargo xtask bench`")?.into())
}

/// A real server, on a port of the system's choice.
fn start_nats(certificate: Option<&Certificate>) -> Result<(Process, String)> {
    let mut config = std::env::temp_dir();
    config.push(format!("nats-bench-{}.conf", std::process::id()));
    let settings = "max_payload: 8MB\nwrite_deadline: \"60s\"\nmax_pending: 1GB\n";
    let tls = certificate.map(Certificate::setting).unwrap_or_default();
    std::fs::write(&config, format!("{settings}{tls}"))?;
    let mut command = Command::new(nats_server()?);
    command.args(["-a", "127.0.0.1", "-p", "-1", "-c"]).arg(&config);
    let mut child = Process(command.stderr(Stdio::piped()).spawn()?);
    let stderr = child.0.stderr.take().ok_or("no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut addr = None;
    for line in lines.by_ref() {
        let line = line?;
        if let Some((_, rest)) = line.split_once("Listening for client connections on ") {
            addr = Some(rest.trim().to_owned());
        }
        if line.contains("Server is ready") {
            break;
        }
    }
    // Whoever does not read what it says would stop it in the end.
    std::thread::spawn(move || lines.for_each(drop));
    // It has read the file.
    std::fs::remove_file(&config)?;
    let addr = addr.ok_or("nats-server did not start")?;
    std::thread::sleep(Duration::from_millis(50));
    Ok((child, addr))
}
