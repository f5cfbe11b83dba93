//! What was measured, as a table.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::job::{Client, Sample};

/// The medians of one client at one job.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: String,
    client: &'static str,
    messages: u64,
    rate: f64,
    cpu_ns: f64,
    allocations: f64,
    peak_kib: f64,
    latency_us: Option<[f64; 3]>,
    samples: Vec<Sample>,
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Row {
    pub(crate) fn new(name: &str, client: Client, samples: Vec<Sample>) -> Self {
        let of = |what: fn(&Sample) -> f64| median(samples.iter().map(what));
        let latency = |index: usize| {
            median(samples.iter().filter_map(|sample| Some(sample.latency_us?[index])))
        };
        Self {
            name: name.to_owned(),
            client: client.name(),
            messages: samples.first().map_or(0, |sample| sample.messages),
            rate: of(|sample| sample.messages as f64 / sample.seconds),
            cpu_ns: of(|sample| sample.cpu_seconds * 1e9 / sample.messages as f64),
            allocations: of(|sample| sample.allocations as f64 / sample.messages as f64),
            peak_kib: of(|sample| sample.peak_kib as f64),
            latency_us: samples
                .iter()
                .all(|sample| sample.latency_us.is_some())
                .then(|| [latency(0), latency(1), latency(2)]),
            samples,
        }
    }
}

fn rate(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2} M/s", value / 1e6),
        1e3.. => format!("{:.1} k/s", value / 1e3),
        _ => format!("{value:.0} /s"),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| job | client | rate | CPU a message | allocations | peak memory | p50 / p99 / p99.9 |\n\
         |---|---|--:|--:|--:|--:|--:|\n",
    );
    let mut last = "";
    for row in rows {
        let name = if row.name == last { "" } else { &row.name };
        last = &row.name;
        let latency = row.latency_us.map_or(String::new(), |[p50, p99, p999]| {
            format!("{p50:.0} / {p99:.0} / {p999:.0} µs")
        });
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.0} ns | {:.3} | {:.1} MiB | {latency} |",
            row.client,
            rate(row.rate),
            row.cpu_ns,
            row.allocations,
            row.peak_kib / 1024.0,
        );
    }
    text
}

/// Prints the table, and writes it with all samples to files.
pub(crate) fn write(rows: &[Row], runs: usize, out: &Path) -> Result<()> {
    let table = table(rows);
    println!("Medians of {runs} interleaved runs.\n\n{table}");
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("results.md"), &table)?;
    std::fs::write(out.join("results.json"), serde_json::to_string_pretty(rows)?)?;
    println!("Written to {} and results.json beside it.", out.join("results.md").display());
    Ok(())
}
