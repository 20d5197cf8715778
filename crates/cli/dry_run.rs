//! `trm train --dry-run`: what a run would cost, before it is started.

use crate::config::RunConfig;
use crate::memory::{self, Need, size};
use crate::output::{print, table};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use trm_kernels::Kernels;
use trm_model::carry::Slot;
use trm_model::{Network, Trainer};

/// Prints size, memory and estimated time.
pub fn dry_run(config: &RunConfig, threads: usize) -> anyhow::Result<ExitCode> {
    let kernels = config.train.kernels(Kernels::best()?)?;
    let net = Network::new(config.model.clone(), kernels)?;
    let c = &config.train;
    let need = Need::of(&config.model, c, threads)?;
    let flops = net.training_flops(c);
    memory::check(&config.model, c, threads)?;
    let seconds = time_of_a_step(config, threads)?;
    let free = memory::available(Path::new("/"));
    // A worker computes a shard, and a thread without one computes none.
    let workers = threads.min(c.shards());
    let rows = [
        ("parameters", net.layout().len().to_string(), String::new()),
        (
            "memory",
            size(need.total()),
            free.map_or_else(String::new, |free| {
                format!("{} has {} left", free.of, size(free.bytes as usize))
            }),
        ),
        (
            "  values",
            size(need.values),
            format!(
                "{} copies: weights, moments, average, gradients",
                need.copies
            ),
        ),
        ("  packed weights", size(need.packed), String::new()),
        ("  optimiser scratch", size(need.muon), String::new()),
        (
            "  puzzle embeddings",
            size(need.embeddings),
            match need.on_disk {
                true => "on the disk, not counted above".to_owned(),
                false => String::new(),
            },
        ),
        (
            "  carry",
            size(need.carry),
            format!("{} puzzles of {} bytes", c.batch, need.row),
        ),
        (
            "  workers",
            size(need.workers),
            format!("{workers} of {}", size(need.workers / workers)),
        ),
        (
            "  validation",
            size(need.validation),
            format!("{threads} of {}", size(need.validation / threads)),
        ),
        (
            "one sample",
            format!("{:.3} GFLOP", flops / 1e9),
            "a supervision step of one puzzle".into(),
        ),
        (
            "one step",
            format!("{seconds:.3} s"),
            format!("{:.1} samples/s", c.batch as f64 / seconds),
        ),
        (
            "the run",
            duration(seconds * c.steps as f64),
            format!("{} steps", c.steps),
        ),
    ];
    let rows = rows.map(|(what, much, more)| [what.to_owned(), much, more]);
    print(|out| write!(out, "{}", table(&rows)))?;
    Ok(ExitCode::SUCCESS)
}

/// A time in the unit in which people would tell it.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 100.0 * 60.0 => format!("{:.1} minutes", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} hours", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

/// Seconds of an optimiser step of full depth at the config's batch, from the times of two small parts of it: the
/// optimiser does the same for any batch, so a part of the batch takes more than its share.
fn time_of_a_step(config: &RunConfig, threads: usize) -> anyhow::Result<f64> {
    let c = &config.train;
    let round = threads.min(c.shards()) * c.micro_batch;
    let timed = |batch: usize| -> anyhow::Result<(f64, f64)> {
        Ok((batch as f64, time_of_a_batch(config, batch, threads)?))
    };
    let more = timed(c.batch.min(3 * round))?;
    if round >= c.batch {
        return Ok(more.1);
    }
    Ok(at(c.batch as f64, timed(round)?, more))
}

/// The height at `x` of the line through two points, the left one first; a line that falls is taken for a level one.
fn at(x: f64, few: (f64, f64), more: (f64, f64)) -> f64 {
    let slope = (more.1 - few.1) / (more.0 - few.0);
    more.1 + slope.max(0.0) * (x - more.0)
}

/// Seconds of an optimiser step of full depth on so many puzzles.
fn time_of_a_batch(config: &RunConfig, batch: usize, threads: usize) -> anyhow::Result<f64> {
    let mut train = config.train.clone();
    train.batch = batch;
    train.curriculum.clear(); // a run begins shallow, but most of it is not
    let kernels = train.kernels(Kernels::best()?)?;
    let net = Network::new(config.model.clone(), kernels)?;
    let params = net.init(0);
    let mut trainer = Trainer::new(net, params, train, threads)?;
    let blank = |_row: usize, slot: Slot<'_>| {
        slot.inputs.fill(1);
        slot.labels.fill(2);
    };
    trainer.step(blank)?;
    let (start, mut steps) = (Instant::now(), 0);
    while steps < 1 || start.elapsed().as_secs_f64() < 1.0 {
        trainer.step(blank)?;
        steps += 1;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(steps))
}

#[cfg(test)]
mod tests {
    use super::{at, duration};

    #[test]
    fn times_are_told_in_a_fitting_unit() {
        assert_eq!(
            [1.25, 324.0, 36_000.0, 61_157_196.0].map(duration),
            ["1.2 s", "5.4 minutes", "10.0 hours", "707.8 days"]
        );
    }

    /// Five seconds whatever the batch, and a quarter for each puzzle.
    #[test]
    fn the_optimiser_is_not_multiplied_by_the_batch() {
        assert_eq!(at(100.0, (4.0, 6.0), (12.0, 8.0)), 30.0);
        // A machine that was busy for a while.
        assert_eq!(at(100.0, (4.0, 6.0), (12.0, 5.0)), 5.0);
    }
}
