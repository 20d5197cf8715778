//! What `trm bench` prints: one list of figures, as JSON, as Markdown, or for people; beside an earlier
//! report, each figure with its ratio to the one before.

use super::measure::{Rate, Role};
use crate::output::table;
use serde_json::{Map, Value, json};
use trm_kernels::Precision;

/// A product's line.
#[derive(Debug)]
pub struct MatmulRate {
    shape: [usize; 3],
    role: &'static str,
    gflops: f64,
    fraction_of_peak: f64,
}

impl From<Rate> for MatmulRate {
    fn from(rate: Rate) -> Self {
        let p = rate.product;
        MatmulRate {
            shape: [p.m, p.n, p.k],
            role: p.role.name(),
            gflops: rate.gflops,
            fraction_of_peak: rate.fraction,
        }
    }
}

/// All figures; those of the network are absent when it was not run.
#[derive(Debug)]
pub struct Report {
    /// Name of the network.
    pub preset: &'static str,
    /// Puzzles in the batch.
    pub batch: usize,
    /// Puzzles that a worker takes at a time.
    pub micro_batch: usize,
    /// Whether the levels are run again for their gradient.
    pub recompute: bool,
    /// Trained parameters, without puzzle embeddings.
    pub parameters: usize,
    /// Worker threads.
    pub threads: usize,
    /// Of matrix products.
    pub precision: Precision,
    /// Instruction set.
    pub isa: &'static str,
    /// The CPU's name.
    pub cpu: String,
    /// Multiply-adds in registers, one thread.
    pub fma_peak_gflops: f64,
    /// The same in halves, where the CPU has them.
    pub f16_peak_gflops: Option<f64>,
    /// Products, one thread.
    pub matmul: Vec<MatmulRate>,
    /// Puzzles a second, one supervision step each, forward and backward.
    pub train_samples_per_s: Option<f64>,
    /// The same as work in matrix products.
    pub train_gflops: Option<f64>,
    /// Supervision steps of one puzzle a second.
    pub eval_samples_per_s: Option<f64>,
    /// The same as work in matrix products.
    pub eval_gflops: Option<f64>,
    /// One puzzle, 16 steps, all threads.
    pub solve_latency_ms: Option<f64>,
    /// A training step on all threads, times as fast as on one.
    pub train_speedup: Option<f64>,
    /// The same without training.
    pub eval_speedup: Option<f64>,
    /// Most memory at a time, MiB.
    pub peak_rss_mb: Option<f64>,
}

/// What figures depend on beside the network, by its names in JSON: where it differs, they say little.
pub const CONDITIONS: [&str; 8] = [
    "cpu",
    "isa",
    "precision",
    "threads",
    "batch",
    "micro_batch",
    "recompute",
    "rustc",
];

/// Peaks that differ by more than this part are not of the same machine at the same time.
const CHANGED: f64 = 0.1;

/// The compiler that made this program.
const RUSTC: &str = env!("TRM_RUSTC");

impl Report {
    /// The figures that are compared, by their names in JSON.
    fn figures(&self) -> Vec<(String, Option<f64>)> {
        let one = |name: &str, value| (name.to_owned(), value);
        let mut figures = vec![
            one("train_samples_per_s", self.train_samples_per_s),
            one("train_gflops", self.train_gflops),
            one("eval_samples_per_s", self.eval_samples_per_s),
            one("eval_gflops", self.eval_gflops),
            one("solve_latency_ms", self.solve_latency_ms),
            one("train_speedup", self.train_speedup),
            one("eval_speedup", self.eval_speedup),
            one("peak_rss_mb", self.peak_rss_mb),
            one("fma_peak_gflops", Some(self.fma_peak_gflops)),
            one("f16_peak_gflops", self.f16_peak_gflops),
        ];
        figures.extend(self.matmul.iter().map(|m| (m.name(), Some(m.gflops))));
        figures
    }

