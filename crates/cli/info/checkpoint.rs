//! What `trm info` says of a checkpoint: how far its run is, and the config that it goes on with.

use super::checksums_row;
use crate::config::RunConfig;
use crate::output::table;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use trm_model::checkpoint;
use trm_tensor::safetensors::SafeTensorsFile;

/// A checkpoint, described.
pub(super) struct Description {
    config: RunConfig,
    step: u64,
    export: bool,
    checksums: bool,
}

impl Description {
    /// Describes a file, if it is a checkpoint.
    ///
    /// # Errors
    /// When it is one, and its config, its step or a tensor cannot be read or is damaged.
    pub fn of(path: &Path, file: &SafeTensorsFile) -> anyhow::Result<Option<Self>> {
        let text = |key: &str| file.metadata().get(key).map_or("", String::as_str);
        if text("format") != checkpoint::FORMAT {
            return Ok(None);
        }
        let no = |what: &str| format!("{}: its {what} cannot be read", path.display());
        file.check_tensors()?;
        Ok(Some(Description {
            config: serde_json::from_str(text("run")).with_context(|| no("config"))?,
            step: text("step").parse().with_context(|| no("step"))?,
            export: checkpoint::is_export(path),
            checksums: file.has_checksums(),
        }))
    }

    pub fn json(&self, path: &Path) -> Value {
        json!({
            "file": path.display().to_string(),
            "checksums": self.checksums,
            "checkpoint": { "step": self.step, "steps": self.config.train.steps, "has_batch": !self.export },
            "run": self.config,
        })
    }

    /// # Errors
    /// When the config does not fit TOML.
    pub fn text(&self, path: &Path) -> anyhow::Result<String> {
        let (is, go_on) = match self.export {
            true => ("without its batch", "--import"),
            false => ("with its batch", "--resume"),
        };
        let row = |name: &str, text: String| [name.to_owned(), text];
        let head = table(&[
            row("file", path.display().to_string()),
            checksums_row(self.checksums),
            row(
                "checkpoint",
                format!("{is}; trm train goes on with {go_on} and the config below"),
            ),
            row(
                "step",
                format!("{} of {}", self.step, self.config.train.steps),
            ),
        ]);
        Ok(format!("{head}\n{}", toml::to_string(&self.config)?))
    }
}
