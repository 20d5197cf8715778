//! The PyTorch reference's checkpoints: read and written without PyTorch (TRM_SPEC 11).
//!
//! Such a file is the state dictionary of the evaluated model: the moving average where there is one, under names like
//!
//! ```text
//! _orig_mod.model.inner.L_level.layers.0.mlp.down_proj.weight        `_orig_mod.` when the model was compiled
//! ```
//!
//! [`read`] takes what `torch.save` wrote, or a safetensors file of the same tensors, with either prefix or none. The
//! file does not say what the network is: a config does, and every tensor must be there, none must be left, and every
//! shape must fit. Numbers of half precision become f32, those of double precision are rounded to it.
//!
//! [`write()`] makes what `torch.load` reads. Numbers stay f32, the first states too (the reference keeps those in its
//! forward type, bf16): the same bits come back.

mod archive;

use crate::config::{
    ConfigError, FeedForward, Mixer, ModelConfig, PositionEncoding, System, check, reference_inner,
};
use crate::network::{Network, Parameters};
use crate::weights::{self, ModelFault, ModelFileError};
use pytorch_reader::{DType, PickleValue, PytorchReader};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use trm_kernels::Kernels;
use trm_tensor::file::folder_of;
use trm_tensor::safetensors::{Floats, SafeTensorsFile};
use zip::result::ZipError;

/// What a compiled model puts in front of its names.
pub const COMPILED: &str = "_orig_mod.";

/// Where the network lies in the reference's model.
const INNER: &str = "model.inner.";

/// A tensor as it was read: its shape and its values.
type Tensor = (Vec<usize>, Vec<f32>);

/// Reads the checkpoint at `path` into a network of `config`.
///
/// # Errors
/// When the file is neither a PyTorch checkpoint nor a safetensors file, holds anything but tensors of numbers, or its
/// tensors are not those of the config: names the tensor.
pub fn read(
    path: &Path,
    config: ModelConfig,
    kernels: &'static Kernels,
) -> Result<(Network, Parameters), ModelFileError> {
    let net = weights::network(path, config, kernels)?;
    let mut tensors = tensors(path)?;
    let mut params = net.zeros();
    params.keep_large_table_in(folder_of(path));
    for (name, shape, target) in net.tensors_mut(&mut params) {
        let Some((dims, values)) = tensors.remove(name) else {
            return Err(ModelFault::Missing(name.into()).of(path));
        };
        if dims != shape.dims() || values.len() != target.len() {
            let fault = ModelFault::WrongShape {
                name: name.into(),
                got: format!("{dims:?}"),
                want: format!("{:?}", shape.dims()),
            };
            return Err(fault.of(path));
        }
        target.copy_from_slice(&values);
        weights::check_finite(path, name, target)?;
    }
    if let Some(name) = tensors.into_keys().next() {
        return Err(ModelFault::Unexpected(name).of(path));
    }
    net.pack(&mut params);
    Ok((net, params))
}

/// All tensors of a file, under their names within the network.
fn tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelFileError> {
    let within = |name: &str| {
        let name = name.strip_prefix(COMPILED).unwrap_or(name);
        name.strip_prefix(INNER).unwrap_or(name).to_owned()
    };
    let torch = |error: String| ModelFault::Torch(error).of(path);
    let mut tensors = BTreeMap::new();
    let mut insert = |name: &str, tensor| match tensors.insert(within(name), tensor) {
        None => Ok(()),
        Some(_) => {
            let name = within(name);
            Err(torch(format!("holds `{name}` twice, under two prefixes")))
        }
    };
    if begins_like_torch(path) {
        only_tensors(path).map_err(torch)?;
        let reader = PytorchReader::new(path).map_err(|e| torch(e.to_string()))?;
        for (name, tensor) in reader.into_tensors() {
            let bytes = tensor.read().map_err(|e| torch(format!("`{name}`: {e}")))?;
            let dtype = tensor.dtype();
            let values = floats_of(dtype).map(|precision| floats(precision, &bytes));
            let values = values
                .ok_or_else(|| torch(format!("`{name}` holds {dtype:?}, expected floats")))?;
            insert(&name, (tensor.shape().to_vec(), values))?;
        }
    } else {
        let file = SafeTensorsFile::open(path)?;
        for name in file.names() {
            let shape = file.shape(&name)?.dims().to_vec();
            let (precision, bytes) = file.floats(&name)?;
            insert(&name, (shape, floats(precision, &bytes)))?;
        }
    }
    Ok(tensors)
}

/// Fails when the pickle of a PyTorch file is anything but a dictionary of tensors. Nothing in it is ever called;
/// a file with anything else in it is refused all the same.
fn only_tensors(path: &Path) -> Result<(), String> {
    let root = PytorchReader::read_pickle_data(path, None).map_err(|e| e.to_string())?;
    let PickleValue::Dict(entries) = root else {
        return Err("it holds no dictionary of tensors".into());
    };
    let is_tensor = |value: &PickleValue| matches!(value, PickleValue::Unsupported(kind) if kind == "torch.Tensor");
    let mut others = entries.iter().filter(|(_, value)| !is_tensor(value));
    match others.next() {
        None => Ok(()),
        Some((name, PickleValue::Unsupported(class))) => {
            Err(format!("`{name}` is a {class}, expected a tensor"))
        }
        Some((name, _)) => Err(format!("`{name}` is plain data, expected a tensor")),
    }
}

