//! Every parser of files, as a function of bytes: for the short fuzz of the ordinary tests, and for cargo-fuzz.
//!
//! None may panic, whatever the bytes are; what it makes of them is its own affair.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use trm_data::Puzzle;
use trm_data::arc::read::Role;
use trm_data::grid::{Format, GridPuzzle, Symmetries};
use trm_data::maze::MazePuzzle;
use trm_data::read::{Reader, Row};
use trm_data::reference::folder::Metadata;
use trm_data::reference::npy::Array;
use trm_kernels::Kernels;
use trm_model::{ModelConfig, TrainConfig, checkpoint, reference, weights};
use trm_tensor::safetensors::SafeTensorsFile;

/// A parser: its name, which is that of its folder of samples, and what it does with bytes. A parser of files finds
/// them in the file as well, which lies in a folder of its own.
pub type Parser = (&'static str, fn(&[u8], &Path));

/// All of them.
pub const ALL: [Parser; 9] = [
    ("safetensors", |_, file| safetensors(file)),
    ("weights", |_, file| drop(weights::load(file, kernels()))),
    ("checkpoint", |_, file| {
        drop(checkpoint::load(file, kernels(), 1))
    }),
    ("torch", |_, file| torch(file)),
    ("npy", |_, file| npy(file)),
    ("puzzles", |bytes, _| puzzles(bytes)),
    ("tasks", |_, file| tasks(file)),
    ("dataset", |_, file| dataset(file)),
    ("config", |bytes, _| config(bytes)),
];

fn kernels() -> &'static Kernels {
    &Kernels::available()[0]
}

fn safetensors(file: &Path) {
    if let Ok(file) = SafeTensorsFile::open(file) {
        for name in file.names() {
            drop((file.shape(&name), file.f32s(&name), file.u8s(&name)));
        }
    }
}

/// The network whose checkpoint is the sample.
pub fn of_the_sample() -> ModelConfig {
    ModelConfig {
        cells: 2,
        vocab_size: 3,
        width: 4,
        inner: 4,
        inner_positions: 4,
        layers: 1,
        prefix_len: 0,
        puzzle_emb_ndim: 0,
        ..ModelConfig::default()
    }
}

fn torch(file: &Path) {
    drop(reference::read(file, of_the_sample(), kernels()));
}

fn npy(file: &Path) {
    if let Ok(array) = Array::read(file) {
        drop((array.axes::<1>(), array.axes::<2>(), array.numbers(254)));
    }
}

fn rows<P: Row>(bytes: &[u8], format: P::Format) {
    if let Ok(reader) = Reader::<_, P>::new_as(bytes, "fuzz", format) {
        for puzzle in reader.flatten() {
            drop((puzzle.tokens(), puzzle.fingerprint(), puzzle.record()));
        }
    }
}

fn puzzles(bytes: &[u8]) {
    static FORMAT: LazyLock<Arc<Format>> = LazyLock::new(|| {
        let format = Format::new("fuzz", 2, 3, "ab #,\"é", Symmetries::Mirror);
        Arc::new(format.expect("a format"))
    });
    rows::<Puzzle>(bytes, ());
    rows::<MazePuzzle>(bytes, ());
    rows::<GridPuzzle>(bytes, Arc::clone(&FORMAT));
}

fn tasks(file: &Path) {
    drop(trm_data::arc::read::read(file, Some(file), Role::Tested));
}

fn dataset(file: &Path) {
    // The parser wants a folder with this name in it.
    let folder = file.with_file_name("folder");
    if std::fs::create_dir_all(&folder).is_ok()
        && std::fs::copy(file, folder.join("dataset.json")).is_ok()
    {
        drop(Metadata::read(&folder));
    }
}

#[derive(serde::Deserialize)]
struct Both {
    #[serde(default)]
    model: ModelConfig,
    #[serde(default)]
    train: TrainConfig,
}

fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(Both { model, train }) = toml::from_str(text) {
        drop((
            model.validate(),
            train.validate(),
            train.validate_for(&model),
        ));
    }
}
