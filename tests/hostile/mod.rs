//! Bytes that nobody wrote with good intentions: no parser panics on them.
//!
//! Every parser has samples in `samples/PARSER`: whole files, and every input that a fuzzer ever found a fault with. Each
//! is read as it is and in thousands of damaged forms, always the same ones. `tests/fuzz` searches further.

mod parsers;
mod unsafe_code;

use rand::{Rng, RngExt};
use std::path::{Path, PathBuf};
use trm_autograd::random::{Purpose, stream};

/// Damaged forms of every sample.
const FORMS: u64 = 1500;

/// Numbers that lie at the edge of something.
const EDGES: [u64; 6] = [0, 1, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// One of the ways in which files get damaged, or are made to do damage.
fn damage(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    let len = bytes.len();
    if len == 0 {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..len);
    let to = rng.random_range(at..len.min(at + 40) + 1);
    match rng.random_range(0..8) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..to)),
        4 => {
            let part = bytes[at..to].to_vec();
            let place = rng.random_range(0..=len);
            bytes.splice(place..place, part);
        }
        5 => {
            let edge = EDGES[rng.random_range(0..EDGES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][rng.random_range(0..4)];
            let to = len.min(at + width);
            bytes[at..to].copy_from_slice(&edge[..to - at]);
        }
        // Numbers of text files: another digit, or many.
        6 => {
            let digits = (0..len).filter(|&i| bytes[i].is_ascii_digit());
            let digits: Vec<usize> = digits.collect();
            if let Some(&digit) = digits.get(rng.random_range(0..digits.len().max(1))) {
                let many = ["9", "-", "1e9", "18446744073709551616", "0.5", "\""];
                let new = many[rng.random_range(0..many.len())];
                bytes.splice(digit..=digit, new.bytes());
            }
        }
        _ => bytes.extend_from_within(at..to),
    }
}

/// Samples that are refused as they are: another kind of values, another network, a class that no weights need.
const REFUSED: [&str; 3] = [
    "npy/floats.npy",
    "torch/step_2.pt",
    "torch/unexpected_class.pt",
];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/samples")
}

/// Those of a parser, in the order of their names.
fn samples_of(parser: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(samples().join(parser)).expect("samples of this parser");
    let mut samples: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    samples.sort();
    samples
}

fn fuzz(name: &str) {
    let (_, parse) = parsers::ALL
        .into_iter()
        .find(|(parser, _)| *parser == name)
        .expect("a parser of this name");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let mut read = 0;
    for (number, sample) in samples_of(name).iter().enumerate() {
        let whole = std::fs::read(sample).expect("a sample");
        for form in 0..FORMS {
            let rng = &mut stream(number as u64, Purpose::Generate, form);
            let mut bytes = whole.clone();
            let times = if form == 0 { 0 } else { rng.random_range(1..4) };
            (0..times).for_each(|_| damage(&mut bytes, rng));
            std::fs::write(&file, &bytes).expect("a file");
            let bytes_of = std::panic::AssertUnwindSafe(&bytes);
            let unharmed = std::panic::catch_unwind(|| parse(&bytes_of, &file)).is_ok();
            assert!(
                unharmed,
                "{name} panics on form {form} of {}",
                sample.display()
            );
            read += 1;
        }
    }
    assert!(read >= FORMS, "{name}: {read} forms were read");
}

macro_rules! parsers {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_parser_is_here() {
            let here = [$(stringify!($name)),*];
            assert_eq!(parsers::ALL.map(|(name, _)| name), here);
        }
    };
}

parsers!(safetensors weights checkpoint torch npy puzzles tasks dataset config);

/// A file of tensors as a stranger writes it, whom no checksum keeps from lying.
fn without_checksums(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).expect("the file");
    let (len, rest) = bytes.split_first_chunk::<8>().expect("a length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).expect("JSON");
    let text = header["__metadata__"].as_object_mut().expect("text");
    text.retain(|key, _| !key.starts_with("crc32"));
    let header = header.to_string();
    let len = (header.len() as u64).to_le_bytes();
    [&len[..], header.as_bytes(), data].concat()
}

/// Undamaged, they are read, but for those that are [`REFUSED`]: the damaged forms do not all fail at the first byte.
/// `TRM_MAKE_SAMPLES=1` makes them again before.
#[test]
fn samples_are_whole() {
    if std::env::var_os("TRM_MAKE_SAMPLES").is_some() {
        make_samples();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let mut rows = [0; 3];
    for (parser, parse) in parsers::ALL {
        for sample in samples_of(parser) {
            let bytes = std::fs::read(&sample).expect("a sample");
            std::fs::write(&file, &bytes).expect("a file");
            let name = sample.strip_prefix(samples()).expect("one of them");
            let expected = !REFUSED.iter().any(|refused| name == Path::new(refused));
            assert_eq!(parse(&bytes, &file), expected, "{}", name.display());
            if parser == "puzzles" {
                let here = parsers::rows_of_each_kind(&bytes);
                rows.iter_mut()
                    .zip(here)
                    .for_each(|(all, here)| *all += here);
            }
        }
    }
    assert!(
        rows.iter().all(|&rows| rows > 0),
        "good rows of Sudoku, mazes and grids: {rows:?}"
    );
}

/// Writes the samples that are files of this engine's own, for when a format changes.
fn make_samples() {
    use std::collections::BTreeMap;
    use trm_model::{Network, TrainConfig, Trainer, checkpoint, reference, weights};
    let samples = samples();
    let kernels = trm_kernels::Kernels::best().expect("an instruction set");
    let net = Network::new(parsers::of_the_sample(), kernels).expect("a network");
    let params = net.init(0);
    let text = BTreeMap::from([("task".to_owned(), "two".to_owned())]);
    let path = samples.join("weights/small.safetensors");
    weights::save(&path, &net, &params, &text).expect("a file");
    std::fs::copy(&path, samples.join("safetensors/weights.safetensors")).expect("a file");
    reference::write(&samples.join("torch/small.pt"), &net, &params, true).expect("a file");
    let config = TrainConfig {
        batch: 2,
        ..TrainConfig::default()
    };
    let mut run = Trainer::new(net, params, config, 1).expect("a run");
    run.carry.refill(|_, slot| slot.labels.fill(1));
    let path = samples.join("checkpoint/small.safetensors");
    let everything = checkpoint::Contents::Everything;
    checkpoint::save(&path, &run, everything, &text).expect("a file");
    let path = samples.join("checkpoint/without_carry.safetensors");
    let without = checkpoint::Contents::WithoutCarry;
    checkpoint::save(&path, &run, without, &text).expect("a file");
    for parser in ["weights", "checkpoint"] {
        let path = samples.join(parser).join("small.safetensors");
        let stranger = samples.join(parser).join("stranger.safetensors");
        std::fs::write(stranger, without_checksums(&path)).expect("a file");
    }
}
