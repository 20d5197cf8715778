//! What a run leaves for others to read: its experiment file, made from its metrics.

use crate::experiment::{self, Curve, Experiment, Validation};
use anyhow::Context;
use serde_json::Value;
use std::path::Path;

/// Points of a curve at most: enough to see its shape, few enough to read the file.
const POINTS: usize = 60;

/// One line of metrics: training, or a validation.
struct Line {
    samples: u64,
    hours: f64,
    /// Loss, cell accuracy, exact accuracy; the loss is that of training alone.
    values: [f64; 3],
}

/// Reads the lines of `metrics` that have all of `keys`, below `within` where that is given.
fn lines(metrics: &str, batch: u64, within: Option<&str>, keys: [&str; 3]) -> Vec<Line> {
    let line = |text: &str| -> Option<Line> {
        let line: Value = serde_json::from_str(text).ok()?;
        let place = match within {
            Some(key) => line.get(key)?,
            None => &line,
        };
        let value = |key: &str| place.get(key).and_then(Value::as_f64);
        let [first, second, third] = keys.map(value);
        Some(Line {
            samples: line["step"].as_u64()? * batch,
            hours: line["seconds"].as_f64()? / 3600.0,
            values: [first?, second?, third?],
        })
    };
    metrics.lines().filter_map(line).collect()
}

/// At most [`POINTS`] lines, each the mean of those since the one before.
fn thinned(lines: Vec<Line>) -> Vec<Line> {
    let each = lines.len().div_ceil(POINTS).max(1);
    let mean = |lines: &[Line]| {
        let last = lines.last().expect("chunks hold something");
        let sum = |i: usize| lines.iter().map(|line| line.values[i]).sum::<f64>();
        Line {
            samples: last.samples,
            hours: last.hours,
            values: [0, 1, 2].map(|i| sum(i) / lines.len() as f64),
        }
    };
    lines.chunks(each).map(mean).collect()
}

/// To four digits behind the point.
fn rounded(x: f64) -> f64 {
    (x * 1e4).round() / 1e4
}

/// The curves in the text of `metrics.jsonl`.
pub fn curves(metrics: &str, batch: u64) -> (Curve, Validation) {
    let training = ["lm_loss", "cell_accuracy", "exact_accuracy"];
    let training = thinned(lines(metrics, batch, None, training));
    let held_out = ["cell_accuracy", "cell_accuracy", "exact_accuracy"];
    let held_out = lines(metrics, batch, Some("validation"), held_out);
    let value =
        |lines: &[Line], i: usize| lines.iter().map(|line| rounded(line.values[i])).collect();
    let samples = |lines: &[Line]| lines.iter().map(|line| line.samples).collect();
    let hours = |lines: &[Line]| lines.iter().map(|line| rounded(line.hours)).collect();
    let curve = Curve {
        samples: samples(&training),
        hours: hours(&training),
        loss: value(&training, 0),
        cell_accuracy: value(&training, 1),
        exact_accuracy: value(&training, 2),
    };
    let validation = Validation {
        samples: samples(&held_out),
        hours: hours(&held_out),
        cell_accuracy: value(&held_out, 1),
        exact_accuracy: value(&held_out, 2),
    };
    (curve, validation)
}

/// Writes `experiment` to `path`; a verdict that somebody wrote there stays.
///
/// # Errors
/// When the file cannot be written, or the one that is there cannot be read: its verdict would be lost.
pub fn write(path: &Path, mut experiment: Experiment) -> anyhow::Result<()> {
    if path.exists() {
        let before = experiment::read(path)
            .context("its verdict would be lost; repair it or move it away")?;
        experiment.verdict = before.verdict;
    }
    let text = format!(
        "# Written by `trm train`, drawn by `trm report`. Only the verdict is for you to write.\n{}",
        toml::to_string(&experiment)?
    );
    trm_tensor::file::replace(path, |out| out.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_thinned_by_means_and_validations_are_kept() {
        let mut metrics = String::from("not JSON\n");
        for step in 1..=150 {
            metrics += &format!(
                "{{\"step\":{step},\"seconds\":{},\"lm_loss\":{step},\"cell_accuracy\":0.5,\"exact_accuracy\":0.25}}\n",
                36 * step
            );
        }
        metrics += "{\"step\":150,\"seconds\":7200.0,\
            \"validation\":{\"puzzles\":9,\"exact_accuracy\":0.125,\"cell_accuracy\":0.75}}\n";
        let (curve, validation) = curves(&metrics, 10);
        assert_eq!(curve.samples.len(), 50);
        assert_eq!((curve.samples[0], curve.samples[49]), (30, 1500));
        assert_eq!((curve.loss[0], curve.loss[49]), (2.0, 149.0));
        assert_eq!((curve.hours[49], curve.exact_accuracy[0]), (1.5, 0.25));
        assert_eq!(
            (&validation.samples[..], &validation.hours[..]),
            (&[1500][..], &[2.0][..])
        );
        assert_eq!(
            (validation.cell_accuracy[0], validation.exact_accuracy[0]),
            (0.75, 0.125)
        );
    }
}
