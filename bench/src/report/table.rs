//! The report as Markdown.

use std::fmt::Write as _;

use super::{Ratio, Report, Row};

/// What the columns mean.
const LEGEND: &str = "\
\"CPU\" is user and system time of the client's process. \"× async-nats\" and \"× floor\" are ratios within each run; \
the floor moves the same bytes through blocking sockets without a client. System calls are counted in a further, \
slower run, in which more piles up between two of them. All figures but rates and ratios are for each message; peak \
memory is the process's.";

const MEMORY_LEGEND: &str = "\
By how much memory grows for each: what the allocator has handed out, the process's own resident memory, and \
resident memory with code that is mapped from files. For kept messages, the heap is what becomes free when they are \
dropped, and resident memory includes what the allocator has back and keeps from the system.";

/// All sections, each with a table.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!(
        "{}\n\nMedians of {} interleaved runs. {LEGEND}\n",
        report.machine.line(),
        report.runs
    );
    if report.measured < report.planned {
        let reason = report.failure.as_deref().unwrap_or("it was cut off, or goes on");
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "\n**This run is not complete**: {} of {} measurements. The reason: {reason}.\n",
            report.measured, report.planned,
        );
    }
    if report.quick {
        text +=
            "\nThis was a quick run: a part of the jobs, and so few messages that figures vary.\n";
    }
    if let Some(reason) = &report.no_calls {
        let _ = write!(text, "\nSystem calls were not counted: {reason}.\n");
    }
    for rows in report.rows.chunk_by(|a, b| a.section == b.section) {
        let Some(first) = rows.first() else { continue };
        let title = first.section[..1].to_uppercase() + &first.section[1..];
        let _ = write!(text, "\n## {title}\n\n");
        if first.memory.is_some() { memory(&mut text, rows) } else { times(&mut text, rows) }
    }
    text
}

fn times(text: &mut String, rows: &[Row]) {
    let latencies = rows.iter().any(|row| row.latency_us.is_some());
    let (title, line) = if latencies { (" p50 / p99 / p99.9 |", "--:|") } else { ("", "") };
    let _ = writeln!(
        text,
        "| | client | rate | × async-nats | × floor | CPU | × async-nats | × floor | system calls | \
         allocations | peak memory |{title}\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|{line}",
    );
    let part = |ratio: Option<Ratio>, of: fn(Ratio) -> f64| {
        ratio.map_or("-".to_owned(), |ratio| significant(of(ratio)))
    };
    for (name, row) in named(rows) {
        let latency = match row.latency_us {
            Some([p50, p99, p999]) if p50 < 10_000.0 => {
                format!(" {p50:.0} / {p99:.0} / {p999:.0} µs |")
            }
            Some(micros) => {
                let [p50, p99, p999] = micros.map(|micros| micros / 1e3);
                format!(" {p50:.1} / {p99:.1} / {p999:.1} ms |")
            }
            None => String::new(),
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} MiB |{latency}",
            row.client,
            rate(row.rate),
            part(row.to_peer, |ratio| ratio.rate),
            part(row.to_floor, |ratio| ratio.rate),
            nanoseconds(row.cpu_ns),
            part(row.to_peer, |ratio| ratio.cpu),
            part(row.to_floor, |ratio| ratio.cpu),
            row.calls.map_or("-".to_owned(), |calls| format!("{calls:.4}")),
            row.allocations.map_or("-".to_owned(), |count| format!("{count:.3}")),
            row.peak_kib / 1024.0,
        );
    }
}

fn memory(text: &mut String, rows: &[Row]) {
    let _ = writeln!(
        text,
        "{MEMORY_LEGEND}\n\n| for each | client | heap | private | resident |\n|---|---|--:|--:|--:|"
    );
    for (name, row) in named(rows) {
        let Some(memory) = row.memory else { continue };
        let [heap, private, resident] = [memory.heap, memory.private, memory.resident].map(bytes);
        let _ = writeln!(text, "| {name} | {} | {heap} | {private} | {resident} |", row.client);
    }
}

/// Each with its name, unless the one before has the same.
fn named(rows: &[Row]) -> impl Iterator<Item = (&str, &Row)> {
    let mut last = "";
    rows.iter().map(move |row| {
        let name = if row.variant == last { "" } else { row.variant.as_str() };
        last = &row.variant;
        (name, row)
    })
}

fn rate(value: f64) -> String {
    match value {
        1e6.. => format!("{:.2} M/s", value / 1e6),
        1e3.. => format!("{:.1} k/s", value / 1e3),
        _ => format!("{value:.0} /s"),
    }
}

fn nanoseconds(value: f64) -> String {
    if value < 10_000.0 { format!("{value:.0} ns") } else { format!("{:.1} µs", value / 1e3) }
}

fn bytes(value: f64) -> String {
    match value.abs() {
        1_048_576.0.. => format!("{:.1} MiB", value / 1_048_576.0),
        10_240.0.. => format!("{:.0} KiB", value / 1024.0),
        _ => format!("{value:.0} B"),
    }
}

/// Two or three digits.
fn significant(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_not_complete_says_so_and_why() {
        let mut report = Report::new(5, false, 2);
        report.measured = 1;
        let text = markdown(&report);
        assert!(text.contains("not complete**: 1 of 2 measurements"), "{text}");
        report.failure = Some("floor hangs".to_owned());
        assert!(markdown(&report).contains("floor hangs."));
        report.measured = 2;
        assert!(!markdown(&report).contains("not complete"));
    }

    #[test]
    fn figures_have_the_unit_that_fits() {
        assert_eq!(rate(12_345_678.0), "12.35 M/s");
        assert_eq!(rate(12_345.0), "12.3 k/s");
        assert_eq!(rate(12.0), "12 /s");
        assert_eq!(nanoseconds(12_345.0), "12.3 µs");
        assert_eq!(bytes(-512.0), "-512 B");
        assert_eq!(bytes(262_144.0), "256 KiB");
        assert_eq!(significant(0.123), "0.12");
        assert_eq!(significant(7.0), "7.00");
    }
}
