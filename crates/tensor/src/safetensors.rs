//! Files.
use crate::Shape;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
/// Error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileError(String);
/// File.
pub struct SafeTensorsFile {
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
}
/// Data.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// floats
    F32(&'a [f32]),
    /// bytes
    U8(&'a [u8]),
}
impl SafeTensorsFile {
    /// Open.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let bytes = std::fs::read(path).map_err(|e| FileError(format!("{}: {e}", path.display())))?;
        let (_, m) = safetensors::SafeTensors::read_metadata(&bytes)
            .map_err(|e| FileError(format!("{}: {e}", path.display())))?;
        let metadata = m.metadata().clone().unwrap_or_default().into_iter().collect();
        Ok(SafeTensorsFile { bytes, metadata })
    }
    fn view(&self, name: &str) -> Result<safetensors::tensor::TensorView<'_>, FileError> {
        safetensors::SafeTensors::deserialize(&self.bytes)
            .and_then(|s| s.tensor(name))
            .map_err(|e| FileError(format!("{name}: {e}")))
    }
    /// Shape.
    pub fn shape(&self, name: &str) -> Result<Shape, FileError> {
        let v = self.view(name)?;
        let d = v.shape();
        Ok(match d {
            [] => Shape::from([]),
            [a] => Shape::from([*a]),
            [a, b] => Shape::from([*a, *b]),
            [a, b, c] => Shape::from([*a, *b, *c]),
            [a, b, c, d] => Shape::from([*a, *b, *c, *d]),
            _ => return Err(FileError("rank".into())),
        })
    }
    /// Floats.
    pub fn f32s(&self, name: &str) -> Result<Cow<'_, [f32]>, FileError> {
        let v = self.view(name)?;
        Ok(Cow::Owned(
            v.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        ))
    }
    /// Bytes.
    pub fn bytes_u8(&self, name: &str) -> Result<&[u8], FileError> {
        Ok(self.view(name)?.data())
    }
    /// Metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
    /// Contains.
    pub fn contains(&self, name: &str) -> bool {
        self.view(name).is_ok()
    }
}
/// Write.
pub fn write<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, Shape, Data<'a>)>,
    metadata: BTreeMap<String, String>,
) -> Result<(), FileError> {
    let mut owned: Vec<(String, Shape, Vec<u8>, safetensors::Dtype)> = Vec::new();
    for (n, s, d) in tensors {
        match d {
            Data::F32(x) => owned.push((
                n.into(),
                s,
                x.iter().flat_map(|x| x.to_le_bytes()).collect(),
                safetensors::Dtype::F32,
            )),
            Data::U8(x) => owned.push((n.into(), s, x.to_vec(), safetensors::Dtype::U8)),
        }
    }
    let views: Vec<_> = owned
        .iter()
        .map(|(n, s, b, t)| {
            (n.clone(), safetensors::tensor::TensorView::new(*t, s.dims().to_vec(), b).expect("ok"))
        })
        .collect();
    let bytes = safetensors::serialize(views, Some(metadata.into_iter().collect()))
        .map_err(|e| FileError(e.to_string()))?;
    let tmp = path.with_extension("tmp");
    std::fs::write(&tmp, bytes)
        .and_then(|()| std::fs::rename(&tmp, path))
        .map_err(|e| FileError(format!("{}: {e}", path.display())))
}
impl std::fmt::Debug for SafeTensorsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SafeTensorsFile({})", self.bytes.len())
    }
}
