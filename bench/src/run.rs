//! Starts servers and workers, and interleaves the clients.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::job::{Client, Job, Kind, Sample};
use crate::report::{self, Row};

/// Where a job's messages go to or come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Sink,
    Flood,
    Nats,
}

struct Measurement {
    name: String,
    server: Server,
    job: Job,
    clients: Vec<Client>,
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Options {
    quick: bool,
    runs: usize,
    only: String,
    out: PathBuf,
}

fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut options =
        Options { quick: false, runs: 0, only: String::new(), out: "target/bench".into() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => options.quick = true,
            Long("runs") => options.runs = parser.value()?.parse()?,
            Long("only") => options.only = parser.value()?.string()?,
            Long("out") => options.out = parser.value()?.into(),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected().into()),
        }
    }
    if options.runs == 0 {
        options.runs = if options.quick { 3 } else { 5 };
    }
    Ok(Some(options))
}

pub(crate) fn main() -> Result<()> {
    let Some(options) = options()? else {
        print!("{}", crate::HELP);
        return Ok(());
    };
    let mut measurements = measurements(options.quick);
    measurements.retain(|measurement| measurement.name.contains(&options.only));
    let mut rows = Vec::new();
    for (index, measurement) in measurements.iter().enumerate() {
        eprintln!("[{}/{}] {}", index + 1, measurements.len(), measurement.name);
        rows.extend(measure(measurement, options.runs)?);
    }
    report::write(&rows, options.runs, &options.out)
}

/// All clients in turn, `runs` times: A B C A B C, so that what the machine does besides hits all alike.
fn measure(measurement: &Measurement, runs: usize) -> Result<Vec<Row>> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); measurement.clients.len()];
    for _ in 0..runs {
        for (client, samples) in measurement.clients.iter().zip(&mut samples) {
            let (_server, url) = start_server(measurement)?;
            let _responder = (measurement.job.kind == Kind::Request)
                .then(|| start(&["responder", &url]))
                .transpose()?;
            samples.push(work(*client, &url, &measurement.job)?);
        }
    }
    let rows = measurement.clients.iter().zip(samples);
    Ok(rows.map(|(client, samples)| Row::new(&measurement.name, *client, samples)).collect())
}

fn work(client: Client, url: &str, job: &Job) -> Result<Sample> {
    let args = [serde_json::to_string(&client)?, url.to_owned(), serde_json::to_string(job)?];
    let output = Command::new(std::env::current_exe()?)
        .arg("worker")
        .args(args)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{} failed at {job:?}", client.name()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Starts this program in another role and reads the line by which it says that it is ready.
fn start(args: &[&str]) -> Result<(Process, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = Process(command.args(args).stdout(Stdio::piped()).spawn()?);
    let stdout = child.0.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        return Err(format!("{args:?} did not start").into());
    }
    Ok((child, line.trim().to_owned()))
}

fn start_server(measurement: &Measurement) -> Result<(Process, String)> {
    let Job { payload, headers, messages, .. } = &measurement.job;
    let headers = if *headers { "headers" } else { "" };
    let (process, addr) = match measurement.server {
        Server::Sink => start(&["sink"])?,
        Server::Flood => start(&["flood", &payload.to_string(), &messages.to_string(), headers])?,
        Server::Nats => start_nats()?,
    };
    Ok((process, format!("nats://{addr}")))
}

/// A real server, on a port of the system's choice.
fn start_nats() -> Result<(Process, String)> {
    let binary = std::env::var("NATS_SERVER_2_15")
        .map_err(|_| "NATS_SERVER_2_15 does not name a nats-server: run `cargo xtask bench`")?;
    let mut config = std::env::temp_dir();
    config.push(format!("nats-bench-{}.conf", std::process::id()));
    std::fs::write(&config, "max_payload: 8MB\nwrite_deadline: \"60s\"\nmax_pending: 1GB\n")?;
    let mut command = Command::new(binary);
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
    let addr = addr.ok_or("nats-server did not start")?;
    std::thread::sleep(Duration::from_millis(50));
    Ok((child, addr))
}

fn measurements(quick: bool) -> Vec<Measurement> {
    use Client::{AsyncNats, AsyncStd, Floor, Tokio};
    let mut all = Vec::new();
    let mut add = |name: &str, server, kind, payload, headers, tasks, messages: u64| {
        let floor = match kind {
            Kind::PubSub => None,
            Kind::Request if tasks > 1 => None,
            _ => Some(Floor),
        };
        let clients = [Some(Tokio), Some(AsyncStd), Some(AsyncNats), floor];
        // Large payloads need fewer messages for the same time.
        let messages = if quick { messages / 10 } else { messages };
        let messages = messages.max(if payload > 65_536 { 200 } else { 1_000 });
        let job = Job { kind, messages, payload, headers, tasks };
        let clients = clients.into_iter().flatten().collect();
        all.push(Measurement { name: name.to_owned(), server, job, clients });
    };
    for (payload, label, messages) in [
        (16, "16 B", 5_000_000),
        (128, "128 B", 3_000_000),
        (1024, "1 KiB", 1_000_000),
        (65_536, "64 KiB", 40_000),
        (1_048_576, "1 MiB", 2_500),
    ] {
        let name = |what: &str| format!("{what}, {label}");
        add(&name("publish to the sink"), Server::Sink, Kind::Publish, payload, false, 1, messages);
        add(
            &name("receive from the flood"),
            Server::Flood,
            Kind::Receive,
            payload,
            false,
            1,
            messages,
        );
        if quick && payload != 16 {
            continue;
        }
        add(
            &name("publish to nats-server"),
            Server::Nats,
            Kind::Publish,
            payload,
            false,
            1,
            messages / 2,
        );
        add(
            &name("publish + subscribe"),
            Server::Nats,
            Kind::PubSub,
            payload,
            false,
            1,
            messages / 4,
        );
    }
    add("publish to the sink, 16 B, header", Server::Sink, Kind::Publish, 16, true, 1, 3_000_000);
    add(
        "receive from the flood, 16 B, header",
        Server::Flood,
        Kind::Receive,
        16,
        true,
        1,
        3_000_000,
    );
    for tasks in [2, 4, 16] {
        let name = format!("publish to the sink, 16 B, {tasks} tasks");
        add(&name, Server::Sink, Kind::Publish, 16, false, tasks, 5_000_000);
    }
    add("request, 1 in flight", Server::Nats, Kind::Request, 16, false, 1, 40_000);
    add("request, 64 in flight", Server::Nats, Kind::Request, 16, false, 64, 640_000);
    all
}
