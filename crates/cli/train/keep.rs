//! What a run leaves on the disk. A disk that fails costs nothing but what it did not take: training goes on and
//! tries again, and only at the end it is an error.

use super::{End, Run, round};
use crate::experiment::Experiment;
use crate::progress::Progress;
use crate::{config, info, record};
use anyhow::Context;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use trm_model::{Astray, Network, Parameters, checkpoint, weights};

/// The next try after a disk has failed.
const AGAIN: Duration = Duration::from_secs(60);

/// Tries at the end of a run, and the time between them.
const LAST_TRIES: (usize, Duration) = (3, Duration::from_secs(2));

impl Run {
    /// Says what could not be written; true if all was.
    pub(super) fn warn(&self, progress: &Progress, written: anyhow::Result<()>) -> bool {
        if let Err(error) = &written {
            progress.line(&format!("warning: {error:#}; training goes on"));
        }
        written.is_ok()
    }

    /// Leaves a checkpoint; gives the time until the next one, which comes soon where this one failed.
    pub(super) fn try_to_save(&self, progress: &Progress, interval: Duration) -> Duration {
        match self.warn(progress, self.save_checkpoint()) {
            true => interval,
            false => interval.min(AGAIN),
        }
    }

    /// Leaves the last checkpoint, and the weights where the run was cut short or they could not be written before.
    ///
    /// # Errors
    /// When none of several tries succeeds.
    pub(super) fn save_at_the_end(&mut self, progress: &Progress, end: End) -> anyhow::Result<()> {
        let (tries, pause) = LAST_TRIES;
        for left in (0..tries).rev() {
            let mut saved = self.save_checkpoint();
            if saved.is_ok() && (end != End::Finished || self.weights_are_old) {
                saved = self.save_weights("weights.safetensors", None);
            }
            match saved {
                Ok(()) => break,
                Err(error) if left == 0 => {
                    let (step, last_good) = (self.trainer.step, self.last_good());
                    return Err(error.context(format!(
                        "the end of the run, step {step}, could not be saved: {last_good}"
                    )));
                }
                Err(error) => progress.line(&format!("warning: {error:#}; trying again")),
            }
            std::thread::sleep(pause);
        }
        Ok(())
    }

    fn save_checkpoint(&self) -> anyhow::Result<()> {
        Ok(checkpoint::keep(
            &self.out,
            &self.trainer,
            &self.metadata()?,
        )?)
    }

    /// Writes the averaged weights to a file of the run's folder, with their exact accuracy where it was measured.
    pub(super) fn save_weights(&mut self, name: &str, exact: Option<f64>) -> anyhow::Result<()> {
        let (path, mut metadata) = (self.out.join(name), self.metadata()?);
        if let Some(exact) = exact {
            metadata.insert("validation_exact_accuracy".into(), exact.to_string());
        }
        let save =
            |net: &Network, params: &Parameters| weights::save(&path, net, params, &metadata);
        Ok(self.trainer.with_average(save)?)
    }

    /// Why a run stops whose numbers have gone astray, and where it can go back to.
    pub(super) fn gone_astray(&self, astray: &Astray) -> anyhow::Error {
        anyhow::anyhow!(
            "{astray}: train.lr = {} may be too high; {}",
            self.config.train.lr,
            self.last_good()
        )
    }

    /// Where a run that cannot go on can go back to.
    fn last_good(&self) -> String {
        let paths = checkpoint::NAMES.map(|name| self.out.join(name));
        match paths.iter().find(|path| path.exists()) {
            Some(path) => format!("the last checkpoint, {}, is as it was", path.display()),
            None => "no checkpoint was written yet".to_owned(),
        }
    }

    /// Adds a line to the metrics. A disk that takes none is spoken of once, until it takes one again.
    pub(super) fn write_metrics(&mut self, progress: &Progress, line: &Value) {
        let written = append(&self.out.join("metrics.jsonl"), line);
        let fail = written.is_err();
        if !self.metrics_fail {
            self.warn(progress, written);
        }
        self.metrics_fail = fail;
    }

    /// Leaves the run for others to read: what it was, and its curves so far.
    pub(super) fn write_experiment(&self) -> anyhow::Result<()> {
        let (net, train) = (&self.trainer.net, &self.config.train);
        let metrics = self.out.join("metrics.jsonl");
        let metrics = std::fs::read_to_string(&metrics)
            .with_context(|| format!("cannot read {}", metrics.display()))?;
        let (curve, validation) = record::curves(&metrics, train.batch as u64);
        let experiment = Experiment {
            name: self.config.name.clone(),
            verdict: String::new(),
            seed: train.seed,
            threads: self.threads,
            machine: format!("{}, {}", info::cpu(), net.kernels().name()),
            parameters: net.layout().len(),
            training_puzzles: self.data.train.len(),
            samples: self.trainer.step * train.batch as u64,
            hours: round(self.seconds() / 3600.0, 4),
            best_exact_accuracy: (self.best >= 0.0).then_some(self.best),
            curve,
            validation,
            config: config::table(&self.config)?,
        };
        record::write(&self.out.join("experiment.toml"), experiment)
    }

    /// What weights and checkpoints say about the run beside their config.
    pub(super) fn metadata(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let entries = [
            ("run", serde_json::to_string(&self.config)?),
            ("task", self.task.name()),
            ("data", self.data.digest()),
            ("trained_steps", self.trainer.step.to_string()),
            ("seconds", format!("{:.1}", self.seconds())),
            ("best", self.best.to_string()),
        ];
        let identifiers = self.data.identifiers.clone();
        let identifiers = identifiers.map(|digest| ("identifiers", digest));
        let entries = entries.into_iter().chain(identifiers);
        Ok(entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect())
    }
}

/// Adds a line to a file, or nothing.
fn append(path: &Path, line: &Value) -> anyhow::Result<()> {
    let append = || -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        let before = file.metadata()?.len();
        // In one piece, so that a kill leaves no half a line.
        let written = file.write_all(format!("{line}\n").as_bytes());
        // Nor does a full disk, to which the next line would be glued.
        written.inspect_err(|_| file.set_len(before).unwrap_or(()))
    };
    append().with_context(|| format!("cannot write {}", path.display()))
}
