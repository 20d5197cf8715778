//! Weights on disk: a safetensors file whose metadata holds the config, so that it explains itself.
//!
//! Tensors bear the reference's names (TRM_SPEC 3.1): every trained parameter, the first states (`H_init`, `L_init`),
//! and `puzzle_emb.weights` where there are puzzle embeddings. Metadata: `format`, `model` (the config as
//! JSON), and whatever the caller adds.

use crate::checkpoint;
use crate::config::{ConfigError, ModelConfig};
use crate::network::{Network, Parameters};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_tensor::Shape;
use trm_tensor::file::folder_of;
use trm_tensor::safetensors::{self, Data, FileError, SafeTensorsFile};

/// Value of the metadata key `format`.
pub const FORMAT: &str = "trm-weights-1";

/// Why a weights file or checkpoint could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a file holds.
    #[error("{}: {fault}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ModelFault,
    },
    /// Neither of the two checkpoints of a folder can be read.
    #[error("{newest}; nor can the one before it be read: {previous}")]
    NoGoodCheckpoint {
        /// Why not the newest.
        newest: Box<ModelFileError>,
        /// Why not the one before it.
        previous: Box<ModelFileError>,
    },
    /// A network that the reference cannot build.
    #[error("{} was not written: the PyTorch reference cannot build this network: {error}", path.display())]
    NotInReference {
        /// The file.
        path: PathBuf,
        /// The key of the network's config, its value, and what the reference has.
        error: ConfigError,
    },
}

/// What can be wrong with the content of such a file.
#[derive(Debug, thiserror::Error)]
pub enum ModelFault {
    /// A safetensors file, but not one of ours.
    #[error("not a {expected} file: its metadata has {}. {}", shown(.found), hint(.found))]
    Foreign {
        /// The format that was expected.
        expected: &'static str,
        /// What the metadata says instead, if anything.
        found: Option<String>,
    },
    /// Metadata that is missing or does not parse.
    #[error("metadata `{key}` cannot be read: {error}")]
    Metadata {
        /// The metadata key.
        key: &'static str,
        /// Why not.
        error: String,
    },
    /// A config in the metadata that cannot work.
    #[error("its config cannot work: {0}")]
    Config(ConfigError),
    /// A tensor of another shape than the config asks for.
    #[error("tensor `{name}` has shape {got}, its config asks for {want}")]
    WrongShape {
        /// The tensor.
        name: String,
        /// Its shape.
        got: String,
        /// The shape that follows from the config.
        want: String,
    },
    /// A PyTorch checkpoint that cannot be read, or holds something else than numbers.
    #[error("not a PyTorch checkpoint that can be read: {0}")]
    Torch(String),
    /// A reference checkpoint without a tensor that the config asks for.
    #[error("no tensor `{0}`, which the config asks for; is it the config of this checkpoint?")]
    Missing(String),
    /// A reference checkpoint with a tensor that the config has no place for.
    #[error("tensor `{0}` has no place in the config; is it the config of this checkpoint?")]
    Unexpected(String),
    /// A value that no training step may leave behind.
    #[error("tensor `{name}` holds a value that is not a finite number (at index {index})")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Where.
        index: usize,
    },
}

impl ModelFault {
    /// The same as an error of the file at `path`.
    pub(crate) fn of(self, path: &Path) -> ModelFileError {
        ModelFileError::Content {
            path: path.into(),
            fault: self,
        }
    }
}

/// The format that a file has.
fn shown(found: &Option<String>) -> String {
    match found {
        Some(format) => format!("format {format}"),
        None => "no format".into(),
    }
}

/// What to do about a file of another format.
fn hint(found: &Option<String>) -> &'static str {
    match found.as_deref() {
        Some(checkpoint::FORMAT) => {
            "It is a checkpoint, from which `trm train` goes on with --resume or --import; weights are called \
             weights.safetensors and best.safetensors"
        }
        Some(FORMAT) => {
            "It is weights, from which `trm train` begins with --init-from; a checkpoint is called checkpoint.safetensors"
        }
        _ => "Files of this kind are written by `trm train`",
    }
}

