//! A checkpoint as a small file, to be carried to another folder or machine.

use super::start::{WEIGHTS, go_on, newest_checkpoint, require_checkpoint};
use super::{Args, lock};
use crate::config::RunConfig;
use crate::paths::{check_writable, same_file};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use trm_model::checkpoint::{self, Contents};

/// Writes the newest checkpoint in `out` to `file` without its batch; the folder stays as it is, since a run may
/// be at work in it.
pub(super) fn export(
    args: &Args,
    file: &Path,
    config: RunConfig,
    out: PathBuf,
    threads: usize,
) -> anyhow::Result<()> {
    check_writable(file).context("--export")?;
    refuse_to_export_over_the_run(file, &out)?;
    refuse_to_export_over_what_is_no_export(file)?;
    require_checkpoint(&out)?;
    let (path, resumed) = newest_checkpoint(&out, threads)?;
    let run = go_on(args, &path, resumed, config, (out, threads))?;
    let (trainer, metadata) = (&run.trainer, run.metadata()?);
    checkpoint::save(file, trainer, Contents::WithoutCarry, &metadata)?;
    Ok(())
}

/// An export has no batch: in the place of a checkpoint it could not be resumed.
fn refuse_to_export_over_the_run(file: &Path, out: &Path) -> anyhow::Result<()> {
    let of_run = [
        "config.toml",
        "metrics.jsonl",
        "experiment.toml",
        lock::NAME,
    ];
    let mut names = checkpoint::NAMES.into_iter().chain(WEIGHTS).chain(of_run);
    ensure!(
        !names.any(|name| same_file(file, &out.join(name))),
        "--export {}: that is a file of the run itself; choose another name",
        file.display()
    );
    Ok(())
}

/// An earlier export may be replaced, as each one's successor is; no other file.
fn refuse_to_export_over_what_is_no_export(file: &Path) -> anyhow::Result<()> {
    let is_regular = std::fs::metadata(file).is_ok_and(|there| there.is_file());
    ensure!(
        !is_regular || checkpoint::is_export(file),
        "--export {}: there is a file already, and it is no export; choose another name",
        file.display()
    );
    Ok(())
}
