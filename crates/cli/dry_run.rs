//! `trm train --dry-run`: what a run would cost, before it is started.

use crate::config::RunConfig;
use crate::output::{print, table};
use std::process::ExitCode;
use std::time::Instant;
use trm_kernels::Kernels;
use trm_model::carry::{Carry, Slot};
use trm_model::network::LARGE_TABLE;
use trm_model::workspace::Memory;
use trm_model::{Network, Trainer, winner};

/// Prints size, memory and estimated time.
pub fn dry_run(config: &RunConfig, threads: usize) -> anyhow::Result<ExitCode> {
    let net = Network::new(config.model.clone(), Kernels::best()?)?;
    let c = &config.train;
    let values = 4 * net.layout().len();
    let shards = c.gradient_shards.min(c.batch.div_ceil(c.micro_batch));
    // The values, both moments, and the moving average where there is one; then the gradients.
    let copies = 3 + usize::from(c.ema_rate > 0.0) + shards;
    let packed = 4 * net.layout().packed_len();
    let row = Carry::row_bytes(net.config(), c.winner_take_all);
    let set_aside = match c.winner_take_all {
        1 => 0,
        _ => winner::scratch_len(net.config()),
    };
    let memory = Memory::floats(&net, c.micro_batch.min(c.batch), c.mode(), 1);
    let worker = 4 * (memory + set_aside);
    let embeddings = 4 * net.config().puzzle_identifiers * net.config().puzzle_emb_ndim;
    let on_disk = embeddings >= LARGE_TABLE;
    let total = copies * values
        + packed
        + if on_disk { 0 } else { embeddings }
        + c.batch * row
        + threads * worker;
    let flops = net.training_flops(c);
    let seconds = time_of_a_step(config, threads)?;
    let size = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let rows = [
        ("parameters", net.layout().len().to_string(), String::new()),
        ("memory", size(total), String::new()),
        (
            "  values",
            size(copies * values),
            format!("{copies} copies: weights, moments, average, gradients"),
        ),
        ("  packed weights", size(packed), String::new()),
        (
            "  puzzle embeddings",
            size(embeddings),
            if on_disk {
                "on the disk, not counted above".to_owned()
            } else {
                String::new()
            },
        ),
        (
            "  carry",
            size(c.batch * row),
            format!("{} puzzles of {row} bytes", c.batch),
        ),
        (
            "  workers",
            size(threads * worker),
            format!("{threads} of {}", size(worker)),
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
            format!("{:.2} h", seconds * c.steps as f64 / 3600.0),
            format!("{} steps", c.steps),
        ),
    ];
    let rows = rows.map(|(what, much, more)| [what.to_owned(), much, more]);
    print(|out| write!(out, "{}", table(&rows)))?;
    Ok(ExitCode::SUCCESS)
}

/// Seconds of an optimiser step of full depth at the config's batch, measured on a small part of it.
fn time_of_a_step(config: &RunConfig, threads: usize) -> anyhow::Result<f64> {
    let mut train = config.train.clone();
    train.batch = train.batch.min(threads * 4 * train.micro_batch);
    train.curriculum.clear(); // a run begins shallow, but most of it is not
    let net = Network::new(config.model.clone(), Kernels::best()?)?;
    let params = net.init(0);
    let share = config.train.batch as f64 / train.batch as f64;
    let mut trainer = Trainer::new(net, params, train, threads)?;
    let blank = |_row: usize, slot: Slot<'_>| {
        slot.inputs.fill(1);
        slot.labels.fill(2);
    };
    trainer.step(blank);
    let (start, mut steps) = (Instant::now(), 0);
    while steps < 2 || start.elapsed().as_secs_f64() < 2.0 {
        trainer.step(blank);
        steps += 1;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(steps) * share)
}
