//! Unsafe code is where it is argued for, and nowhere else.

use std::path::{Path, PathBuf};

/// Where there may be some; the compiler's lints ask for an argument at each block.
const ALLOWED: [&str; 4] = [
    "kernels/src/", // intrinsics, and the calls of functions compiled for one instruction set
    "crates/tensor/src/aligned.rs", // memory that it owns, or maps
    "tests/memory.rs", // an allocator that counts
    "benches/peers/", // calls of the C libraries that are measured, a workspace of its own
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let skipped =
            name.is_none_or(|name| name.starts_with('.') || name == "target" || name == "runs");
        if path.is_dir() && !skipped {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line has the keyword outside a comment.
fn has_keyword(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.into_iter().any(|word| word == concat!("un", "safe"))
}

/// Where none is allowed, the compiler sees to it, macros included.
#[test]
fn crates_without_unsafe_code_forbid_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "crates/autograd/src/lib.rs",
        "crates/model/src/lib.rs",
        "crates/data/src/lib.rs",
        "crates/cli/main.rs",
        "tests/main.rs",
    ] {
        let text = std::fs::read_to_string(root.join(file)).expect("the root of a crate");
        let line = concat!("#![forbid(un", "safe_code)]");
        assert!(text.lines().any(|l| l == line), "{file} has no {line}");
    }
}

#[test]
fn unsafe_code_is_where_it_is_argued_for() {
    assert!(has_keyword(concat!("let x = un", "safe { y };")));
    assert!(!has_keyword(concat!(
        "#![deny(un",
        "safe_code)] // un",
        "safe"
    )));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(root, &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    let mut with = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).expect("text");
        let Some(line) = text.lines().position(has_keyword) else {
            continue;
        };
        let name = path
            .strip_prefix(root)
            .expect("a path within")
            .display()
            .to_string();
        let allowed = ALLOWED.iter().any(|allowed| name.starts_with(allowed));
        assert!(allowed, "{name}, line {}, has the keyword", line + 1);
        with += 1;
    }
    assert!(with >= 5, "the keyword was found in {with} files");
}
