//! Progress on standard error: a bar on a terminal, now and then a plain line elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const QUIET: u64 = 10;

/// Counts work done out of a known amount.
pub struct Progress {
    what: &'static str,
    /// None where nobody knows.
    total: Option<u64>,
    bar: Option<ProgressBar>,
    done: AtomicU64,
    start: Instant,
    /// Whole periods of [`QUIET`] seconds that have been reported.
    reported: AtomicU64,
    note: Mutex<String>,
}

impl Progress {
    /// Nothing of `total` done yet.
    pub fn new(total: u64, what: &'static str) -> Self {
        Progress::of(Some(total), what)
    }

    /// Nothing done yet of an amount that will be known at the end.
    pub fn without_end(what: &'static str) -> Self {
        Progress::of(None, what)
    }

    fn of(total: Option<u64>, what: &'static str) -> Self {
        Progress {
            what,
            total,
            bar: std::io::stderr()
                .is_terminal()
                .then(|| bar(total, what))
                // What a terminal cannot draw hides, and its news with it: plain lines take over.
                .filter(|bar| !bar.is_hidden()),
            done: AtomicU64::new(0),
            start: Instant::now(),
            reported: AtomicU64::new(0),
            note: Mutex::default(),
        }
    }

    /// `n` more are done.
    pub fn add(&self, n: u64) {
        self.show(self.done.fetch_add(n, Ordering::Relaxed) + n);
    }

    /// `done` are done in all.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.show(done);
    }

    /// `done` were done before: the time that is left follows from the others.
    pub fn begin_at(&self, done: u64) {
        self.set(done);
        if let Some(bar) = &self.bar {
            bar.reset_eta();
        }
    }

    fn show(&self, done: u64) {
        let Some(bar) = &self.bar else {
            let period = self.start.elapsed().as_secs() / QUIET;
            if self.reported.fetch_max(period, Ordering::Relaxed) < period {
                let note = self.note.lock().expect("nobody panics with a note");
                let of = self
                    .total
                    .map_or(String::new(), |total| format!(" of {total}"));
                say!("{}: {done}{of}{note}", self.what);
            }
            return;
        };
        bar.set_position(done);
    }

    /// A line of news: above the bar, or as it is.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say!("{text}"),
        }
    }

    /// A short note beside the count.
    pub fn note(&self, text: &str) {
        *self.note.lock().expect("nobody panics with a note") = format!(", {text}");
        if let Some(bar) = &self.bar {
            bar.set_prefix(text.to_owned());
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template(match total {
        Some(_) => "{msg} [{bar:30}] {pos}/{len} {elapsed} (eta {eta}) {prefix}",
        None => "{msg} {pos} {elapsed} {prefix}",
    });
    bar.set_style(style.expect("a template that parses").progress_chars("=> "));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
