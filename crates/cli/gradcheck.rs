//! `trm gradcheck`: every gradient against finite differences, on every instruction set of this CPU.

use crate::output::{print, table};
use serde_json::{Value, json};
use std::process::ExitCode;
use trm_autograd::gradcheck::{Report, check_all};
use trm_kernels::Kernels;

/// Arguments of `trm gradcheck`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm gradcheck                     all instruction sets of this CPU
  trm gradcheck --isa portable      one of them
  trm gradcheck --json | jq .ok     for programs

Each gradient of each op, as its f32 backward pass computes it under a random upstream gradient, is \
compared with central differences of the same formula in f64. \"error\" is the difference that comes \
closest to its bound, \"bound\" is what f32 rounding may do there; both are parts of the largest \
element of the gradient.

Exit code: 0 when every element of every gradient keeps within its bound, 1 when one does not.")]
pub struct Args {
    /// Only this instruction set; `trm info` lists them [default: that of TRM_ISA, or all of this CPU]
    #[arg(long, value_name = "NAME")]
    pub isa: Option<String>,
    /// Seed of the random inputs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let isas = match &args.isa {
        Some(name) => std::slice::from_ref(Kernels::named(name)?),
        None if std::env::var_os("TRM_ISA").is_some_and(|isa| !isa.is_empty()) => {
            std::slice::from_ref(Kernels::best()?)
        }
        None => Kernels::available(),
    };
    let mut checks = Vec::new();
    for kernels in isas {
        say!("checking {}", kernels.name());
        let reports = check_all(kernels, args.seed);
        checks.extend(reports.into_iter().map(|report| (kernels.name(), report)));
    }
    let failed = checks.iter().filter(|(_, report)| !report.ok).count();
    print(|out| match args.json {
        true => writeln!(out, "{}", as_json(&checks, args.seed, failed == 0)),
        false => {
            write!(out, "{}", as_text(&checks))?;
            writeln!(out, "\n{} gradients checked, {failed} wrong", checks.len())
        }
    })?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn as_text(checks: &[(&str, Report)]) -> String {
    let head = ["op", "gradient of", "isa", "error", "bound", ""];
    let rows = checks.iter().map(|(isa, report)| {
        [
            report.op.clone(),
            report.parameter.clone(),
            (*isa).to_owned(),
            format!("{:.1e}", report.max_error),
            format!("{:.1e}", report.bound),
            if report.ok { "ok" } else { "WRONG" }.to_owned(),
        ]
    });
    let head = std::iter::once(head.map(String::from));
    table(&head.chain(rows).collect::<Vec<_>>())
}

fn as_json(checks: &[(&str, Report)], seed: u64, ok: bool) -> Value {
    let checks = checks.iter().map(|(isa, report)| {
        json!({
            "isa": isa,
            "op": report.op,
            "parameter": report.parameter,
            "elements": report.elements,
            "max_error": report.max_error,
            "bound": report.bound,
            "ok": report.ok,
        })
    });
    json!({ "ok": ok, "seed": seed, "checks": checks.collect::<Vec<_>>() })
}
