//! What `trm info` says of a checkpoint: how far its run is, and the config that it goes on with.

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
}

impl Description {
    /// Describes a file, if it is a checkpoint.
    ///
    /// # Errors
    /// When it is one, and its config or step cannot be read.
    pub fn of(path: &Path, file: &SafeTensorsFile) -> anyhow::Result<Option<Self>> {
        let text = |key: &str| file.metadata().get(key).map_or("", String::as_str);
        if text("format") != checkpoint::FORMAT {
            return Ok(None);
        }
        let no = |what: &str| format!("{}: its {what} cannot be read", path.display());
        Ok(Some(Description {
            config: serde_json::from_str(text("run")).with_context(|| no("config"))?,
            step: text("step").parse().with_context(|| no("step"))?,
            export: checkpoint::is_export(path),
        }))
    }

    pub fn json(&self, path: &Path) -> Value {
        json!({
            "file": path.display().to_string(),
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
