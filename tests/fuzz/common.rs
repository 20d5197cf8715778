//! What all targets share: a parser by its name, and a file for those that read files.

#[path = "../hostile/parsers.rs"]
pub mod parsers;

use std::path::PathBuf;
use tempfile::TempDir;

/// The file that holds the bytes of the run; in memory where there is such a place.
pub fn file() -> (TempDir, PathBuf) {
    let memory = std::path::Path::new("/dev/shm");
    let folder = match memory.exists() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder");
    let path = folder.path().join("file");
    (folder, path)
}

macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            use std::sync::LazyLock;
            static FILE: LazyLock<(tempfile::TempDir, std::path::PathBuf)> =
                LazyLock::new(common::file);
            static PARSER: LazyLock<common::parsers::Parser> = LazyLock::new(|| {
                let mut all = common::parsers::ALL.into_iter();
                all.find(|(name, _)| *name == $name)
                    .expect("a parser of this name")
            });
            std::fs::write(&FILE.1, bytes).expect("a file");
            PARSER.1(bytes, &FILE.1);
        });
    };
}
pub(crate) use target;
