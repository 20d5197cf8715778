//! `trm report`: experiment files as one picture, and as a table.

mod picture;

use crate::experiment::{self, Experiment};
use crate::output::{print, printable, table};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `trm report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm report runs/hard/experiment.toml                one run, drawn into report.svg
  trm report runs/*/experiment.toml --out hard.svg    up to 8 runs, one above the other
  trm report runs/*/experiment.toml --samples 64000   the beginnings, at equal samples
  trm report runs/*/experiment.toml --json | jq '.runs[].verdict'

The picture shows loss, cell accuracy and exact accuracy, against samples and against hours. A thin \
line with open markers is training, a thick one with filled markers the puzzles held out.")]
pub struct Args {
    /// Experiment files: TOML that `trm train` wrote, or the folders of runs that have one
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The picture
    #[arg(long, value_name = "FILE", default_value = "report.svg")]
    pub out: PathBuf,
    /// Only the first N samples of every run
    #[arg(long, value_name = "N")]
    pub samples: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (count, most) = (args.files.len(), picture::LOOKS.len());
    ensure!(
        count <= most,
        "{count} experiment files: one picture holds {most} at most; draw the others into another --out"
    );
    // Whatever ends in .svg is a picture, so that no experiment is overwritten by a slip.
    let ending = args.out.extension().unwrap_or_default();
    ensure!(
        ending.eq_ignore_ascii_case("svg"),
        "--out {}: expected a name that ends in .svg",
        args.out.display()
    );
    let of_a_run = |path: &PathBuf| match path.is_dir() {
        true => path.join("experiment.toml"),
        false => path.clone(),
    };
    let files: Vec<_> = args.files.iter().map(of_a_run).collect();
    let experiments = files.iter().map(|path| experiment::read(path));
    let mut experiments: Vec<_> = experiments.collect::<anyhow::Result<_>>()?;
    if let Some(samples) = args.samples {
        for (experiment, path) in experiments.iter_mut().zip(&files) {
            let cut = experiment.cut(samples);
            cut.with_context(|| format!("--samples {samples}, in {}", path.display()))?;
        }
    }
    let runs = label(experiments, files);
    let picture = picture::draw(&runs).context("cannot draw the picture")?;
    trm_tensor::file::replace(&args.out, |out| out.write_all(picture.as_bytes())).with_context(
        || {
            format!(
                "cannot write {}; check that its folder exists, is writable and has space left",
                args.out.display()
            )
        },
    )?;
    print(|out| match args.json {
        true => writeln!(out, "{}", json(&runs, &args.out)),
        false => write!(out, "{}\n{}\n", table(&rows(&runs)), args.out.display()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A run and what it is called here.
struct Run {
    label: String,
    file: PathBuf,
    experiment: Experiment,
}

/// Calls every run by its name, and by its file too where the name does not tell it apart.
fn label(experiments: Vec<Experiment>, files: Vec<PathBuf>) -> Vec<Run> {
    let names: Vec<_> = experiments.iter().map(|run| run.name.clone()).collect();
    let label = |name: &String, file: &Path| {
        let alone = names.iter().filter(|other| *other == name).count() == 1;
        match alone && !name.trim().is_empty() {
            true => printable(name),
            false => printable(&format!("{name} ({})", file.display())),
        }
    };
    let runs = experiments.into_iter().zip(files);
    runs.map(|(experiment, file)| Run {
        label: label(&experiment.name, &file),
        file,
        experiment,
    })
    .collect()
}

/// The runs for programs.
fn json(runs: &[Run], picture: &Path) -> Value {
    let rows = runs.iter().map(
        |Run {
             file, experiment, ..
         }| {
            json!({
                "file": file.display().to_string(),
                "name": experiment.name,
                "parameters": experiment.parameters,
                "samples": experiment.samples,
                "hours": experiment.hours,
                "best_exact_accuracy": experiment.best_exact_accuracy,
                "validation_exact_accuracy": experiment.validation.exact_accuracy.last(),
                "validation_cell_accuracy": experiment.validation.cell_accuracy.last(),
                "verdict": experiment.verdict,
            })
        },
    );
    json!({ "picture": picture.display().to_string(), "runs": rows.collect::<Vec<_>>() })
}

/// The runs for people.
fn rows(runs: &[Run]) -> Vec<[String; 8]> {
    let percent = |share: Option<&f64>| match share {
        Some(share) => format!("{:.2} %", 100.0 * share),
        None => "-".to_owned(),
    };
    let head = [
        "run",
        "parameters",
        "samples",
        "hours",
        "best exact",
        "last exact",
        "last cells",
        "verdict",
    ];
    let mut rows = vec![head.map(String::from)];
    rows.extend(runs.iter().map(
        |Run {
             label, experiment, ..
         }| {
            [
                label.clone(),
                experiment.parameters.to_string(),
                experiment.samples.to_string(),
                format!("{:.2}", experiment.hours),
                percent(experiment.best_exact_accuracy.as_ref()),
                percent(experiment.validation.exact_accuracy.last()),
                percent(experiment.validation.cell_accuracy.last()),
                printable(&experiment.verdict),
            ]
        },
    ));
    rows
}
