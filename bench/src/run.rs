//! The run: servers, clients in turn, the report.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::Result;
use crate::job::{Client, Sample};
use crate::plan::{Group, Measurement, Server, plan};
use crate::process::Stage;
use crate::progress::Progress;
use crate::report::{Report, Row, median};

struct Options {
    quick: bool,
    runs: usize,
    only: Vec<String>,
    calls: bool,
    list: bool,
    out: PathBuf,
}

fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut options = Options {
        quick: false,
        runs: 0,
        only: Vec::new(),
        calls: true,
        list: false,
        out: "target/bench".into(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => options.quick = true,
            Long("runs") => options.runs = parser.value()?.parse()?,
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("no-syscalls") => options.calls = false,
            Long("list") => options.list = true,
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
    let mut groups = plan(options.quick);
    for group in &mut groups {
        group.retain(|measurement| {
            let name = measurement.name();
            options.only.is_empty() || options.only.iter().any(|word| name.contains(word))
        });
    }
    groups.retain(|group| !group.is_empty());
    if options.list {
        let names = groups.iter().flatten().map(|measurement| measurement.name() + "\n");
        return match std::io::stdout().write_all(names.collect::<String>().as_bytes()) {
            // Who reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        };
    }
    if groups.is_empty() {
        return Err(format!("nothing is called {:?}: see --list", options.only).into());
    }
    let processes = groups.iter().flatten().map(|measurement| {
        let counts = if options.calls { 2 } else { 1 };
        let more = if measurement.job.kind.is_memory() { 0 } else { counts };
        measurement.clients.len() * (options.runs + more)
    });
    let planned = groups.iter().flatten().count();
    let mut run = Run {
        progress: Progress::new(planned, processes.sum()),
        runs: options.runs,
        report: Report::new(options.runs, options.quick, planned),
        calls: options.calls,
    };
    if !options.calls {
        run.report.no_calls = Some("not asked for".to_owned());
    }
    let result = groups.iter().try_for_each(|group| {
        run.measure(group)?;
        // Now, and not at the end: a run that is cut off has not been for nothing.
        run.report.write(&options.out)
    });
    run.progress.finish();
    if let Err(error) = &result {
        run.report.failure = Some(error.to_string());
        run.report.write(&options.out)?;
    }
    run.report.print();
    let path = options.out.join("results.md");
    println!("Written to {} and results.json beside it.", path.display());
    result
}

struct Run {
    progress: Progress,
    runs: usize,
    /// Whether system calls are counted.
    calls: bool,
    report: Report,
}

impl Run {
    /// All clients in turn, `runs` times: A B C A B C, so that what the machine does besides hits all alike.
    fn measure(&mut self, group: &Group) -> Result<()> {
        let stages = group
            .iter()
            .map(|measurement| Stage::set(measurement.server, &measurement.job))
            .collect::<Result<Vec<_>>>()?;
        let mut samples: Vec<Vec<Vec<Sample>>> =
            group.iter().map(|measurement| vec![Vec::new(); measurement.clients.len()]).collect();
        for run in 0..self.runs {
            for ((measurement, stage), samples) in group.iter().zip(&stages).zip(&mut samples) {
                let name = measurement.name();
                if run == 0 {
                    self.progress.job(&name);
                }
                for (client, samples) in measurement.clients.iter().zip(samples) {
                    self.progress.process(&name, client.name());
                    samples.push(stage.work(*client, &measurement.job)?);
                    self.progress.done();
                }
            }
        }
        for ((measurement, stage), samples) in group.iter().zip(&stages).zip(samples) {
            let mut rows = Vec::new();
            for (client, samples) in measurement.clients.iter().zip(samples) {
                let mut row = Row::new(measurement, *client, samples);
                if !measurement.job.kind.is_memory() {
                    let name = measurement.name();
                    self.progress.process(&name, "allocations");
                    row.allocations = Some(stage.allocations(*client, &measurement.job)?);
                    self.progress.done();
                    if self.calls {
                        self.progress.process(&name, "system calls");
                        row.calls = self.count_calls(measurement, *client, stage)?;
                        self.progress.done();
                    }
                }
                rows.push(row);
            }
            self.report.add(measurement, rows);
        }
        Ok(())
    }

    /// How often they are counted: it depends on how threads get their turns, if less than times do.
    const fn traces(&self) -> usize {
        if self.runs < 5 { 1 } else { 3 }
    }

    /// System calls a message. After the first failure nobody tries again: the system does not allow it.
    fn count_calls(
        &mut self,
        measurement: &Measurement,
        client: Client,
        stage: &Stage,
    ) -> Result<Option<f64>> {
        // A traced process is slow, so it gets fewer messages.
        let mut job = measurement.job.clone();
        let share = job.tasks.max(job.subscriptions) as u64;
        let fewer = (job.messages / 10).max(50);
        job.messages = (fewer - fewer % share).max(share).min(job.messages);
        // The flood must not send more than are waited for: the calls for reading them would be counted.
        let flood = match measurement.server {
            Server::Flood => Some(Stage::set(Server::Flood, &job)?),
            Server::Sink | Server::Nats => None,
        };
        let stage = flood.as_ref().unwrap_or(stage);
        let mut counts = Vec::new();
        for _ in 0..self.traces() {
            match stage.trace(client, &job) {
                Ok(calls) => counts.push(calls as f64 / job.messages as f64),
                Err(error) => {
                    self.calls = false;
                    self.report.no_calls = Some(error.to_string());
                    return Ok(None);
                }
            }
        }
        Ok(Some(median(counts.into_iter())))
    }
}
