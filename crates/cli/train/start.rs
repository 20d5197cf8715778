//! How a run begins: anew, from the checkpoint in its folder, or from one that was carried here.

use super::lock::{self, Claim};
use super::{Args, Run};
use crate::config::{self, RunConfig};
use crate::{dataset, memory};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;
use trm_kernels::Kernels;
use trm_model::checkpoint::{self, Resumed};
use trm_model::weights::{self, Loaded};
use trm_model::{Network, Parameters, Trainer};
use trm_tensor::safetensors::SafeTensorsFile;
use trm_tensor::{AlignedVec, file};

/// A new run; refuses to overwrite an old one.
pub(super) fn begin(
    args: &Args,
    config: RunConfig,
    out: PathBuf,
    threads: usize,
) -> anyhow::Result<Run> {
    check_new(&out, &config, threads)?;
    let kernels = config.train.kernels(Kernels::best()?)?;
    let net = Network::new(config.model.clone(), kernels)?;
    let data = dataset::load(&config, args.files(), args.validate.as_deref())?;
    let (params, every_puzzle) = match &args.init_from {
        Some(path) => values_of(path, &net, data.identifiers.as_deref())?,
        None => (net.init(config.train.seed), None),
    };
    let mut trainer = Trainer::new(net, params, config.train.clone(), threads)?;
    let claim = prepare(&out, &config)?;
    trainer.params.keep_large_table_in(&out);
    if let Some(embedding) = every_puzzle {
        let puzzles = trainer.params.puzzle_emb.chunks_exact_mut(embedding.len());
        puzzles.for_each(|puzzle| puzzle.copy_from_slice(&embedding));
    }
    let (start, task) = (Instant::now(), config.task()?);
    Ok(Run {
        config,
        task,
        trainer,
        data,
        out,
        claim: Some(claim),
        threads,
        seconds_before: 0.0,
        start,
        best: -1.0,
        weights_are_old: false,
        metrics_fail: false,
    })
}

/// What a run leaves beside its checkpoints.
pub(super) const WEIGHTS: [&str; 2] = ["weights.safetensors", BEST];

/// Those of the best validation so far.
const BEST: &str = "best.safetensors";

/// Fails where a new run must not begin, or has not the memory; leaves nothing there.
pub fn check_new(out: &Path, config: &RunConfig, threads: usize) -> anyhow::Result<()> {
    refuse_to_overwrite(out)?;
    memory::check(&config.model, &config.train, threads)
}

/// Fails, before anything is loaded, where a new run must not begin; leaves nothing there.
fn refuse_to_overwrite(out: &Path) -> anyhow::Result<()> {
    lock::refuse_if_claimed(out)?;
    refuse_what_is_there(out)
}

fn refuse_what_is_there(out: &Path) -> anyhow::Result<()> {
    let holds = |names: &[&str]| names.iter().any(|name| out.join(name).exists());
    ensure!(
        !checkpoint::exists(out),
        "{} holds a run already: go on with --resume, or choose another folder with --out",
        out.display()
    );
    ensure!(
        !holds(&WEIGHTS),
        "{} holds weights, but no checkpoint to go on from: choose another folder with --out, or move {} away",
        out.display(),
        WEIGHTS.join(" and ")
    );
    ensure!(
        !holds(&["experiment.toml"]),
        "{} holds experiment.toml, the record of a run, but no checkpoint to go on from: choose another folder with \
         --out, or move it away",
        out.display()
    );
    // A run begins with both, the metrics empty.
    let metrics = std::fs::metadata(out.join("metrics.jsonl"));
    let is_ours = match holds(&["config.toml"]) {
        true => metrics.is_ok(),
        false => !metrics.is_ok_and(|metrics| metrics.len() > 0),
    };
    ensure!(
        is_ours,
        "{} holds a config.toml or metrics.jsonl that no run wrote, and a run would overwrite: choose another folder \
         with --out, or give it another name",
        out.display()
    );
    Ok(())
}

/// Makes the folder of a new run, and claims it.
fn prepare(out: &Path, config: &RunConfig) -> anyhow::Result<Claim> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let claim = lock::claim(out)?;
    // Another run may have come and gone while this one was loading.
    refuse_what_is_there(out)?;
    remove_unfinished(out);
    write_config(out, config)?;
    replace(&out.join("metrics.jsonl"), &[])?;
    Ok(claim)
}

