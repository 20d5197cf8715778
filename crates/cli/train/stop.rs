//! How a run is told to stop.

use super::INTERRUPTED;
use crate::progress::Progress;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a signal may go unanswered.
const BLINK: Duration = Duration::from_millis(50);

/// Listens to Ctrl-C, and whatever else asks a process politely to end; asked twice, the process ends at once. So it
/// does the first time, once this is dropped: nobody looks at the flag any more.
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Stop {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system lets nobody listen.
    pub(super) fn listen() -> io::Result<Stop> {
        let [asked, over] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up()) {
            // In this order: what the first signal sets, the second finds.
            register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&asked))?;
            register(signal, Arc::clone(&asked))?;
        }
        Ok(Stop { asked, over })
    }

    /// Whether somebody asked.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Says so at once when somebody asks, since a step may take long.
    pub(super) fn answer_beside(&self, progress: &Arc<Progress>) {
        let [asked, over] = [&self.asked, &self.over].map(Arc::clone);
        let progress = Arc::clone(progress);
        let answer = move || {
            while !asked.load(Ordering::SeqCst) {
                thread::sleep(BLINK);
            }
            if !over.load(Ordering::SeqCst) {
                progress.line(
                    "stopping after this step; once more: at once, losing what came since the last checkpoint",
                );
            }
        };
        // A machine without room for a thread stops all the same, without a word.
        thread::Builder::new().spawn(answer).ok();
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // In this order: whoever finds the second finds the first.
        self.over.store(true, Ordering::SeqCst);
        self.asked.store(true, Ordering::SeqCst);
    }
}

/// The signal that a closed terminal sends, unless it is to be ignored: `nohup trm train …` goes on. Where the system
/// does not say whether it is, the signal stays what it was.
#[cfg(unix)]
fn hang_up() -> Option<i32> {
    use signal_hook::consts::SIGHUP;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    (ignored & 1 << (SIGHUP - 1) == 0).then_some(SIGHUP)
}

#[cfg(not(unix))]
fn hang_up() -> Option<i32> {
    None
}
