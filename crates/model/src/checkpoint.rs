//! A training run on disk: with it a run goes on as if it had never stopped, to the bit.
//!
//! Everything that changes is kept: values, moving average, both moments, puzzle embeddings, the carry,
//! and the step, from which the schedule and all random streams follow. The config of the run lies in
//! the metadata. Only the count of updates in halves skipped one after the other begins again at 0: it decides when to
//! give a run up, and changes none of its numbers.
//!
//! Without the carry it is a file small enough to be taken to another machine: three or four numbers for
//! each parameter. The run then goes on from the same step with a batch of new puzzles.

mod keep;

pub use keep::{Kept, NAMES, exists, keep, newest};

use crate::config::{ModelConfig, TrainConfig};
use crate::network::Network;
use crate::trainer::Trainer;
use crate::weights::{ModelFault, ModelFileError, check_shape, json, metadata, network, read};
use std::collections::BTreeMap;
use std::path::Path;
use trm_autograd::op::loss::IGNORE;
use trm_kernels::Kernels;
use trm_tensor::Shape;
use trm_tensor::file::folder_of;
use trm_tensor::safetensors::{self, Data, SafeTensorsFile};

/// Value of the metadata key `format`.
pub const FORMAT: &str = "trm-checkpoint-1";

/// What a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Everything that changes.
    Everything,
    /// All but the carry.
    WithoutCarry,
}

/// Names of the carry's tensors begin with it.
const CARRY: &str = "carry.";

/// Metadata key of [`Trainer::updates`].
const UPDATES: &str = "updates";

/// All float state by name, to be written, or with `mut` to be read into.
macro_rules! floats {
    ($trainer:expr $(, $mut:tt)?) => {{
        let trainer = $trainer;
        [
            ("values", &$($mut)? trainer.params.values[..]),
            ("ema", &$($mut)? trainer.ema[..]),
            ("adam.m", &$($mut)? trainer.m[..]),
            ("adam.v", &$($mut)? trainer.v[..]),
            ("H_init", &$($mut)? trainer.params.h_init[..]),
            ("L_init", &$($mut)? trainer.params.l_init[..]),
            ("puzzle_emb.weights", &$($mut)? trainer.params.puzzle_emb[..]),
            ("carry.z_H", &$($mut)? trainer.carry.z_h[..]),
            ("carry.z_L", &$($mut)? trainer.carry.z_l[..]),
        ]
    }};
}

/// Writes the run to `path`, whole or not at all. `extra` joins the metadata.
///
/// # Errors
/// When the file cannot be written; see [`trm_tensor::file::replace`].
pub fn save(
    path: &Path,
    trainer: &Trainer,
    contents: Contents,
    extra: &BTreeMap<String, String>,
) -> Result<(), ModelFileError> {
    let carry = &trainer.carry;
    let puzzles = bytes_of(&carry.puzzles);
    let steps = bytes_of(&carry.steps);
    let halted: Vec<u8> = carry
        .halted
        .iter()
        .map(|&halted| u8::from(halted))
        .collect();
    let floats =
        floats!(trainer).map(|(name, data)| (name, Shape::from([data.len()]), Data::F32(data)));
    let bytes: [(&str, &[u8]); 5] = [
        ("carry.inputs", &carry.inputs),
        ("carry.labels", &carry.labels),
        ("carry.puzzles", &puzzles),
        ("carry.steps", &steps),
        ("carry.halted", &halted),
    ];
    let bytes = bytes.map(|(name, data)| (name, Shape::from([data.len()]), Data::U8(data)));
    let mut metadata = extra.clone();
    metadata.insert("format".into(), FORMAT.into());
    metadata.insert("model".into(), json(trainer.net.config()));
    metadata.insert("train".into(), json(&trainer.config));
    metadata.insert("step".into(), trainer.step.to_string());
    metadata.insert(UPDATES.into(), trainer.updates.to_string());
    let kept = |(name, ..): &(&str, Shape, Data<'_>)| {
        contents == Contents::Everything || !name.starts_with(CARRY)
    };
    let tensors = floats.into_iter().chain(bytes).filter(kept);
    Ok(safetensors::write(path, tensors, metadata)?)
}