/// Whether the file begins as an archive or a pickle does, and not as safetensors: with the length of a JSON object.
fn begins_like_torch(path: &Path) -> bool {
    let mut start = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(9).read_to_end(&mut start));
    let is_json = start.get(8) == Some(&b'{');
    read.is_ok() && !is_json && (start.starts_with(b"PK") || start.starts_with(&[0x80]))
}

/// The precision of a PyTorch type; none if it is no float.
fn floats_of(dtype: DType) -> Option<Floats> {
    Some(match dtype {
        DType::F16 => Floats::F16,
        DType::BF16 => Floats::BF16,
        DType::F32 => Floats::F32,
        DType::F64 => Floats::F64,
        _ => return None,
    })
}

/// Little-endian floats of any precision as f32.
fn floats(precision: Floats, bytes: &[u8]) -> Vec<f32> {
    match precision {
        Floats::F16 => numbers(bytes, |x| half(u16::from_le_bytes(x))),
        Floats::BF16 => numbers(bytes, |x| {
            f32::from_bits(u32::from(u16::from_le_bytes(x)) << 16)
        }),
        Floats::F32 => numbers(bytes, f32::from_le_bytes),
        Floats::F64 => numbers(bytes, |x| f64::from_le_bytes(x) as f32),
    }
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|x| number(*x))
        .collect()
}

/// An IEEE half as f32, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f32.powi(exponent - 15),
    }
}

/// Fails with the first part of the network that the reference lacks, or has in another form (TRM_SPEC 2, 3 and 12).
fn can_build(c: &ModelConfig) -> Result<(), ConfigError> {
    let transformer = c.system == System::Transformer;
    let by_mlp = c.mixer == Mixer::Mlp;
    let mixes = c.mixer == Mixer::Attention || by_mlp && !transformer;
    let own = "expected attention, or mlp with any system but \"transformer\"";
    check(mixes, "model.mixer", weights::json(&c.mixer), own)?;
    check(
        c.feed_forward == FeedForward::Swiglu,
        "model.feed_forward",
        weights::json(&c.feed_forward),
        "expected swiglu",
    )?;
    check(
        !c.registers,
        "model.registers",
        c.registers,
        "expected false",
    )?;
    check(c.symbols == 0, "model.symbols", c.symbols, "expected 0")?;
    check(
        c.position_encoding != PositionEncoding::None || !transformer,
        "model.position_encoding",
        "none",
        "expected learned or rope with system = \"transformer\"",
    )?;
    let fewest = c.puzzle_emb_ndim.div_ceil(c.width);
    let free = !matches!(c.system, System::Hrm | System::Transformer);
    check(
        free || c.prefix_len == fewest,
        "model.prefix_len",
        c.prefix_len,
        &format!("expected {fewest}: with this system it is as long as the puzzle embedding needs"),
    )?;
    // The reference derives both inner widths from one expansion.
    let (inner, over_positions) = (c.channel_inner(), c.position_inner());
    let whole = |inner: usize| inner.is_multiple_of(256);
    check(
        whole(inner),
        "model.inner",
        inner,
        "expected a multiple of 256",
    )?;
    let beside = |inner: usize| {
        let expansion = 1.5 * inner as f64 / c.width as f64;
        reference_inner(c.positions(), expansion)
    };
    let (least, most) = (beside(inner - 255), beside(inner));
    check(
        !by_mlp || whole(over_positions) && (least..=most).contains(&over_positions),
        "model.inner_positions",
        over_positions,
        &format!("expected a multiple of 256, {least} to {most} beside model.inner = {inner}"),
    )
}

/// Writes the parameters to `path` as the reference's checkpoint, whole or not at all; `compiled`: for a model that is
/// compiled, as the reference's is by default.
///
/// # Errors
/// When the reference cannot build the network, or the file cannot be written.
pub fn write(
    path: &Path,
    net: &Network,
    params: &Parameters,
    compiled: bool,
) -> Result<(), ModelFileError> {
    can_build(net.config()).map_err(|error| ModelFileError::NotInReference {
        path: path.into(),
        error,
    })?;
    let prefix = if compiled { COMPILED } else { "" };
    let tensors = net.tensors(params);
    let tensors: Vec<archive::Entry<'_>> = tensors
        .map(|(name, shape, values)| archive::Entry {
            name: format!("{prefix}{INNER}{name}"),
            shape: shape.dims().to_vec(),
            values,
        })
        .collect();
    let written = trm_tensor::file::replace(path, |out| {
        archive::write(&tensors, out).map_err(|error| match error {
            ZipError::Io(error) => error,
            other => std::io::Error::other(other),
        })
    });
    written.map_err(|error| {
        ModelFileError::File(trm_tensor::safetensors::FileError::Write {
            path: path.into(),
            error,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x7bff, 65504.0),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        let bf16 = floats(Floats::BF16, &[0x80, 0x3f, 0x49, 0xc0]);
        assert_eq!(bf16, [1.0, -3.140625]);
        assert_eq!(floats(Floats::F64, &2.5_f64.to_le_bytes()), [2.5]);
        assert_eq!(floats_of(DType::I64), None);
    }
}
