//! Finding weights: the file that was named, or the shipped one for a board's size.

use anyhow::{Context, bail, ensure};
use std::path::{Path, PathBuf};
use trm_data::Geometry;
use trm_kernels::Kernels;
use trm_model::weights::{Loaded, load};

/// Shipped weights, by side of the board.
const SHIPPED: [(usize, &str); 3] = [
    (4, "sudoku4.safetensors"),
    (6, "sudoku6.safetensors"),
    (9, "sudoku9-easy.safetensors"),
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

/// Loads `path`, or the shipped weights for boards of `geometry`.
///
/// # Errors
/// When there is no such file, it is no weights file, or its network plays another size.
pub fn find(path: Option<&Path>, geometry: Geometry) -> anyhow::Result<(PathBuf, Loaded)> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => shipped(geometry)?,
    };
    let loaded = load(&path, Kernels::best()?)?;
    let (got, want) = (loaded.net.config().cells, geometry.cells());
    ensure!(
        got == want,
        "{}: plays boards of {got} cells, but the puzzle has {want}; give other weights with --weights",
        path.display()
    );
    Ok((path, loaded))
}

fn shipped(geometry: Geometry) -> anyhow::Result<PathBuf> {
    let side = geometry.side();
    let (_, name) = SHIPPED
        .iter()
        .find(|(s, _)| *s == side)
        .context("no weights for this size")?;
    match folders()
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
    {
        Some(path) => Ok(path),
        None => {
            bail!("no weights/{name} here: run in the project's folder, or give --weights FILE")
        }
    }
}
