//! What was measured: rows of medians, as Markdown and JSON.

mod machine;
mod table;

use std::fs;
use std::path::Path;

use serde::Serialize;

use self::machine::Machine;
use crate::Result;
use crate::job::{Client, Growth, Job, Sample};
use crate::plan::Measurement;

/// Everything that one run of the bench has found out so far.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    runs: usize,
    quick: bool,
    /// Measurements that there are to be.
    planned: usize,
    /// Measurements that there are: fewer if the run goes on or was cut off.
    measured: usize,
    /// What ended the run before it was through.
    pub(crate) failure: Option<String>,
    /// Why there are no system calls, if there are none.
    pub(crate) no_calls: Option<String>,
    pub(crate) rows: Vec<Row>,
}

/// The medians of one client at one job.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    section: &'static str,
    variant: String,
    client: &'static str,
    job: Job,
    /// Messages in a second.
    rate: f64,
    cpu_ns: f64,
    /// Allocations a message.
    pub(crate) allocations: Option<f64>,
    /// System calls a message.
    pub(crate) calls: Option<f64>,
    peak_kib: f64,
    latency_us: Option<[f64; 3]>,
    /// Bytes for each client, subscription or message.
    memory: Option<Bytes>,
    /// Rate and processor time as multiples of those of `async-nats`, which had its turn in the same run.
    to_peer: Option<Ratio>,
    /// The same with the floor.
    to_floor: Option<Ratio>,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Ratio {
    rate: f64,
    cpu: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Bytes {
    heap: f64,
    private: f64,
    resident: f64,
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.get(half) {
        None => 0.0,
        Some(upper) if values.len() % 2 == 1 => *upper,
        Some(upper) => f64::midpoint(values[half - 1], *upper),
    }
}

fn rate(sample: &Sample) -> f64 {
    sample.messages as f64 / sample.seconds
}

fn cpu_ns(sample: &Sample) -> f64 {
    sample.cpu_seconds * 1e9 / sample.messages as f64
}

impl Row {
    pub(crate) fn new(measurement: &Measurement, client: Client, samples: Vec<Sample>) -> Self {
        let of = |what: fn(&Sample) -> f64| median(samples.iter().map(what));
        let latency = |index: usize| {
            median(samples.iter().filter_map(|sample| Some(sample.latency_us?[index])))
        };
        let memory = |what: fn(&Growth) -> i64| {
            let growths = samples.iter().filter_map(|sample| sample.memory.as_ref());
            median(growths.map(|growth| what(growth) as f64 / growth.units as f64))
        };
        Self {
            section: measurement.section,
            variant: measurement.variant.clone(),
            client: client.name(),
            job: measurement.job.clone(),
            rate: of(rate),
            cpu_ns: of(cpu_ns),
            allocations: None,
            calls: None,
            peak_kib: of(|sample| sample.peak_kib as f64),
            latency_us: samples
                .iter()
                .all(|sample| sample.latency_us.is_some())
                .then(|| [latency(0), latency(1), latency(2)]),
            memory: measurement.job.kind.is_memory().then(|| Bytes {
                heap: memory(|growth| growth.heap),
                private: memory(|growth| growth.private),
                resident: memory(|growth| growth.resident),
            }),
            to_peer: None,
            to_floor: None,
            samples,
        }
    }

    /// The median of the ratios in each run, which is steadier than the ratio of the medians.
    fn ratio(&self, to: &Self) -> Ratio {
        let pairs = || self.samples.iter().zip(&to.samples);
        Ratio {
            rate: median(pairs().map(|(this, other)| rate(this) / rate(other))),
            cpu: median(pairs().map(|(this, other)| cpu_ns(this) / cpu_ns(other))),
        }
    }
}

impl Report {
    pub(crate) fn new(runs: usize, quick: bool, planned: usize) -> Self {
        Self {
            machine: Machine::this(),
            runs,
            quick,
            planned,
            measured: 0,
            failure: None,
            no_calls: None,
            rows: Vec::new(),
        }
    }

    /// Adds the rows of a measurement and relates them to each other.
    pub(crate) fn add(&mut self, measurement: &Measurement, mut rows: Vec<Row>) {
        if !measurement.job.kind.is_memory() {
            let ratios = |to: Client| {
                let reference = rows.iter().find(|row| row.client == to.name());
                rows.iter().map(|row| reference.map(|to| row.ratio(to))).collect::<Vec<_>>()
            };
            let (to_peer, to_floor) = (ratios(Client::AsyncNats), ratios(Client::Floor));
            for ((row, to_peer), to_floor) in rows.iter_mut().zip(to_peer).zip(to_floor) {
                (row.to_peer, row.to_floor) = (to_peer, to_floor);
            }
        }
        self.rows.extend(rows);
        self.measured += 1;
    }

    /// Prints the tables.
    pub(crate) fn print(&self) {
        println!("{}", table::markdown(self));
    }

    /// Writes the tables and all samples to files, each whole or not at all.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        fs::create_dir_all(out)?;
        let json = serde_json::to_string_pretty(self)?;
        for (name, text) in [("results.md", table::markdown(self)), ("results.json", json)] {
            let new = out.join(format!("{name}.new"));
            fs::write(&new, text)?;
            fs::rename(new, out.join(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(std::iter::empty()), 0.0);
    }

    /// A row with these messages a second, each for so many nanoseconds of processor time.
    fn row(client: Client, figures: [(u64, f64); 3]) -> Row {
        let measurement = &crate::plan::plan(true)[0][0];
        let sample = |(messages, nanoseconds): (u64, f64)| Sample {
            messages: 2 * messages,
            seconds: 2.0,
            cpu_seconds: nanoseconds * 1e-9 * (2 * messages) as f64,
            ..Sample::default()
        };
        Row::new(measurement, client, figures.map(sample).to_vec())
    }

    #[test]
    fn a_row_has_medians_and_is_compared_with_the_others_of_the_same_run() {
        let near = |this: f64, other: f64| assert!((this / other - 1.0).abs() < 1e-9, "{this}");
        let ours = row(Client::Tokio, [(1_000, 80.0), (2_000, 40.0), (6_000, 10.0)]);
        let peer = row(Client::AsyncNats, [(500, 160.0), (4_000, 800.0), (2_000, 200.0)]);
        near(ours.rate, 2_000.0);
        near(ours.cpu_ns, 40.0);
        let mut report = Report::new(3, true, 1);
        report.add(&crate::plan::plan(true)[0][0], vec![ours, peer]);
        let (to_peer, to_itself) = (report.rows[0].to_peer, report.rows[1].to_peer);
        // Twice as many, half as many, and three times as many; the medians of both are the same.
        near(to_peer.expect("the peer had its turn").rate, 2.0);
        // A half, and two times a twentieth; one median is a fifth of the other.
        near(to_peer.expect("the peer had its turn").cpu, 0.05);
        near(to_itself.expect("it had its turn").rate, 1.0);
        assert!(report.rows[0].to_floor.is_none());
        assert_eq!(report.measured, 1);
    }
}
