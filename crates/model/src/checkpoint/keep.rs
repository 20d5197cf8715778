//! The last good checkpoints in the folder of a run: whatever happens while one is written, one can be read.

use super::{Contents, Resumed, load, save};
use crate::trainer::Trainer;
use crate::weights::ModelFileError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_tensor::file;
use trm_tensor::safetensors::FileError;

/// The newest checkpoint in a folder, and the one before it.
pub const NAMES: [&str; 2] = ["checkpoint.safetensors", "checkpoint-previous.safetensors"];

/// What the next one is called until it is complete.
const NEXT: &str = "checkpoint-next.safetensors";

/// Makes the run the newest checkpoint in `folder`; the newest until now becomes the one before it.
///
/// The new file is complete and on the disk before either of the others changes its name.
///
/// # Errors
/// When the disk fails. Both checkpoints are then as they were, or the newest already bears the name of the one
/// before it.
pub fn keep(
    folder: &Path,
    trainer: &Trainer,
    extra: &BTreeMap<String, String>,
) -> Result<(), ModelFileError> {
    let [newest, previous] = NAMES.map(|name| folder.join(name));
    let next = folder.join(NEXT);
    save(&next, trainer, Contents::Everything, extra)?;
    let renamed = match newest.exists() {
        true => file::rename(&newest, &previous),
        false => Ok(()),
    };
    let renamed = renamed.and_then(|()| file::rename(&next, &newest));
    renamed.map_err(|error| {
        let path = newest;
        FileError::Write { path, error }.into()
    })
}

/// Whether there is a checkpoint in `folder`, be it the first one, which a kill left without its name.
pub fn exists(folder: &Path) -> bool {
    NAMES
        .iter()
        .chain([&NEXT])
        .any(|name| folder.join(name).exists())
}

/// A checkpoint that can be read.
#[derive(Debug)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// The run, as it was.
    pub resumed: Resumed,
    /// Why the newest one could not be taken, where this is the one before it.
    pub damaged: Option<ModelFileError>,
}

/// The newest checkpoint in `folder` that can be read; changes nothing. A kill between the two renames of [`keep`]
/// leaves the newest, which is whole, under the name that it was written to.
///
/// # Errors
/// When neither can be read.
pub fn newest(
    folder: &Path,
    kernels: &'static Kernels,
    threads: usize,
) -> Result<Kept, ModelFileError> {
    let [newest, previous] = NAMES.map(|name| folder.join(name));
    let next = folder.join(NEXT);
    if !newest.exists()
        && next.exists()
        && let Ok(resumed) = load(&next, kernels, threads)
    {
        return Ok(Kept {
            path: next,
            resumed,
            damaged: None,
        });
    }
    let (path, resumed, damaged) = match load(&newest, kernels, threads) {
        Ok(resumed) => (newest, resumed, None),
        Err(error) if previous.exists() => match load(&previous, kernels, threads) {
            Ok(resumed) => (previous, resumed, Some(error)),
            Err(of_previous) => {
                let [newest, previous] = [error, of_previous].map(Box::new);
                return Err(ModelFileError::NoGoodCheckpoint { newest, previous });
            }
        },
        Err(error) => return Err(error),
    };
    Ok(Kept {
        path,
        resumed,
        damaged,
    })
}
