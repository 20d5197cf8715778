//! Every parser of files, as a function of bytes: for the short fuzz of the ordinary tests, and for cargo-fuzz.
//!
//! None may panic, whatever the bytes are; what it makes of them is its own affair, but it says whether it read them.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use trm_data::arc::read::Role;
use trm_data::grid::{Format, Grid, Symmetries};
use trm_data::maze::Maze;
use trm_data::read::Reader;
use trm_data::reference::folder::Metadata;
use trm_data::reference::npy::Array;
use trm_data::{Board, Cells};
use trm_kernels::Kernels;
use trm_model::{ModelConfig, TrainConfig, checkpoint, reference, weights};
use trm_tensor::safetensors::SafeTensorsFile;

/// A parser: its name, which is that of its folder of samples, and what it does with bytes; true when they were
/// something that it reads. A parser of files finds them in the file as well, which lies in a folder of its own.
pub type Parser = (&'static str, fn(&[u8], &Path) -> bool);

/// All of them.
pub const ALL: [Parser; 9] = [
    ("safetensors", |_, file| safetensors(file)),
    ("weights", |_, file| weights::load(file, kernels()).is_ok()),
    ("checkpoint", |_, file| {
        checkpoint::load(file, kernels(), 1).is_ok()
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

fn safetensors(file: &Path) -> bool {
    let file = SafeTensorsFile::open(file);
    if let Ok(file) = &file {
        for name in file.names() {
            drop((file.shape(&name), file.f32s(&name), file.u8s(&name)));
        }
    }
    file.is_ok()
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

fn torch(file: &Path) -> bool {
    reference::read(file, of_the_sample(), kernels()).is_ok()
}

fn npy(file: &Path) -> bool {
    let array = Array::read(file);
    if let Ok(array) = &array {
        drop((array.axes::<1>(), array.axes::<2>(), array.numbers(254)));
    }
    array.is_ok()
}

/// Good rows.
fn rows<G: Cells>(bytes: &[u8], format: G::Format) -> usize {
    let Ok(reader) = Reader::<_, G>::new(bytes, "fuzz", format) else {
        return 0;
    };
    let read = reader.flatten().map(|puzzle| {
        let question = &puzzle.question;
        drop((question.tokens(), question.fingerprint(), puzzle.record()));
    });
    read.count()
}

/// The bytes as puzzles of every kind: good rows of each.
pub fn rows_of_each_kind(bytes: &[u8]) -> [usize; 3] {
    static FORMAT: LazyLock<Arc<Format>> = LazyLock::new(|| {
        let format = Format::new("fuzz", 2, 3, "ab #;\"é", Symmetries::Mirror);
        Arc::new(format.expect("a format"))
    });
    [
        rows::<Board>(bytes, ()),
        rows::<Maze>(bytes, ()),
        rows::<Grid>(bytes, Arc::clone(&FORMAT)),
    ]
}

fn puzzles(bytes: &[u8]) -> bool {
    rows_of_each_kind(bytes).iter().any(|&rows| rows > 0)
}

/// Challenges that lack the outputs of their tests.
const CHALLENGES: &[u8] = include_bytes!("samples/tasks/two.json");

/// The file as challenges, of either role, and as the solutions of good ones.
fn tasks(file: &Path) -> bool {
    use trm_data::arc::read::read;
    let good = file.with_file_name("challenges.json");
    if !good.exists() {
        std::fs::write(&good, CHALLENGES).expect("a file");
    }
    let read = [
        read(file, None, Role::Tested),
        read(file, None, Role::Learned),
        read(&good, Some(file), Role::Tested),
    ];
    read.iter().any(Result::is_ok)
}

fn dataset(file: &Path) -> bool {
    // The parser wants a folder with this name in it.
    let folder = file.with_file_name("folder");
    std::fs::create_dir_all(&folder).is_ok()
        && std::fs::copy(file, folder.join("dataset.json")).is_ok()
        && Metadata::read(&folder).is_ok()
}

#[derive(serde::Deserialize)]
struct Both {
    #[serde(default)]
    model: ModelConfig,
    #[serde(default)]
    train: TrainConfig,
}

fn config(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let Ok(Both { model, train }) = toml::from_str(text) else {
        return false;
    };
    let valid = [model.validate().is_ok(), train.validate(&model).is_ok()];
    valid == [true; 2]
}
