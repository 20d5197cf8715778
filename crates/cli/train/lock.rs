//! A folder belongs to one training at a time.

use anyhow::{Context, bail, ensure};
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

/// The file in a run's folder that is locked while it trains. It stays when the run is over, and then holds nobody up.
pub(super) const NAME: &str = "lock";

/// A folder that is this process's own, for as long as this lives. The system lets go of it however the process ends.
pub(super) struct Claim {
    _file: File,
}

/// Claims a folder that exists.
///
/// # Errors
/// When another training has it, or nothing can be written there.
pub(super) fn claim(out: &Path) -> anyhow::Result<Claim> {
    let path = out.join(NAME);
    let mut open = File::options();
    // Not cut short before it is known that nobody else has it.
    open.read(true).write(true).create(true).truncate(false);
    let cannot_write = || format!("cannot write {}", path.display());
    let mut file = open.open(&path).with_context(cannot_write)?;
    judge(file.try_lock(), &mut file, out)?;
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(cannot_write)?;
    Ok(Claim { _file: file })
}

/// Fails if another training has the folder; leaves nothing there.
pub(super) fn refuse_if_claimed(out: &Path) -> anyhow::Result<()> {
    let path = out.join(NAME);
    match File::open(&path) {
        Ok(mut file) => judge(file.try_lock_shared(), &mut file, out),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What it means that `file` could be locked or not; a lock that nobody holds has the number of a process, or nothing.
fn judge(locked: Result<(), TryLockError>, file: &mut File, out: &Path) -> anyhow::Result<()> {
    match locked {
        Ok(()) => {
            let mut process = String::new();
            let read = file.read_to_string(&mut process);
            let of_training = process.trim().bytes().all(|byte| byte.is_ascii_digit());
            ensure!(
                read.is_ok() && of_training,
                "{} holds a file called {NAME} that no training wrote, and one would overwrite: choose another folder \
                 with --out, or give it another name",
                out.display()
            );
        }
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            // Some systems let nobody read what is locked.
            let _ = file.read_to_string(&mut process);
            let process = match process.trim() {
                "" => String::new(),
                process => format!(" (process {process})"),
            };
            bail!(
                "another training{process} is writing to {}: wait until it ends, or choose another folder with --out",
                out.display()
            )
        }
        Err(TryLockError::Error(error)) => say!(
            "warning: {} cannot be locked ({error}): start no other training there",
            out.display()
        ),
    }
    Ok(())
}
