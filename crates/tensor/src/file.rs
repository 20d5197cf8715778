//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Gives `path` the content `bytes`.
///
/// Everything goes to a new file in the same folder, which takes the name `path` when it is complete and on
/// the disk. Whoever reads `path` meanwhile sees the old file or the new one; a stop at any moment, a full
/// disk or a loss of power leaves one of the two. A kill may leave a file `.trm-….tmp` beside it.
///
/// # Errors
/// When the file cannot be written; the unfinished file is then removed.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A rename is one step only within a file system: the new file must lie in the same folder.
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut new = tempfile::Builder::new()
        .prefix(".trm-")
        .suffix(".tmp")
        .make_in(folder, |path| File::create_new(path))?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    // The new name, too, is data. Windows cannot open a folder, and does not need to.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
