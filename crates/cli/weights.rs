//! Finding weights: the file that was named, or the shipped one for a board's size.

use crate::task::Task;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_model::weights::{Loaded, load};

/// Shipped weights, by task.
const SHIPPED: [(&str, &str); 3] = [
    ("sudoku4", "sudoku4.safetensors"),
    ("sudoku6", "sudoku6.safetensors"),
    ("sudoku9", "sudoku9-easy.safetensors"),
];

/// Folders that may hold the shipped weights: here, beside the program, and where it was built.
fn folders() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("weights")];
    if let Some(folder) = std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
    {
        folders.push(folder.join("weights"));
    }
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("weights"));
    folders
}

/// Loads `path`, or the shipped weights for `task`.
///
/// # Errors
/// When there is no such file, it is no weights file, or it plays something else.
pub fn find(path: Option<&Path>, task: Task) -> anyhow::Result<(PathBuf, Loaded)> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => shipped(task)?,
    };
    let loaded = load(&path, Kernels::best()?)?;
    let found = Task::of(&loaded).with_context(|| path.display().to_string())?;
    ensure!(
        found == task,
        "{}: plays {}, but the puzzle is {}; give other weights with --weights",
        path.display(),
        found.name(),
        task.name()
    );
    Ok((path, loaded))
}

fn shipped(task: Task) -> anyhow::Result<PathBuf> {
    let name = task.name();
    let Some((_, file)) = SHIPPED.iter().find(|(task, _)| *task == name) else {
        bail!("no weights for {name} are shipped: train some, and give --weights FILE")
    };
    match folders()
        .into_iter()
        .map(|folder| folder.join(file))
        .find(|path| path.exists())
    {
        Some(path) => Ok(path),
        None => {
            bail!("no weights/{file} here: run in the project's folder, or give --weights FILE")
        }
    }
}
