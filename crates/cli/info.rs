//! `trm info`: what this machine can do, or what is in a weights file or a checkpoint.

mod checkpoint;

use crate::memory::{self, number_after};
use crate::output::{print, table};
use checkpoint::Description;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trm_kernels::{Kernels, Precision};
use trm_model::weights::{self, Loaded};
use trm_tensor::safetensors::SafeTensorsFile;

/// Arguments of `trm info`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trm info                                  this CPU, and the instruction set that trm chose
  TRM_ISA=avx2 trm info                     force another one; every verb obeys
  trm info weights/sudoku6.safetensors      config, origin and tensors of trained weights
  trm info runs/six/checkpoint.safetensors  how far a run is, and its config
  trm info --json | jq .isa.chosen          for programs")]
pub struct Args {
    /// Weights or checkpoint to describe [default: describe this machine]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = Kernels::best()?;
    let (report, text) = match &args.file {
        None => {
            let machine = Machine::read(chosen);
            (machine.json(), machine.text())
        }
        Some(path) => {
            let file = SafeTensorsFile::open(path)?;
            match Description::of(path, &file)? {
                Some(checkpoint) => (checkpoint.json(path), checkpoint.text(path)?),
                None => {
                    let (loaded, checksums) = (weights::load(path, chosen)?, file.has_checksums());
                    let text = weights_text(path, &loaded, checksums)?;
                    (weights_json(path, &loaded, checksums), text)
                }
            }
        }
    };
    print(|out| match args.json {
        true => writeln!(out, "{report}"),
        false => write!(out, "{text}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of this machine.
struct Machine {
    cpu: String,
    cores: usize,
    memory: Option<u64>,
    caches: Vec<Cache>,
    chosen: &'static Kernels,
    forced: bool,
}

/// One cache of the first core.
struct Cache {
    level: u64,
    kind: String,
    bytes: u64,
}

impl Machine {
    fn read(chosen: &'static Kernels) -> Machine {
        let proc = |file| std::fs::read_to_string(file).unwrap_or_default();
        Machine {
            cpu: cpu(),
            cores: crate::threads::threads(None),
            memory: total_memory(&proc("/proc/meminfo")),
            caches: caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
            chosen,
            forced: std::env::var_os("TRM_ISA").is_some_and(|isa| !isa.is_empty()),
        }
    }

    fn json(&self) -> Value {
        let caches = self
            .caches
            .iter()
            .map(|cache| json!({ "level": cache.level, "type": cache.kind, "bytes": cache.bytes }));
        let available = Kernels::available().iter().map(|k| {
            let (rows, columns) = k.tile();
            let f16 = k.in_precision(Precision::F16).is_ok();
            json!({ "name": k.name(), "floats_per_register": k.lanes(), "tile": [rows, columns], "f16": f16 })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_bytes": self.memory,
            "caches": caches.collect::<Vec<_>>(),
            "isa": {
                "chosen": self.chosen.name(),
                "forced_by_TRM_ISA": self.forced,
                "available": available.collect::<Vec<_>>(),
            },
        })
    }

    fn text(&self) -> String {
        let mut rows = vec![
            ["trm".to_owned(), env!("CARGO_PKG_VERSION").to_owned()],
            ["cpu".to_owned(), self.cpu.clone()],
            ["cores".to_owned(), self.cores.to_string()],
        ];
        if let Some(memory) = self.memory {
            rows.push(["memory".to_owned(), memory::size(memory as usize)]);
        }
        for cache in &self.caches {
            let name = format!("L{} {}", cache.level, cache.kind);
            rows.push([name, memory::size(cache.bytes as usize)]);
        }
        let why = match self.forced {
            true => "forced by TRM_ISA",
            false => "the widest of this CPU; TRM_ISA forces another",
        };
        let chosen = format!("{} ({why})", self.chosen.name());
        rows.push(["isa".to_owned(), chosen]);
        let mut isas =
            vec![["available", "floats a register", "register tile", "f16"].map(String::from)];
        isas.extend(Kernels::available().iter().map(|k| {
            let (rows, columns) = k.tile();
            let (name, tile) = (k.name().to_owned(), format!("{rows} x {columns}"));
            let f16 = match k.in_precision(Precision::F16) {
                Ok(_) => "yes",
                Err(_) => "no",
            };
            [name, k.lanes().to_string(), tile, f16.to_owned()]
        }));
        format!("{}\n{}", table(&rows), table(&isas))
    }
}

/// The CPU's name, or "unknown".
pub fn cpu() -> String {
    cpu_name(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

/// The CPU's name in the text of `/proc/cpuinfo`; elsewhere, and on CPUs that give none, "unknown".
fn cpu_name(cpuinfo: &str) -> String {
    let field = |name| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let pair = pairs.find(|(key, value)| key.trim() == name && !value.trim().is_empty());
        pair.map(|(_, value)| value.trim().to_owned())
    };
    let name = field("model name").or_else(|| field("Model"));
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// Bytes of memory in the text of `/proc/meminfo`.
fn total_memory(meminfo: &str) -> Option<u64> {
    number_after(meminfo, "MemTotal:")?.checked_mul(1024)
}

/// The caches that a folder of sysfs describes; none where there is no such folder.
fn caches(folder: &Path) -> Vec<Cache> {
    let cache = |index: usize| {
        let read = |name| std::fs::read_to_string(folder.join(format!("index{index}/{name}")));
        let kind = read("type").ok()?.trim().to_lowercase();
        let (level, bytes) = (read("level").ok()?, size(read("size").ok()?.trim())?);
        Some(Cache {
            level: level.trim().parse().ok()?,
            kind,
            bytes,
        })
    };
    (0..8).map_while(cache).collect()
}

/// `48K` in bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A tensor of a weights file and what its values look like.
struct Summary<'a> {
    name: &'a str,
    shape: Vec<usize>,
    min: f32,
    max: f32,
    rms: f64,
}

impl Summary<'_> {
    fn of<'a>(name: &'a str, shape: &[usize], values: &[f32]) -> Summary<'a> {
        let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        Summary {
            name,
            shape: shape.to_vec(),
            min: values.iter().copied().fold(f32::INFINITY, f32::min),
            max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            rms: (squares / values.len().max(1) as f64).sqrt(),
        }
    }

    fn shape_text(&self) -> String {
        let dims: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        dims.join(" x ")
    }
}

/// Every tensor of the file: trained parameters first, then the fixed and the sparse ones.
fn tensors(loaded: &Loaded) -> Vec<Summary<'_>> {
    let tensors = loaded.net.tensors(&loaded.params);
    tensors
        .map(|(name, shape, values)| Summary::of(name, shape.dims(), values))
        .collect()
}

/// Metadata that is not shown elsewhere.
fn origin(loaded: &Loaded) -> impl Iterator<Item = (&String, &String)> {
    loaded
        .metadata
        .iter()
        .filter(|(key, _)| !["format", "model"].contains(&key.as_str()))
}

fn weights_json(path: &Path, loaded: &Loaded, checksums: bool) -> Value {
    let tensors = tensors(loaded).into_iter().map(
        |t| json!({ "name": t.name, "shape": t.shape, "min": t.min, "max": t.max, "rms": t.rms }),
    );
    // Metadata are strings; those that hold whole JSON objects are taken apart.
    let metadata = origin(loaded).map(|(key, text)| {
        let object = serde_json::from_str(text).ok().filter(Value::is_object);
        (key.clone(), object.unwrap_or_else(|| json!(text)))
    });
    json!({
        "file": path.display().to_string(),
        "checksums": checksums,
        "parameters": loaded.net.layout().len(),
        "puzzle_embedding_values": loaded.params.puzzle_emb.len(),
        "flops_per_supervision_step": loaded.net.flops().0,
        "model": loaded.net.config(),
        "metadata": metadata.collect::<serde_json::Map<_, _>>(),
        "tensors": tensors.collect::<Vec<_>>(),
    })
}

/// What a file that was read, all of it, says of its checksums.
fn checksums_row(there: bool) -> [String; 2] {
    let agree = match there {
        true => "of every tensor; all agree",
        false => "none",
    };
    ["checksums".to_owned(), agree.to_owned()]
}

fn weights_text(path: &Path, loaded: &Loaded, checksums: bool) -> anyhow::Result<String> {
    let mut head = vec![
        ["file".to_owned(), path.display().to_string()],
        checksums_row(checksums),
        [
            "parameters".to_owned(),
            loaded.net.layout().len().to_string(),
        ],
        [
            "puzzle embeddings".to_owned(),
            format!("{} values more", loaded.params.puzzle_emb.len()),
        ],
        [
            "work".to_owned(),
            format!(
                "{:.4} GFLOP a supervision step of one puzzle",
                loaded.net.flops().0 / 1e9
            ),
        ],
    ];
    let run = run_text(loaded);
    let shown = origin(loaded).filter(|(key, _)| run.is_none() || *key != "run");
    head.extend(shown.map(|(key, text)| {
        let text = text.trim_end().replace('\n', "\n  ");
        [label(key).to_owned(), text]
    }));
    let config = toml::to_string(loaded.net.config())?;
    let [min, max, rms] = ["min", "max", "rms"].map(|text| format!("{text:>9}"));
    let mut rows = vec![["tensor".to_owned(), "shape".to_owned(), min, max, rms]];
    rows.extend(tensors(loaded).iter().map(|t| {
        let numbers = [f64::from(t.min), f64::from(t.max), t.rms];
        let [min, max, rms] = numbers.map(|x| format!("{x:>9.5}"));
        [t.name.to_owned(), t.shape_text(), min, max, rms]
    }));
    let (head, rows) = (table(&head), table(&rows));
    let run = run.map_or_else(String::new, |run| format!("{run}\n"));
    Ok(format!("{head}\n{run}[model]\n{config}\n{rows}"))
}

/// What people are told that a piece of metadata is; one that trm does not write keeps its name.
fn label(key: &str) -> &str {
    match key {
        "best" => "best exact accuracy of the run so far",
        "data" => "fingerprint of the puzzles",
        "identifiers" => "fingerprint of the names",
        "seconds" => "seconds of training",
        "trained_steps" => "optimiser steps",
        "validation_exact_accuracy" => "exact accuracy on those held out",
        other => other,
    }
}

/// The config of the run that the weights come from, but for the network's, as TOML; none where they say nothing of one.
fn run_text(loaded: &Loaded) -> Option<String> {
    let mut run: Value = serde_json::from_str(loaded.metadata.get("run")?).ok()?;
    run.as_object_mut()?.remove("model");
    toml::to_string(&run).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_of_machines_are_read_or_left_out() {
        assert_eq!(
            cpu_name("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n"),
            "Some CPU @ 2 GHz"
        );
        assert_eq!(cpu_name("processor : 0\n"), "unknown");
        assert_eq!(
            total_memory("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            Some(16384)
        );
        assert_eq!(total_memory("MemTotal: many\n"), None);
        assert_eq!(
            ["48K", "2M", "7", "3X", "K"].map(size),
            [Some(49152), Some(2 << 20), Some(7), None, None]
        );
        assert!(caches(Path::new("/nowhere")).is_empty());
    }
}
