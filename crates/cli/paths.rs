//! The files that a command is told to write: what is to be known before the work, not after it.

use anyhow::ensure;
use std::path::Path;
use trm_tensor::file::{end_of_links, folder_of};
use trm_tensor::safetensors::SafeTensorsFile;

/// Fails unless an answer can be written to `path`: what is replaced there is an earlier answer, not the work of days.
///
/// # Errors
/// Those of [`check_writable`], and when there are weights, a checkpoint or a config.
pub fn check_out(path: &Path) -> anyhow::Result<()> {
    check_writable(path)?;
    let ending = path.extension().unwrap_or_default();
    let bears_the_name = ["safetensors", "toml"].map(|end| ending.eq_ignore_ascii_case(end));
    let is_regular = std::fs::metadata(path).is_ok_and(|there| there.is_file());
    ensure!(
        !is_regular || !(bears_the_name.contains(&true) || SafeTensorsFile::open(path).is_ok()),
        "cannot write {}: the weights, checkpoint or config that is there would be lost; give another name, or move it \
         away",
        path.display()
    );
    Ok(())
}

/// Fails unless `path` can be the name of a file that is to be written.
///
/// # Errors
/// When its folder does not exist, it is a folder itself, or a file that is write-protected.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    ensure!(
        folder_of(path).is_dir() && !path.is_dir(),
        "cannot write {}: expected the name of a file in a folder that exists",
        path.display()
    );
    let there = std::fs::metadata(path);
    ensure!(
        !there.is_ok_and(|it| it.is_file() && it.permissions().readonly()),
        "cannot write {}: the file that is there is write-protected; give another name, or allow writing to it",
        path.display()
    );
    Ok(())
}

/// Whether what is written to `path` goes into `folder` or one within it, be it through a link.
pub fn is_within(path: &Path, folder: &Path) -> bool {
    let goes_to = end_of_links(path).and_then(|path| folder_of(&path).canonicalize());
    matches!((goes_to, folder.canonicalize()), (Ok(goes_to), Ok(folder)) if goes_to.starts_with(&folder))
}

/// Whether two names are those of one file, be it spelled otherwise or not there yet.
pub fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| {
        path.canonicalize().or_else(|_| {
            let folder = folder_of(path).canonicalize()?;
            std::io::Result::Ok(folder.join(path.file_name().unwrap_or_default()))
        })
    };
    matches!((real(a), real(b)), (Ok(a), Ok(b)) if a == b)
}
