//! An experiment file: what a training run was, how it went and what was learned from it, as TOML.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the run.
    pub name: String,
    /// What was learned from it, in a person's words; may be empty.
    #[serde(default)]
    pub verdict: String,
    /// Seed of the run.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// The CPU and its instruction set.
    pub machine: String,
    /// Trained parameters.
    pub parameters: usize,
    /// Puzzles that it learned from.
    pub training_puzzles: usize,
    /// Puzzles drawn in training, one supervision step each.
    pub samples: u64,
    /// Hours of training.
    pub hours: f64,
    /// The best exact accuracy on held-out puzzles; absent when none were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_exact_accuracy: Option<f64>,
    /// How training went.
    pub curve: Curve,
    /// How the held-out puzzles went.
    #[serde(default)]
    pub validation: Validation,
    /// The whole config of the run.
    #[serde(default)]
    pub config: toml::Table,
}

/// Training: means since the point before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Samples so far.
    pub samples: Vec<u64>,
    /// Hours so far.
    pub hours: Vec<f64>,
    /// Loss, in nats a cell.
    pub loss: Vec<f64>,
    /// Share of the cells that were right.
    pub cell_accuracy: Vec<f64>,
    /// Share of the boards that were right in every cell.
    pub exact_accuracy: Vec<f64>,
}

/// Held-out puzzles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Samples so far.
    pub samples: Vec<u64>,
    /// Hours so far.
    pub hours: Vec<f64>,
    /// Share of the cells that were right.
    pub cell_accuracy: Vec<f64>,
    /// Share of the boards that were right in every cell.
    pub exact_accuracy: Vec<f64>,
}

impl Experiment {
    /// Keeps the first `samples` samples, as if the run had ended there.
    ///
    /// # Errors
    /// When the run has fewer, or nothing was written down that early.
    pub fn cut(&mut self, samples: u64) -> anyhow::Result<()> {
        ensure!(
            samples <= self.samples,
            "the run has {}: it cannot be compared at equal samples",
            self.samples
        );
        let curve = &mut self.curve;
        let kept = curve.samples.partition_point(|&at| at <= samples);
        ensure!(kept > 0, "the first point of the run comes later");
        curve.samples.truncate(kept);
        for values in [
            &mut curve.hours,
            &mut curve.loss,
            &mut curve.cell_accuracy,
            &mut curve.exact_accuracy,
        ] {
            values.truncate(kept);
        }
        let held_out = &mut self.validation;
        let kept = held_out.samples.partition_point(|&at| at <= samples);
        held_out.samples.truncate(kept);
        for values in [
            &mut held_out.hours,
            &mut held_out.cell_accuracy,
            &mut held_out.exact_accuracy,
        ] {
            values.truncate(kept);
        }
        self.samples = samples;
        self.hours = curve.hours[curve.hours.len() - 1];
        self.best_exact_accuracy = held_out.exact_accuracy.iter().copied().reduce(f64::max);
        Ok(())
    }
}

/// Reads an experiment file and checks it.
///
/// # Errors
/// When there is no such file, it does not parse, or a value cannot be; names the file and the key.
pub fn read(path: &Path) -> anyhow::Result<Experiment> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read experiment file {}: expected TOML as `trm train` writes it",
            path.display()
        )
    })?;
    parse(&text).with_context(|| format!("in experiment file {}", path.display()))
}

fn parse(text: &str) -> anyhow::Result<Experiment> {
    let experiment: Experiment = toml::from_str(text)?;
    check(&experiment)?;
    Ok(experiment)
}

/// Numbers that a key may have.
#[derive(Clone, Copy)]
enum Bounds {
    Finite,
    AtLeastZero,
    Share,
}

fn check(experiment: &Experiment) -> anyhow::Result<()> {
    let (curve, validation) = (&experiment.curve, &experiment.validation);
    check_value("hours", experiment.hours, Bounds::AtLeastZero)?;
    if let Some(best) = experiment.best_exact_accuracy {
        check_value("best_exact_accuracy", best, Bounds::Share)?;
    }
    let lists = [
        ("loss", &curve.loss, Bounds::Finite),
        ("cell_accuracy", &curve.cell_accuracy, Bounds::Share),
        ("exact_accuracy", &curve.exact_accuracy, Bounds::Share),
    ];
    check_table("curve", &curve.samples, &curve.hours, &lists)?;
    let lists = [
        ("cell_accuracy", &validation.cell_accuracy, Bounds::Share),
        ("exact_accuracy", &validation.exact_accuracy, Bounds::Share),
    ];
    check_table("validation", &validation.samples, &validation.hours, &lists)
}