    /// One object; with `before`, the ratios of its figures to those before in `compare`.
    pub fn json(&self, before: Option<&Value>) -> Value {
        let matmul = self.matmul.iter().map(|m| {
            json!({
                "shape": m.shape,
                "role": m.role,
                "precision": self.precision.to_string(),
                "gflops": m.gflops,
                "fraction_of_peak": m.fraction_of_peak,
                "peak_gflops": m.peak(),
            })
        });
        let mut report = json!({
            "preset": self.preset,
            "batch": self.batch,
            "micro_batch": self.micro_batch,
            "recompute": self.recompute,
            "parameters": self.parameters,
            "threads": self.threads,
            "precision": self.precision.to_string(),
            "isa": self.isa,
            "cpu": self.cpu,
            "rustc": RUSTC,
            "fma_peak_gflops": self.fma_peak_gflops,
            "f16_peak_gflops": self.f16_peak_gflops,
            "matmul": matmul.collect::<Vec<_>>(),
            "train_samples_per_s": self.train_samples_per_s,
            "train_gflops": self.train_gflops,
            "eval_samples_per_s": self.eval_samples_per_s,
            "eval_gflops": self.eval_gflops,
            "solve_latency_ms": self.solve_latency_ms,
            "train_speedup": self.train_speedup,
            "eval_speedup": self.eval_speedup,
            "peak_rss_mb": self.peak_rss_mb,
        });
        if let Some(before) = before {
            let figures = self.figures().into_iter();
            let ratios = figures.filter_map(|(name, now)| {
                let ratio = now? / old_figure(before, &name)?;
                Some((name, json!(ratio)))
            });
            report["compare"] = Value::Object(ratios.collect::<Map<_, _>>());
        }
        report
    }

    /// What was measured, where.
    fn subject(&self) -> String {
        format!(
            "{}: {} parameters, batch {} in micro-batches of {}{}, {} threads, {} on {}\n{}, {RUSTC}\n",
            self.preset,
            self.parameters,
            self.batch,
            self.micro_batch,
            if self.recompute {
                " with recompute"
            } else {
                ""
            },
            self.threads,
            self.precision,
            self.isa,
            self.cpu,
        )
    }

    /// Rows of name, value and unit, and where there is an earlier report, its value and the ratio.
    fn rows(&self, before: Option<&Value>) -> Vec<Vec<String>> {
        let mut head = vec![
            "figure".to_owned(),
            format!("{:>9}", "value"),
            "".to_owned(),
        ];
        if before.is_some() {
            head.extend([format!("{:>9}", "before"), format!("{:>7}", "ratio")]);
        }
        let mut rows = vec![head];
        for (name, value) in self.figures() {
            let Some(value) = value else { continue };
            let digits = if name.ends_with("speedup") { 2 } else { 1 };
            let mut row = vec![
                readable(&name),
                format!("{value:>9.digits$}"),
                self.unit(&name),
            ];
            if let Some(before) = before {
                let old = old_figure(before, &name);
                row.push(old.map_or(String::new(), |old| format!("{old:>9.digits$}")));
                row.push(old.map_or(String::new(), |old| format!("{:>6.2}x", value / old)));
            }
            rows.push(row);
        }
        rows
    }

    fn unit(&self, name: &str) -> String {
        match name {
            "train_samples_per_s" => "samples/s".to_owned(),
            "eval_samples_per_s" => "steps/s, of one puzzle each".to_owned(),
            "train_gflops" => share(self.train_gflops, self),
            "eval_gflops" => share(self.eval_gflops, self),
            "solve_latency_ms" => "ms, one puzzle, 16 steps".to_owned(),
            "train_speedup" | "eval_speedup" => format!("times one thread, on {}", self.threads),
            "peak_rss_mb" => "MiB".to_owned(),
            "fma_peak_gflops" | "f16_peak_gflops" => "GFLOP/s, one thread".to_owned(),
            _ => {
                let product = self.matmul.iter().find(|m| m.name() == name);
                product.map_or(String::new(), |m| self.share_of_peak(m))
            }
        }
    }

    /// The peak of one thread, in the precision of the products.
    fn peak(&self) -> f64 {
        match self.precision {
            Precision::F32 => self.fma_peak_gflops,
            Precision::F16 => self.f16_peak_gflops.unwrap_or(f64::NAN),
        }
    }

    /// A product as a share of the peak that was measured in turns with it, which is named where it is another than
    /// that of the report's own row: the machine was then not as fast, or as idle, as before.
    fn share_of_peak(&self, product: &MatmulRate) -> String {
        let (share, meanwhile) = (product.fraction_of_peak, product.peak());
        let changed = (meanwhile / self.peak() - 1.0).abs() > CHANGED;
        let note = match changed {
            true => format!(", {meanwhile:.1} meanwhile"),
            false => String::new(),
        };
        format!("GFLOP/s, {:.1} % of the peak{note}", 100.0 * share)
    }

    /// For people.
    pub fn text(&self, before: Option<&Value>) -> String {
        format!("{}\n{}", self.subject(), table(&self.rows(before)))
    }