fn write_config(out: &Path, config: &RunConfig) -> anyhow::Result<()> {
    let text = toml::to_string(config)?;
    replace(&out.join("config.toml"), text.as_bytes())
}

/// Fails unless the network in a weights file has system and sizes of a config's.
pub fn check_weights(path: &Path, config: &RunConfig) -> anyhow::Result<()> {
    let kernels = config.train.kernels(Kernels::best()?)?;
    let net = Network::new(config.model.clone(), kernels)?;
    fitting(path, &net).map(|_| ())
}

/// A weights file, if its network is of the same system and has the same sizes.
fn fitting(path: &Path, net: &Network) -> anyhow::Result<Loaded> {
    let loaded = weights::load(path, net.kernels())?;
    let [there, here] = [&loaded.net, net].map(|net| net.config().system);
    ensure!(
        there == here,
        "{}: its model.system is {}, the config's is {}",
        path.display(),
        json!(there),
        json!(here)
    );
    let sizes = |net: &Network| {
        let mut sizes: Vec<(String, String)> = Vec::new();
        for spec in net.layout().specs() {
            sizes.push((spec.name.clone(), spec.shape.to_string()));
        }
        let ndim = net.config().puzzle_emb_ndim.to_string();
        sizes.push(("puzzle_emb_ndim".to_owned(), ndim));
        sizes
    };
    let (expected, found) = (sizes(net), sizes(&loaded.net));
    let differing = expected.iter().zip(&found).find(|(a, b)| a != b);
    if let Some(((name, here), (other, there))) = differing {
        let here = match name == other {
            true => here.clone(),
            false => format!("{name} {here}"),
        };
        bail!(
            "{}: its network has other sizes than the config's: {other} is {there} there, {here} in the config",
            path.display()
        );
    }
    ensure!(
        expected.len() == found.len(),
        "{}: its network has {} matrices and vectors, the config's {}",
        path.display(),
        found.len(),
        expected.len()
    );
    Ok(loaded)
}

/// The values in a weights file, for a network of the same sizes.
///
/// Where its embeddings are of other puzzles than those with the fingerprint `identifiers`, every puzzle begins with
/// the mean of them, as in the reference (TRM_SPEC 11): that is the second result, and the table is left empty, since a
/// large one belongs on the disk before it is filled.
fn values_of(
    path: &Path,
    net: &Network,
    identifiers: Option<&str>,
) -> anyhow::Result<(Parameters, Option<Vec<f32>>)> {
    let loaded = fitting(path, net)?;
    let (mut params, ndim) = (loaded.params, net.config().puzzle_emb_ndim);
    let count = net.config().puzzle_identifiers;
    let known = loaded.metadata.get("identifiers").map(String::as_str);
    if (known, loaded.net.config().puzzle_identifiers) == (identifiers, count) || ndim == 0 {
        return Ok((params, None));
    }
    let (rows, mut mean) = (params.puzzle_emb.chunks_exact(ndim), vec![0.0; ndim]);
    let share = 1.0 / rows.len() as f32;
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += share * x);
    }
    params.puzzle_emb = AlignedVec::zeros(count * ndim);
    Ok((params, Some(mean)))
}

/// Fails if the run of a checkpoint would not fit in memory; one that cannot be read says so when it is loaded.
fn check_memory(path: &Path, threads: usize) -> anyhow::Result<()> {
    match checkpoint::configs(path) {
        Ok((model, train)) => memory::check(&model, &train, threads),
        Err(_) => Ok(()),
    }
}

pub(super) fn require_checkpoint(out: &Path) -> anyhow::Result<()> {
    ensure!(
        checkpoint::exists(out),
        "there is no checkpoint in {}: begin a run, or name the folder of one with --out",
        out.display()
    );
    Ok(())
}

/// The newest checkpoint in `out` that can be read; changes nothing.
pub(super) fn newest_checkpoint(out: &Path, threads: usize) -> anyhow::Result<(PathBuf, Resumed)> {
    for path in checkpoint::NAMES.map(|name| out.join(name)) {
        check_memory(&path, threads)?;
    }
    let kept = checkpoint::newest(out, Kernels::best()?, threads)?;
    if let Some(error) = &kept.damaged {
        say!("{error}; going back to {}", kept.path.display());
    }
    Ok((kept.path, kept.resumed))
}