/// Checks a table of lists with one value a point.
fn check_table(
    table: &str,
    samples: &[u64],
    hours: &Vec<f64>,
    lists: &[(&str, &Vec<f64>, Bounds)],
) -> anyhow::Result<()> {
    let points = samples.len();
    for (key, values, bounds) in [&[("hours", hours, Bounds::AtLeastZero)], lists].concat() {
        let found = values.len();
        ensure!(
            found == points,
            "{table}.{key} has length {found}, but {table}.samples has length {points}: \
             expected one value a point in every list of [{table}]"
        );
        for (i, &value) in values.iter().enumerate() {
            check_value(&format!("{table}.{key}[{i}]"), value, bounds)?;
        }
    }
    for i in 1..points {
        let (before, now) = (samples[i - 1], samples[i]);
        ensure!(
            before < now,
            "{table}.samples[{i}] = {now}, after {before}: expected more at every point"
        );
        let (before, now) = (hours[i - 1], hours[i]);
        ensure!(
            before <= now,
            "{table}.hours[{i}] = {now}, after {before}: expected no less at every point"
        );
    }
    Ok(())
}

fn check_value(key: &str, value: f64, bounds: Bounds) -> anyhow::Result<()> {
    let (good, expected) = match bounds {
        Bounds::Finite => (value.is_finite(), "a finite number"),
        Bounds::AtLeastZero => (
            value >= 0.0 && value.is_finite(),
            "a finite number, 0 or more",
        ),
        Bounds::Share => ((0.0..=1.0).contains(&value), "a share, 0 to 1"),
    };
    ensure!(good, "{key} = {value}: expected {expected}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
name = "hard1"
verdict = ""
seed = 0
threads = 2
machine = "a CPU"
parameters = 46370
training_puzzles = 1000
samples = 512000
hours = 1.43
best_exact_accuracy = 0.41

[curve]
samples = [1600, 3200]
hours = [0.004, 0.004]
loss = [2.19, 1.72]
cell_accuracy = [0.11, 0.35]
exact_accuracy = [0, 0.5]

[validation]
samples = [32000]
hours = [0.1]
cell_accuracy = [0.61]
exact_accuracy = [0.05]

[config.data]
side = 9
"#;

    #[test]
    fn what_was_written_is_read_back() {
        let experiment = parse(WHOLE).expect("an experiment");
        assert_eq!(experiment.curve.samples, [1600, 3200]);
        assert_eq!(experiment.curve.exact_accuracy, [0.0, 0.5]);
        assert_eq!(experiment.validation.exact_accuracy, [0.05]);
        assert_eq!(experiment.config["data"]["side"].as_integer(), Some(9));
        let text = toml::to_string(&experiment).expect("TOML");
        assert_eq!(parse(&text).expect("an experiment"), experiment);
    }

    #[test]
    fn a_run_without_validation_is_one() {
        let (front, _) = WHOLE.split_once("[validation]").expect("the table");
        let experiment = parse(&front.replace("best_exact_accuracy = 0.41", ""));
        let experiment = experiment.expect("an experiment");
        assert_eq!(experiment.validation, Validation::default());
        assert_eq!(experiment.best_exact_accuracy, None);
        let text = toml::to_string(&experiment).expect("TOML");
        assert_eq!(parse(&text).expect("an experiment"), experiment);
    }

    #[test]
    fn errors_name_the_key() {
        for (good, bad, expected) in [
            (
                "loss = [2.19, 1.72]",
                "loss = [2.19]",
                &["curve.loss has length 1", "curve.samples has length 2"][..],
            ),
            (
                "hours = [0.1]",
                "hours = []",
                &["validation.hours has length 0"],
            ),
            ("2.19, 1.72", "2.19, nan", &["curve.loss[1] = NaN"]),
            ("2.19, 1.72", "-inf, 1.72", &["curve.loss[0] = -inf"]),
            ("[0.61]", "[1.5]", &["validation.cell_accuracy[0] = 1.5"]),
            ("[0.05]", "[nan]", &["validation.exact_accuracy[0] = NaN"]),
            ("1.43", "nan", &["hours = NaN"]),
            ("0.41", "-1.0", &["best_exact_accuracy = -1"]),
            ("0.004, 0.004", "0.004, 0.003", &["curve.hours[1] = 0.003"]),
            ("0.004, 0.004", "-1, 0.004", &["curve.hours[0] = -1"]),
            (
                "1600, 3200",
                "1600, 1600",
                &["curve.samples[1] = 1600, after 1600"],
            ),
            ("1600, 3200", "1600, -1", &["samples"]),
            ("1600, 3200", "1600, nan", &["samples"]),
            ("verdict", "verdcit", &["verdcit"]),
            ("seed = 0", "", &["seed"]),
        ] {
            assert!(WHOLE.contains(good), "{good}");
            let error = parse(&WHOLE.replacen(good, bad, 1)).expect_err(bad);
            let error = format!("{error:#}");
            for part in expected {
                assert!(error.contains(part), "{bad}: {part:?} is not in {error:?}");
            }
        }
    }
}
