//! `trm convert`: weights to and from the PyTorch reference.

use crate::config;
use crate::output::print;
use crate::paths::{check_writable, same_file};
use anyhow::{Context, ensure};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_kernels::Kernels;
use trm_model::{reference, weights};

/// Arguments of `trm convert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm convert step_65000 mine.safetensors --config paper-mlp   the reference's, as weights of trm
  trm convert mine.safetensors step_1                          and back: torch.load reads it
  trm convert mine.safetensors step_1 --uncompiled             for a model that is not compiled

With --config, FROM is what the reference's pretrain.py saved (or a safetensors file of the same \
tensors, with or without `_orig_mod.`), and the config says what network it is: a checkpoint does \
not. Without, FROM is a weights file of trm, of a network that the reference can build: mixer mlp \
or attention, the plain gate, and inner widths that are multiples of 256. None of the weights that \
come with trm is one.

Values are not changed: the same bits come back. Of FROM, half precision becomes f32 exactly, and \
double precision is rounded to it. TO must not be there yet.")]
pub struct Args {
    /// The file to read
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The file to write
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// FROM is a checkpoint of the reference, and this preset or TOML file is its config
    #[arg(long, value_name = "CONFIG")]
    pub config: Option<String>,
    /// Write names without `_orig_mod.`, as a model has them that is not compiled
    #[arg(long, conflicts_with = "config")]
    pub uncompiled: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Fails unless `to` is the name of a new file, or no regular one: what is there may be the only weights of a run.
fn refuse_to_replace(to: &Path) -> anyhow::Result<()> {
    check_writable(to)?;
    let is_regular = std::fs::metadata(to).is_ok_and(|there| there.is_file());
    ensure!(
        !is_regular,
        "{}: there is a file already; choose another name, or move it away",
        to.display()
    );
    Ok(())
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(
        !same_file(&args.from, &args.to),
        "FROM and TO are both {}: the file would be overwritten",
        args.from.display()
    );
    refuse_to_replace(&args.to)?;
    let kernels = Kernels::best()?;
    let (net, format) = match &args.config {
        Some(name) => {
            let run = config::load(name)?;
            let (net, params) = reference::read(&args.from, run.model.clone(), kernels)?;
            let metadata: BTreeMap<String, String> = [
                ("run".to_owned(), serde_json::to_string(&run)?),
                ("task".to_owned(), run.task()?.name()),
            ]
            .into();
            weights::save(&args.to, &net, &params, &metadata)?;
            (net, weights::FORMAT)
        }
        None => {
            let loaded = weights::load(&args.from, kernels).context(
                "FROM is read as weights of trm; for a checkpoint of the reference give its --config",
            )?;
            let compiled = !args.uncompiled;
            reference::write(&args.to, &loaded.net, &loaded.params, compiled)?;
            (loaded.net, "pytorch")
        }
    };
    let (to, parameters) = (args.to.display(), net.layout().len());
    print(|out| match args.json {
        true => {
            let line =
                json!({ "file": to.to_string(), "format": format, "parameters": parameters });
            writeln!(out, "{line}")
        }
        false => writeln!(out, "{parameters} parameters in {to}"),
    })?;
    Ok(ExitCode::SUCCESS)
}
