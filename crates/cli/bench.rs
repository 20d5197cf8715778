//! `trm bench`: how fast this machine trains and solves, and how near that is to its limit.

mod measure;
mod presets;
mod report;

use crate::info::cpu;
use crate::memory::{self, Need};
use crate::output::print;
use crate::progress::Progress;
use crate::threads::{pool, threads};
use anyhow::{Context, ensure};
use measure::{Budget, Product, Role};
use presets::{PRESETS, Preset};
use report::{CONDITIONS, MatmulRate, Report};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;
use trm_kernels::{Kernels, Precision};
use trm_model::{Network, TrainConfig};

/// Arguments of `trm bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm bench                                        a small network, about a minute
  trm bench --preset paper-mlp --json > old.json   the paper's network, for programs and for later
  trm bench --preset paper-mlp --compare old.json  what has changed since
  trm bench --steps 0 --shape 194,3072,512         one matrix product alone
  trm bench --preset small-att --precision f16     products in halves, on a CPU that has them
  trm bench --scaling --shape 97,512,512           what the second thread brings

Rates are medians. A training step is the whole of it: new puzzles, forward, backward, optimiser, \
moving average, packing. An evaluation step is one supervision step of one puzzle. Percentages \
are of the peak multiply-add rate, measured in turns with each product; a peak that differs by more \
than a tenth from the row called peak is shown beside it. Nothing else should be running.

x·W and W·x use a weight that was packed beforehand, as right or left operand; 'gradient of W' \
adds to the gradient of one. JSON calls them weight right, weight left and gradient.")]
pub struct Args {
    /// Network: paper-mlp, paper-att, small-mlp, small-att, mid-mlp, maze-att
    #[arg(long, value_name = "NAME", default_value = "small-mlp", value_parser = preset)]
    pub preset: &'static Preset,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = crate::threads::thread_count)]
    pub threads: Option<u16>,
    /// Puzzles in the batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub batch: u32,
    /// Timed training and evaluation steps; 0: none of either [default: what fits a minute]
    #[arg(long, value_name = "N")]
    pub steps: Option<u32>,
    /// Matrix products to measure instead of the network's, rows,columns,depth
    #[arg(long, value_name = "m,n,k")]
    pub shape: Vec<Shape>,
    /// Of matrix products: f32, or f16 on a CPU with AVX512-FP16
    #[arg(long, value_name = "f32|f16", default_value = "f32")]
    pub precision: Precision,
    /// Also run the steps on one thread, in turns with all threads: how many times as fast are they?
    #[arg(long)]
    pub scaling: bool,
    /// Keep only the inputs of the levels while training, and run each again for its gradient
    #[arg(long)]
    pub recompute: bool,
    /// An earlier report (--json) to compare with
    #[arg(long, value_name = "OLD.json")]
    pub compare: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long, conflicts_with = "md")]
    pub json: bool,
    /// Print Markdown tables
    #[arg(long)]
    pub md: bool,
}

impl Args {
    /// Fails where an option asks for more of steps that another one leaves out.
    fn refuse_what_has_no_effect(&self) -> anyhow::Result<()> {
        let options = [(self.scaling, "--scaling"), (self.recompute, "--recompute")];
        for (given, option) in options {
            ensure!(
                !given || self.measures_steps(),
                "--steps 0 leaves out the steps that {option} is about: give more steps, or leave {option} out"
            );
        }
        ensure!(
            !self.scaling || self.threads != Some(1),
            "--threads 1 leaves --scaling nothing to compare: give --threads 2 or more, or leave --scaling out"
        );
        Ok(())
    }

    /// Whether training and evaluation are measured, and not only products.
    fn measures_steps(&self) -> bool {
        self.steps != Some(0)
    }
}

fn preset(name: &str) -> Result<&'static Preset, String> {
    Preset::named(name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Rows, columns and depth of a product.
#[derive(Clone, Copy, Debug)]
pub struct Shape([usize; 3]);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<usize>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
        match sizes.as_deref() {
            Some(&[m, n, k]) if [m, n, k].iter().all(|s| (1..=1 << 16).contains(s)) => {
                Ok(Shape([m, n, k]))
            }
            _ => Err("expected three numbers from 1 to 65536: rows,columns,depth".to_owned()),
        }
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.refuse_what_has_no_effect()?;
    let before = args.compare.as_deref().map(read_report).transpose()?;
    // Products are compared by their shapes, whichever network they are of.
    if let (true, Some(before), Some(path)) = (args.measures_steps(), &before, &args.compare) {
        let (old, new) = (&before["preset"], args.preset.name);
        ensure!(
            *old == new,
            "--compare {}: that is of preset {old}, this of \"{new}\"; give the same --preset",
            path.display()
        );
    }
    let threads = threads(args.threads);
    let pool = pool(threads)?;
    let report = pool.install(|| measure_all(args, threads))?;
    if let (Some(before), Some(path)) = (&before, &args.compare) {
        let new = report.json(None);
        for key in CONDITIONS {
            let (here, there, path) = (&new[key], &before[key], path.display());
            if there.is_null() {
                // A report from before the key was written is compared all the same.
                say!("note: {key} is {here} here, and {path} does not say");
            } else if here != there {
                say!("note: {key} is {here} here, in {path} {there}");
            }
        }
    }
    let text = match (args.json, args.md) {
        (true, _) => format!("{}\n", report.json(before.as_ref())),
        (_, true) => report.markdown(before.as_ref()),
        _ => report.text(before.as_ref()),
    };
    print(|out| write!(out, "{text}"))?;
    Ok(ExitCode::SUCCESS)
}

