//! What a run keeps is what it says it keeps: the moving average, the best of all validations, and, to be carried away,
//! everything but the batch.

use super::train::{CONFIG, Place};
use super::{generate, run};
use std::path::Path;
use trm_kernels::Kernels;
use trm_model::Trainer;
use trm_model::checkpoint::{self, Contents, Resumed};
use trm_model::weights::{self, Loaded};

fn kernels() -> &'static Kernels {
    Kernels::best().expect("an instruction set")
}

fn checkpoint(path: &Path) -> Resumed {
    checkpoint::load(path, kernels(), 1).unwrap_or_else(|error| panic!("{error}"))
}

fn weights(path: &Path) -> Loaded {
    weights::load(path, kernels()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_weights_of_a_run_are_its_moving_average() {
    let place = Place::new();
    place.train(0, "run", &[]);
    let trainer = checkpoint(&place.path("run/checkpoint.safetensors")).trainer;
    let shipped = weights(&place.path("run/weights.safetensors")).params;
    assert!(shipped.values[..] == trainer.ema[..], "not the average");
    assert!(shipped.values[..] != trainer.params.values[..]);
    assert!(shipped.puzzle_emb[..] == trainer.params.puzzle_emb[..]);
}

/// One blank in each board: a network learns it in sixty steps, with ups and downs on the way.
#[test]
fn the_best_weights_are_those_of_the_first_best_validation() {
    let place = Place::new();
    let data = place.text("puzzles.csv");
    generate(Path::new(&data), "--side 4 --count 60");
    let text = std::fs::read_to_string(&data).expect("the puzzles");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (i, line) in lines.iter_mut().skip(1).enumerate() {
        let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        fields[1] = fields[2].clone();
        fields[1].replace_range(i % 16..i % 16 + 1, ".");
        *line = fields.join(",");
    }
    std::fs::write(&data, lines.join("\n") + "\n").expect("a file");
    let config = CONFIG
        .replace("H_cycles = 2\nL_cycles = 2", "H_cycles = 1\nL_cycles = 1")
        .replace("halt_max_steps = 3", "halt_max_steps = 2")
        .replace("\nbatch = 10", "\nbatch = 20\nema_rate = 0.5")
        .replace("steps = 9\n", "steps = 60\n")
        .replace("lr = 1e-3", "lr = 1e-2")
        .replace("validate_every = 4", "validate_every = 1");
    let config = place.config("one_blank.toml", &config);
    let out = place.text("run");
    let files = ["--data", &data, "--validate", &data];
    run(
        0,
        &[&["train", &config, "--out", &out][..], &files].concat(),
    );

    let metrics = std::fs::read_to_string(place.path("run/metrics.jsonl")).expect("metrics");
    let validations: Vec<(u64, f64)> = metrics
        .lines()
        .filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let exact = line["validation"]["exact_accuracy"].as_f64()?;
            Some((line["step"].as_u64().expect("a step"), exact))
        })
        .collect();
    assert_eq!(validations.len(), 60);
    let most = validations.iter().fold(0.0, |most, v| v.1.max(most));
    let first = validations.iter().find(|v| v.1 == most).expect("the best");
    let (begin, end) = (validations[0].1, validations[59].0);
    assert!(begin < most && first.0 < end, "a run of ups and downs");

    let best = weights(&place.path("run/best.safetensors")).metadata;
    let said = |key: &str| best[key].parse::<f64>().expect("a number");
    assert_eq!(said("validation_exact_accuracy"), most);
    assert_eq!(said("trained_steps"), first.0 as f64);
    let last = weights(&place.path("run/weights.safetensors")).metadata;
    assert_eq!(last["trained_steps"], "60");
}

/// What of a run goes into a file to be carried away.
fn carried(trainer: &Trainer) -> [Vec<u32>; 7] {
    let params = &trainer.params;
    [
        &params.values,
        &trainer.ema,
        &trainer.m,
        &trainer.v,
        &params.h_init,
        &params.l_init,
        &params.puzzle_emb,
    ]
    .map(|x| x.iter().map(|x| x.to_bits()).collect())
}

#[test]
fn an_export_is_the_checkpoint_without_its_batch() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    place.train(0, "run", &["--minutes", "0", "--resume"]);
    // As if an update had been skipped: then steps and updates are two numbers.
    let path = place.path("run/checkpoint.safetensors");
    let mut whole = checkpoint(&path);
    assert_eq!((whole.trainer.step, whole.trainer.updates), (2, 2));
    whole.trainer.updates = 1;
    let Resumed { trainer, metadata } = &whole;
    checkpoint::save(&path, trainer, Contents::Everything, metadata).expect("a checkpoint");

    let file = place.path("run.ckpt");
    place.train(0, "run", &["--export", &place.text("run.ckpt")]);
    let export = checkpoint(&file).trainer;
    assert!(carried(&export) == carried(trainer), "other bits");
    let kinds = carried(trainer);
    assert!(kinds.iter().all(|x| x.iter().any(|&bits| bits != 0)));
    assert_eq!((export.step, export.updates), (2, 1));
    assert!(export.carry.halted.iter().all(|&halted| halted));
    assert!(!trainer.carry.halted.iter().all(|&halted| halted));

    // Where it is imported, the run goes on from there.
    let import = ["--import", &place.text("run.ckpt"), "--minutes", "0"];
    place.train(0, "there", &import);
    let there = checkpoint(&place.path("there/checkpoint.safetensors")).trainer;
    assert_eq!((there.step, there.updates), (3, 2));
    assert!(there.params.h_init[..] == trainer.params.h_init[..]);
}
