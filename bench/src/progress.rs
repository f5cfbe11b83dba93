//! How far the run is.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal, and a line for each job elsewhere: in a log, a bar that moves is noise.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    jobs: usize,
    begun: usize,
}

impl Progress {
    /// For so many jobs, which start so many processes.
    pub(crate) fn new(jobs: usize, processes: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(processes as u64);
            let style = "{bar:30} {percent:>3} %, {elapsed} of about {duration}: {msg}";
            // A template that is wrong would be seen at once.
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        Self { bar, jobs, begun: 0 }
    }

    /// The next job begins.
    pub(crate) fn job(&mut self, name: &str) {
        self.begun += 1;
        if self.bar.is_none() {
            eprintln!("[{}/{}] {name}", self.begun, self.jobs);
        }
    }

    /// A process is about to start.
    pub(crate) fn process(&self, name: &str, client: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{name}: {client}"));
        }
    }

    /// It has ended.
    pub(crate) fn done(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Nothing is left to do.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