    /// A Markdown table.
    pub fn markdown(&self, before: Option<&Value>) -> String {
        let mut text = format!("{}\n", self.subject());
        for (i, row) in self.rows(before).iter().enumerate() {
            let cells: Vec<_> = row.iter().map(|cell| cell.trim()).collect();
            text += &format!("| {} |\n", cells.join(" | "));
            if i == 0 {
                text += &format!("|{}\n", " --- |".repeat(row.len()));
            }
        }
        text
    }
}

/// A rate of work as a share of what all threads could do, or where there are more of them than cores, all cores.
fn share(gflops: Option<f64>, report: &Report) -> String {
    let at_once = report.threads.min(crate::threads::threads(None));
    let share = 100.0 * gflops.unwrap_or(0.0) / (report.peak() * at_once as f64);
    format!("GFLOP/s, {share:.1} % of {at_once} x the peak")
}

/// A figure's name for people; that of a product has its role as docs/performance.md calls it.
fn readable(name: &str) -> String {
    let name = match name {
        "train_samples_per_s" | "train_gflops" | "train_speedup" => "training",
        "eval_samples_per_s" | "eval_gflops" | "eval_speedup" => "evaluation",
        "solve_latency_ms" => "latency",
        "peak_rss_mb" => "most memory",
        "fma_peak_gflops" => "peak",
        "f16_peak_gflops" => "peak in halves",
        product => {
            return Role::ALL.iter().fold(product.to_owned(), |name, role| {
                name.replace(role.name(), role.sign())
            });
        }
    };
    name.to_owned()
}

impl MatmulRate {
    fn name(&self) -> String {
        let [m, n, k] = self.shape;
        format!("{m} x {n} x {k} {}", self.role)
    }

    /// The peak that was measured in turns with it.
    fn peak(&self) -> f64 {
        self.gflops / self.fraction_of_peak
    }
}

/// A figure of an earlier report.
fn old_figure(report: &Value, name: &str) -> Option<f64> {
    let matmul = report["matmul"].as_array().into_iter().flatten();
    let product = matmul.into_iter().find(|product| {
        let size = |i: usize| product["shape"][i].as_u64().unwrap_or(0);
        let role = product["role"].as_str().unwrap_or("");
        format!("{} x {} x {} {role}", size(0), size(1), size(2)) == name
    });
    match product {
        Some(product) => product["gflops"].as_f64(),
        None => report[name].as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(train: f64) -> Report {
        Report {
            preset: "small-mlp",
            batch: 32,
            micro_batch: 2,
            recompute: false,
            parameters: 7,
            threads: 2,
            precision: Precision::F32,
            isa: "portable",
            cpu: "a CPU".to_owned(),
            fma_peak_gflops: 100.0,
            f16_peak_gflops: None,
            matmul: vec![MatmulRate {
                shape: [2, 3, 4],
                role: "gradient",
                gflops: train,
                fraction_of_peak: 0.5,
            }],
            train_samples_per_s: Some(train),
            train_gflops: Some(train),
            eval_samples_per_s: None,
            eval_gflops: None,
            solve_latency_ms: None,
            train_speedup: None,
            eval_speedup: Some(1.872),
            peak_rss_mb: None,
        }
    }

    #[test]
    fn figures_are_compared_by_name() {
        let old = report(10.0).json(None);
        let new = report(15.0).json(Some(&old));
        assert_eq!(new["compare"]["train_samples_per_s"], 1.5);
        assert_eq!(new["compare"]["2 x 3 x 4 gradient"], 1.5);
        assert_eq!(new["compare"]["fma_peak_gflops"], 1.0);
        assert_eq!(new["compare"].as_object().map(Map::len), Some(5));
        let text = report(15.0).text(Some(&old));
        assert!(
            [
                "1.50x",
                "50.0 % of the peak, 30.0 meanwhile",
                "2 x 3 x 4 gradient of W",
                "1.87",
                "times one thread, on 2"
            ]
            .iter()
            .all(|part| text.contains(part)),
            "{text}"
        );
    }

    #[test]
    fn rates_are_of_what_is_counted_and_shares_of_the_cores_that_there_are() {
        let rates = Report {
            threads: 1 << 20,
            eval_samples_per_s: Some(3.0),
            ..report(10.0)
        };
        let text = rates.text(None);
        assert!(
            text.contains("10.0  samples/s") && text.contains("steps/s"),
            "{text}"
        );
        assert!(!text.contains(&format!("{} x the peak", 1 << 20)), "{text}");
    }

    #[test]
    fn markdown_has_one_rule_below_its_head() {
        let text = report(1.0).markdown(None);
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows[1], "| --- | --- | --- |");
        assert!(
            rows.iter().all(|row| row.matches('|').count() == 4),
            "{text}"
        );
    }
}