/// The run in `out`, as its newest checkpoint that can be read left it.
pub(super) fn resume(
    args: &Args,
    config: RunConfig,
    out: PathBuf,
    threads: usize,
) -> anyhow::Result<Run> {
    lock::refuse_if_claimed(&out)?;
    require_checkpoint(&out)?;
    let claim = lock::claim(&out)?;
    let (path, resumed) = newest_checkpoint(&out, threads)?;
    let written = resumed.metadata.get("run").cloned();
    let mut run = go_on(args, &path, resumed, config, (out, threads))?;
    run.claim = Some(claim);
    keep_config(&run.out, &run.config, written.as_deref())?;
    run.best = run.best.max(best_of(&run)?);
    let newest = run.out.join(checkpoint::NAMES[0]);
    if path != newest && newest.exists() {
        // Out of the way, or the next checkpoint would push it over the good one.
        std::fs::rename(&newest, run.out.join("checkpoint-damaged.safetensors"))
            .with_context(|| format!("cannot rename {}", newest.display()))?;
    }
    remove_unfinished(&run.out);
    keep_metrics_until(&run.out.join("metrics.jsonl"), run.trainer.step)?;
    let (step, out) = (run.trainer.step, run.out.display());
    match step == run.config.train.steps {
        true => say!(
            "resuming {out} at step {step}, its last: the run is complete, nothing is left to train"
        ),
        false => say!("resuming {out} at step {step}"),
    }
    Ok(run)
}

/// Writes the config where none is, or where that of the checkpoint is (JSON), as the run wrote it. Any other is
/// somebody's own, and left alone.
fn keep_config(out: &Path, config: &RunConfig, of_checkpoint: Option<&str>) -> anyhow::Result<()> {
    let path = out.join("config.toml");
    if !path.exists() {
        return write_config(out, config);
    }
    let there = config::load(&path.display().to_string()).ok();
    if there.as_ref() == Some(config) {
        return Ok(());
    }
    let written = of_checkpoint.and_then(|text| serde_json::from_str::<RunConfig>(text).ok());
    if there.is_some() && there == written {
        return write_config(out, config);
    }
    say!(
        "note: {} is not the config of this run; it is left as it is",
        path.display()
    );
    Ok(())
}

/// Exact accuracy of the best weights in the folder of a run, which may be newer than the checkpoint that it goes on
/// from; negative where there are none, or of another run.
fn best_of(run: &Run) -> anyhow::Result<f64> {
    let Ok(file) = SafeTensorsFile::open(&run.out.join(BEST)) else {
        return Ok(-1.0);
    };
    let (theirs, ours) = (file.metadata(), run.metadata()?);
    let config = |text: Option<&String>| {
        let config: Option<RunConfig> = text.and_then(|text| serde_json::from_str(text).ok());
        config.map(|it| (it.data, it.model, it.train))
    };
    let same = theirs.get("data") == ours.get("data")
        && config(theirs.get("run")) == config(ours.get("run"));
    let exact = theirs.get("validation_exact_accuracy");
    let exact = exact.and_then(|exact| exact.parse::<f64>().ok());
    Ok(exact
        .filter(|exact| same && exact.is_finite())
        .unwrap_or(-1.0))
}

/// Removes what a kill in the middle of writing left behind; it is in nobody's way if it cannot.
fn remove_unfinished(out: &Path) {
    let Ok(entries) = std::fs::read_dir(out) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(".trm-") {
            continue;
        }
        match entry.file_type().is_ok_and(|there| there.is_dir()) {
            true => std::fs::remove_dir_all(entry.path()).ok(),
            false if name.ends_with(".tmp") => std::fs::remove_file(entry.path()).ok(),
            false => None,
        };
    }
}

/// A run in a new folder that goes on where an exported checkpoint stands.
pub(super) fn import(
    args: &Args,
    file: &Path,
    config: RunConfig,
    out: PathBuf,
    threads: usize,
) -> anyhow::Result<Run> {
    refuse_to_overwrite(&out)?;
    check_memory(file, threads)?;
    let imported = checkpoint::load(file, Kernels::best()?, threads)?;
    let mut run = go_on(args, file, imported, config, (out, threads))?;
    let step = run.trainer.step;
    ensure!(
        step < run.config.train.steps,
        "{}: its run is over, all {step} steps; to use what it learned, give the weights in the folder that it comes from",
        file.display()
    );
    // The best weights stay where they are; this folder has none yet.
    run.best = -1.0;
    run.claim = Some(prepare(&run.out, &run.config)?);
    say!("going on from {} at step {step}", file.display());
    Ok(run)
}