/// A run read from a checkpoint.
#[derive(Debug)]
pub struct Resumed {
    /// The run, as it was.
    pub trainer: Trainer,
    /// All metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a checkpoint and prepares its run for a pool of `threads`; without a carry, all its rows are halted.
///
/// # Errors
/// When the file is no checkpoint, or its parts disagree with its config.
pub fn load(
    path: &Path,
    kernels: &'static Kernels,
    threads: usize,
) -> Result<Resumed, ModelFileError> {
    let file = SafeTensorsFile::open(path)?;
    let config: ModelConfig = metadata(&file, path, "model", FORMAT)?;
    let train: TrainConfig = metadata(&file, path, "train", FORMAT)?;
    let step: u64 = metadata(&file, path, "step", FORMAT)?;
    // Earlier versions did not write it.
    let updates = match file.metadata().contains_key(UPDATES) {
        true => metadata(&file, path, UPDATES, FORMAT)?,
        false => step,
    };
    let bad = |key, error| ModelFault::Metadata { key, error }.of(path);
    if updates > step {
        return Err(bad(UPDATES, format!("{updates} in {step} steps")));
    }
    if step > train.steps {
        return Err(bad("step", format!("step {step} of {}", train.steps)));
    }
    let in_config = |error| ModelFault::Config(error).of(path);
    let kernels = train.kernels(kernels).map_err(in_config)?;
    let net = network(path, config, kernels)?;
    let has_carry = file.names().iter().any(|name| name.starts_with(CARRY));
    check_sizes(&file, path, &net, &train, has_carry)?;
    let mut params = net.zeros();
    params.keep_large_table_in(folder_of(path));
    let mut trainer = Trainer::new(net, params, train, threads).map_err(in_config)?;
    (trainer.step, trainer.updates) = (step, updates);
    for (name, target) in floats!(&mut trainer, mut) {
        if has_carry || !name.starts_with(CARRY) {
            read(&file, path, name, Shape::from([target.len()]), target)?;
        }
    }
    let carry = &mut trainer.carry;
    if has_carry {
        read_bytes(&file, path, "carry.inputs", &mut carry.inputs)?;
        read_bytes(&file, path, "carry.labels", &mut carry.labels)?;
        read_numbers(&file, path, "carry.puzzles", &mut carry.puzzles)?;
        read_numbers(&file, path, "carry.steps", &mut carry.steps)?;
        let mut halted = vec![0; carry.halted.len()];
        read_bytes(&file, path, "carry.halted", &mut halted)?;
        let flags = carry.halted.iter_mut().zip(halted);
        flags.for_each(|(flag, byte)| *flag = byte != 0);
        check_carry(&trainer, path)?;
    }
    trainer.net.pack(&mut trainer.params);
    Ok(Resumed {
        trainer,
        metadata: file.metadata().clone(),
    })
}

/// Whether a file is a checkpoint without its batch.
pub fn is_export(path: &Path) -> bool {
    SafeTensorsFile::open(path).is_ok_and(|file| {
        let is_checkpoint = file.metadata().get("format").is_some_and(|f| f == FORMAT);
        is_checkpoint && !file.names().iter().any(|name| name.starts_with(CARRY))
    })
}

/// The configs of a checkpoint, without the rest of it: what it would take to load it.
///
/// # Errors
/// When the file is no checkpoint.
pub fn configs(path: &Path) -> Result<(ModelConfig, TrainConfig), ModelFileError> {
    let file = SafeTensorsFile::open(path)?;
    let model = metadata(&file, path, "model", FORMAT)?;
    Ok((model, metadata(&file, path, "train", FORMAT)?))
}

/// Compares the largest tensors with what the configs ask for, before anything is allocated that the file does not
/// have.
fn check_sizes(
    file: &SafeTensorsFile,
    path: &Path,
    net: &Network,
    train: &TrainConfig,
    has_carry: bool,
) -> Result<(), ModelFileError> {
    let c = net.config();
    let states = train.batch.saturating_mul(train.winner_take_all);
    for (name, len) in [
        ("values", net.layout().len()),
        (
            "puzzle_emb.weights",
            c.puzzle_identifiers * c.puzzle_emb_ndim,
        ),
        ("carry.z_H", states.saturating_mul(c.state_len())),
        ("carry.z_L", states.saturating_mul(c.latent_len())),
    ] {
        if has_carry || !name.starts_with(CARRY) {
            check_shape(file, path, name, Shape::from([len]))?;
        }
    }
    Ok(())
}

/// Tokens and identifiers index tables: they must lie within them. A row that goes on must have labels with a logit,
/// and a step left; one that has halted gets a new puzzle.
fn check_carry(trainer: &Trainer, path: &Path) -> Result<(), ModelFileError> {
    let (c, carry) = (trainer.net.config(), &trainer.carry);
    let bad = |key, error| Err(ModelFault::Metadata { key, error }.of(path));
    if let Some(token) = carry
        .inputs
        .iter()
        .find(|&&token| token as usize >= c.vocab_size)
    {
        return bad(
            "carry.inputs",
            format!("token {token} of a vocabulary of {}", c.vocab_size),
        );
    }
    if let Some(id) = carry
        .puzzles
        .iter()
        .find(|&&id| id as usize >= c.puzzle_identifiers)
    {
        return bad(
            "carry.puzzles",
            format!("identifier {id} of {}", c.puzzle_identifiers),
        );
    }
    let (first, end) = (c.first_output(), c.vocab_size as u8);
    let known = |label: u8| label == IGNORE || (first..end).contains(&label);
    let boards = carry.labels.chunks_exact(c.cells).enumerate();
    for (row, labels) in boards.filter(|(row, _)| !carry.halted[*row]) {
        if let Some(label) = labels.iter().find(|label| !known(**label)) {
            let expected = format!("expected {first} to {}, or {IGNORE} for none", end - 1);
            let error = format!("label {label} in row {row}: {expected}");
            return bad("carry.labels", error);
        }
        let (steps, most) = (carry.steps[row] as usize, c.halt_max_steps - 1);
        if steps > most {
            let expected = format!("expected at most {most} of a row that goes on");
            return bad("carry.steps", format!("{steps} in row {row}: {expected}"));
        }
    }
    Ok(())
}

fn bytes_of(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn read_bytes(
    file: &SafeTensorsFile,
    path: &Path,
    name: &str,
    out: &mut [u8],
) -> Result<(), ModelFileError> {
    let bytes = file.u8s(name)?;
    if bytes.len() != out.len() {
        let fault = ModelFault::WrongShape {
            name: name.into(),
            got: format!("[{}]", bytes.len()),
            want: format!("[{}]", out.len()),
        };
        return Err(fault.of(path));
    }
    out.copy_from_slice(&bytes);
    Ok(())
}

fn read_numbers(
    file: &SafeTensorsFile,
    path: &Path,
    name: &str,
    out: &mut [u32],
) -> Result<(), ModelFileError> {
    let mut bytes = vec![0; out.len() * 4];
    read_bytes(file, path, name, &mut bytes)?;
    for (number, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = u32::from_le_bytes(*bytes);
    }
    Ok(())
}