fn read_report(path: &Path) -> anyhow::Result<serde_json::Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: serde_json::Value = serde_json::from_str(&text)
        .with_context(|| format!("{}: expected what trm bench --json prints", path.display()))?;
    ensure!(
        report
            .get("preset")
            .is_some_and(serde_json::Value::is_string),
        "{}: has no \"preset\"; expected what trm bench --json prints",
        path.display()
    );
    Ok(report)
}

fn measure_all(args: &Args, threads: usize) -> anyhow::Result<Report> {
    let k = Kernels::best()?.in_precision(args.precision)?;
    let model = args.preset.model();
    let mut train = args.preset.training(args.batch as usize);
    (train.recompute, train.precision) = (args.recompute, args.precision);
    let net = Network::new(model.clone(), k)?;
    let (eval_flops, train_flops) = net.flops();
    let products = match &args.shape[..] {
        [] => measure::products(&model, train.micro_batch),
        shapes => {
            let role = Role::WeightRight;
            let of = |&Shape([m, n, k])| Product { m, n, k, role };
            shapes.iter().map(of).collect()
        }
    };
    check_memory(args, &products, &train, threads)?;
    let budget = |seconds, least| Budget {
        time: Duration::from_secs_f64(seconds),
        least,
        exactly: args.steps.map(|steps| steps as usize),
    };
    // The two peaks; training and solving; the speed-ups of both.
    let steps = 2 * u64::from(args.measures_steps()) + 2 * u64::from(args.scaling);
    let progress = Progress::new(products.len() as u64 + 2 + steps, "measuring");

    let of_kernels = Budget {
        exactly: None,
        ..budget(0.5, 5)
    };
    let fma_peak_gflops = measure::peak(k.in_floats(), of_kernels);
    progress.add(1);
    let in_halves = k.in_precision(Precision::F16).ok();
    let f16_peak_gflops = in_halves.map(|k| measure::peak(k, of_kernels));
    progress.add(1);
    let rates = products.into_iter().map(|p| {
        let rate = measure::product(k, p, of_kernels);
        progress.add(1);
        MatmulRate::from(rate)
    });
    let matmul = rates.collect();

    let (mut training, mut solving, mut speedups) = (None, None, None);
    if args.measures_steps() {
        let seconds = measure::training(&model, train.clone(), k, budget(20.0, 3))?;
        training = Some(train.batch as f64 / seconds);
        progress.add(1);
        solving = Some(measure::solving(&model, &train, k, budget(8.0, 3))?);
        progress.add(1);
    }
    let peak_rss_mb = measure::peak_rss_mb(); // what follows holds two networks
    if args.scaling {
        let budget = budget(40.0, 5);
        let training = measure::training_speedup(&model, &train, k, budget)?;
        progress.add(1);
        let solving = measure::solving_speedup(&model, &train, k, budget)?;
        progress.add(1);
        speedups = Some((training, solving));
    }
    progress.finish();
    Ok(Report {
        preset: args.preset.name,
        batch: train.batch,
        micro_batch: train.micro_batch,
        recompute: train.recompute,
        parameters: net.layout().len(),
        threads,
        precision: args.precision,
        isa: k.name(),
        cpu: cpu(),
        fma_peak_gflops,
        f16_peak_gflops,
        matmul,
        train_samples_per_s: training,
        train_gflops: training.map(|rate| rate * train_flops / 1e9),
        eval_samples_per_s: solving.map(|(step, _)| 1.0 / step),
        eval_gflops: solving.map(|(step, _)| eval_flops / step / 1e9),
        solve_latency_ms: solving.map(|(_, latency)| 1e3 * latency),
        train_speedup: speedups.map(|(training, _)| training),
        eval_speedup: speedups.map(|(_, solving)| solving),
        peak_rss_mb,
    })
}

/// Fails unless this machine has the memory for what is to be measured.
fn check_memory(
    args: &Args,
    products: &[Product],
    train: &TrainConfig,
    threads: usize,
) -> anyhow::Result<()> {
    for &Product { m, n, k, .. } in products {
        // A, B and C, and A or B once more, packed.
        let bytes = 4 * (m * k + k * n + m * n + m.max(n) * k);
        memory::check_bytes(&format!("--shape {m},{n},{k}"), bytes, "the sizes")?;
    }
    if args.measures_steps() {
        let of = |threads| Need::of(&args.preset.model(), train, threads);
        let (mut need, mut what) = (of(threads)?, format!("--batch {}", args.batch));
        if args.scaling {
            need = need.beside(of(1)?); // held together, since they take turns
            what += " --scaling, a run on one thread beside that on all";
        }
        need.validation = 0; // solving begins when training has ended
        need.check().context(what)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_three_sizes() {
        let shape: Shape = "97,3072, 512".parse().expect("a shape");
        assert_eq!(shape.0, [97, 3072, 512]);
        for bad in ["", "1,2", "1,2,3,4", "0,1,1", "a,b,c", "1,1,70000"] {
            assert!(bad.parse::<Shape>().is_err(), "{bad:?}");
        }
    }
}