/// Writes the parameters to `path`, whole or not at all. `extra` joins the metadata.
///
/// # Errors
/// When the file cannot be written; an old one at `path` then stays as it was.
pub fn save(
    path: &Path,
    net: &Network,
    params: &Parameters,
    extra: &BTreeMap<String, String>,
) -> Result<(), ModelFileError> {
    let tensors = net.tensors(params);
    let tensors = tensors.map(|(name, shape, values)| (name, shape, Data::F32(values)));
    let mut metadata = extra.clone();
    metadata.insert("format".into(), FORMAT.into());
    metadata.insert("model".into(), json(net.config()));
    Ok(safetensors::write(path, tensors, metadata)?)
}

/// A config as the metadata keeps it.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a config is plain data")
}

/// A network read from a file.
#[derive(Debug)]
pub struct Loaded {
    /// The network of the file's config.
    pub net: Network,
    /// Its parameters, packed.
    pub params: Parameters,
    /// All metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a weights file for the instruction set of `kernels`.
///
/// # Errors
/// When the file is no weights file, or its tensors and its config disagree, or a value is not finite.
pub fn load(path: &Path, kernels: &'static Kernels) -> Result<Loaded, ModelFileError> {
    let file = SafeTensorsFile::open(path)?;
    let config: ModelConfig = metadata(&file, path, "model", FORMAT)?;
    let net = network(path, config, kernels)?;
    // Before anything is allocated that the file does not have.
    for (name, shape) in net.tensor_shapes() {
        check_shape(&file, path, name, shape)?;
    }
    let mut params = net.zeros();
    params.keep_large_table_in(folder_of(path));
    for (name, shape, values) in net.tensors_mut(&mut params) {
        read(&file, path, name, shape, values)?;
    }
    net.pack(&mut params);
    Ok(Loaded {
        net,
        params,
        metadata: file.metadata().clone(),
    })
}

/// Parses the JSON under `key`, after checking that the file is of the `expected` format.
pub(crate) fn metadata<T: serde::de::DeserializeOwned>(
    file: &SafeTensorsFile,
    path: &Path,
    key: &'static str,
    expected: &'static str,
) -> Result<T, ModelFileError> {
    let found = file.metadata().get("format");
    if found.is_none_or(|format| format != expected) {
        let found = found.cloned();
        return Err(ModelFault::Foreign { expected, found }.of(path));
    }
    let bad = |error| ModelFault::Metadata { key, error }.of(path);
    let text = file.metadata().get(key);
    let text = text.ok_or_else(|| bad("there is none".into()))?;
    serde_json::from_str(text).map_err(|error| bad(error.to_string()))
}

/// The network of a config that came from `path`.
pub(crate) fn network(
    path: &Path,
    config: ModelConfig,
    kernels: &'static Kernels,
) -> Result<Network, ModelFileError> {
    Network::new(config, kernels).map_err(|error| ModelFault::Config(error).of(path))
}

/// Fails unless tensor `name` has this shape.
pub(crate) fn check_shape(
    file: &SafeTensorsFile,
    path: &Path,
    name: &str,
    want: Shape,
) -> Result<(), ModelFileError> {
    let got = file.shape(name)?;
    if got != want {
        let fault = ModelFault::WrongShape {
            name: name.into(),
            got: got.to_string(),
            want: want.to_string(),
        };
        return Err(fault.of(path));
    }
    Ok(())
}

/// Copies tensor `name` to `out`, checking shape and values.
pub(crate) fn read(
    file: &SafeTensorsFile,
    path: &Path,
    name: &str,
    want: Shape,
    out: &mut [f32],
) -> Result<(), ModelFileError> {
    check_shape(file, path, name, want)?;
    file.read_f32s(name, out)?;
    check_finite(path, name, out)
}

/// Fails with the first value that is not a finite number.
pub(crate) fn check_finite(path: &Path, name: &str, values: &[f32]) -> Result<(), ModelFileError> {
    match values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => {
            let name = name.into();
            Err(ModelFault::NotFinite { name, index }.of(path))
        }
    }
}