/// The run of a checkpoint, if config and puzzles are those that it was started with.
pub(super) fn go_on(
    args: &Args,
    path: &Path,
    resumed: Resumed,
    config: RunConfig,
    (out, threads): (PathBuf, usize),
) -> anyhow::Result<Run> {
    let text = |key: &str| resumed.metadata.get(key).map_or("", String::as_str);
    let stored: RunConfig = serde_json::from_str(text("run"))
        .with_context(|| format!("{}: its run config does not parse", path.display()))?;
    // The rates of all steps follow from their number.
    let longer = match stored.train.steps == config.train.steps {
        true => "",
        false => {
            ". A run keeps the length that it began with: to train its weights for longer, begin another run with \
             --init-from WEIGHTS and another --out"
        }
    };
    // What it is called, how often it looks and saves: nothing that is learned depends on it, and it may change.
    let stored = RunConfig {
        name: config.name.clone(),
        run: config.run.clone(),
        ..stored
    };
    ensure!(
        stored == config,
        "the run of {} was started with another config than {} gives now: {}; go on with its own, the config.toml of \
         its folder, and the same --steps and --seed{longer}",
        path.display(),
        args.config,
        config::differences(&stored, &config)?
    );
    let data = dataset::load(&config, args.files(), args.validate.as_deref())?;
    ensure!(
        text("data") == data.digest(),
        "the run of {} was started with other puzzles; resume with the same --data and --validate",
        path.display()
    );
    let number = |key: &str| {
        text(key).parse::<f64>().with_context(|| {
            format!(
                "{}: metadata `{key}` is {:?}, expected a number",
                path.display(),
                text(key)
            )
        })
    };
    let (seconds_before, best) = (number("seconds")?, number("best")?);
    let (trainer, start, task) = (resumed.trainer, Instant::now(), config.task()?);
    let at_the_end = trainer.step == config.train.steps;
    let weights_are_old = at_the_end && !weights_are_of(&out, trainer.step);
    Ok(Run {
        config,
        task,
        trainer,
        data,
        out,
        claim: None,
        threads,
        seconds_before,
        start,
        best,
        weights_are_old,
        metrics_fail: false,
    })
}

/// Whether the weights in `out` are those after `step`: a disk may have taken the last checkpoint and not them.
fn weights_are_of(out: &Path, step: u64) -> bool {
    let file = SafeTensorsFile::open(&out.join("weights.safetensors"));
    let trained = |file: SafeTensorsFile| file.metadata().get("trained_steps").cloned();
    file.ok().and_then(trained) == Some(step.to_string())
}

/// Drops lines of steps that the checkpoint does not know, since they will be made again. Where a line cannot be read,
/// the file as it was is set aside.
///
/// # Errors
/// When the file cannot be read or written; it is then as it was.
fn keep_metrics_until(path: &Path, step: u64) -> anyhow::Result<()> {
    let old = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let (mut kept, mut unreadable) = (Vec::new(), 0);
    for line in old.split(|&byte| byte == b'\n') {
        let record: Option<Value> = serde_json::from_slice(line).ok();
        match record.and_then(|record| record["step"].as_u64()) {
            Some(of) if of <= step => kept.extend([line, b"\n"].concat()),
            Some(_) => (),
            None => unreadable += usize::from(!line.is_empty()),
        }
    }
    if unreadable > 0 {
        let aside = path.with_file_name("metrics-damaged.jsonl");
        replace(&aside, &old)?;
        say!(
            "{}: lines that cannot be read ({unreadable}) are left out; the file as it was is {}",
            path.display(),
            aside.display()
        );
    }
    if kept == old {
        return Ok(());
    }
    replace(path, &kept)
}

fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    file::replace(path, |out| out.write_all(content))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another run may begin and end while this one is loading its puzzles.
    #[test]
    fn a_run_that_came_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config::load("sudoku4").expect("a preset");
        prepare(folder.path(), &config).expect("a new run");
        std::fs::write(folder.path().join(checkpoint::NAMES[0]), "").expect("a file");
        let before = std::fs::read(folder.path().join("config.toml")).expect("a config");
        let error = prepare(folder.path(), &config::load("sudoku6").expect("a preset"))
            .err()
            .expect("a run is there");
        assert!(error.to_string().contains("holds a run already"), "{error}");
        let after = std::fs::read(folder.path().join("config.toml")).expect("a config");
        assert!(after == before);
    }
}
