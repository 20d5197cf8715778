//! Finding weights: the file that was named, or the shipped one for a board's size.

use crate::task::Task;
use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use trm_kernels::{Kernels, Precision};
use trm_model::weights::{Loaded, load};

/// Shipped weights, by task.
const SHIPPED: [(&str, &str); 5] = [
    ("sudoku4", "sudoku4.safetensors"),
    ("sudoku6", "sudoku6.safetensors"),
    ("sudoku9", "sudoku9-easy.safetensors"),
    ("maze10", "maze10.safetensors"),
    ("maze30", "maze30.safetensors"),
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

/// A network and what it plays.
pub struct Player {
    /// Where it was read from.
    pub path: PathBuf,
    /// The network.
    pub loaded: Loaded,
    /// What it plays.
    pub task: Task,
}

impl Player {
    /// Reads a weights file, for products in `precision`.
    ///
    /// # Errors
    /// When it is none, or plays what is not known here, or this CPU has no such products.
    pub fn read(path: &Path, precision: Precision) -> anyhow::Result<Player> {
        let loaded = load(path, Kernels::best()?.in_precision(precision)?)?;
        let task = Task::of(&loaded).with_context(|| path.display().to_string())?;
        let path = path.to_owned();
        Ok(Player { path, loaded, task })
    }

    /// The shipped one for a task.
    ///
    /// # Errors
    /// When there is none.
    pub fn shipped(task: Task, precision: Precision) -> anyhow::Result<Player> {
        Player::read(&shipped(task)?, precision)
    }

    /// Fails unless it plays `task`.
    ///
    /// # Errors
    /// Names both.
    pub fn check(&self, task: Task) -> anyhow::Result<()> {
        ensure!(
            self.task == task,
            "{}: plays {}, but the puzzle is {}; give other weights with --weights",
            self.path.display(),
            self.task.name(),
            task.name()
        );
        Ok(())
    }
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
