//! Progress on standard error: a bar on a terminal, now and then a plain line elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const QUIET: u64 = 10;

/// Counts work done out of a known amount.
pub struct Progress {
    what: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    done: AtomicU64,
    start: Instant,
    /// Tens of seconds already reported.
    reported: AtomicU64,
}

impl Progress {
    /// Nothing of `total` done yet.
    pub fn new(total: u64, what: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template(
                "{msg} [{bar:30}] {pos}/{len} {elapsed} (eta {eta}) {prefix}",
            );
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Progress {
            what,
            total,
            bar,
            done: AtomicU64::new(0),
            start: Instant::now(),
            reported: AtomicU64::new(0),
        }
    }

    /// `n` more are done.
    pub fn add(&self, n: u64) {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None => {
                let now = self.start.elapsed().as_secs() / QUIET;
                if self.reported.fetch_max(now, Ordering::Relaxed) < now {
                    eprintln!("{}: {done} of {}", self.what, self.total);
                }
            }
        }
    }

    /// `done` are done in all.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// A line of news: above the bar, or as it is.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// A short note beside the bar.
    pub fn note(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(text);
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
