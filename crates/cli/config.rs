//! A run's config: a preset's name or a TOML file, and the command line's word over both. docs/config.md is its manual.

#[cfg(test)]
mod documented;
mod idle;

use crate::task::{GridConfig, Kind, Task};
use anyhow::{Context, anyhow, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use trm_model::config::Mixer;
use trm_model::{ModelConfig, TrainConfig};

pub use idle::without_effect;

/// Everything that decides what a run computes; stored whole in checkpoints and weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Names the output folder and the weights.
    #[serde(default)]
    pub name: String,
    /// What to learn from.
    pub data: DataConfig,
    /// The network.
    #[serde(default)]
    pub model: ModelConfig,
    /// The training.
    #[serde(default)]
    pub train: TrainConfig,
    /// How often to look and to save.
    #[serde(default)]
    pub run: Intervals,
}

/// Puzzles: their kind and size, and where they come from when no file is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// What is played: "sudoku", "maze", "arc", or "grid" for a task of your own.
    #[serde(default)]
    pub task: Kind,
    /// Side of the board: 4, 6 or 9 for Sudoku, 3 to 100 for mazes, 1 to 30 for the canvas of ARC.
    #[serde(default)]
    pub side: usize,
    /// Training puzzles used, from the front of the file; 0: all.
    #[serde(default)]
    pub train_puzzles: usize,
    /// Puzzles held out to validate with.
    #[serde(default = "default_validation")]
    pub validation_puzzles: usize,
    /// Whether every draw is seen under a new symmetry.
    #[serde(default = "default_true")]
    pub augment: bool,
    /// Most cells of the answer that a draw shows beside the givens; how many, and which, is drawn anew each
    /// time, 0 to this many alike. A few make new puzzles, a little easier, out of old ones. Sudoku only.
    #[serde(default)]
    pub reveal: usize,
    /// Sudokus generated when no file is given: solvable by singles.
    #[serde(default)]
    pub generate_easy: usize,
    /// Sudokus generated when no file is given: no clue to spare.
    #[serde(default)]
    pub generate_minimal: usize,
    /// Mazes generated when no file is given, each with one shortest path.
    #[serde(default)]
    pub generate_mazes: usize,
    /// Fewest steps from start to goal of those.
    #[serde(default)]
    pub min_steps: u32,
    /// The grids of a task of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<GridConfig>,
}

/// Steps between looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intervals {
    /// Optimiser steps between lines of metrics.
    pub log_every: u64,
    /// Optimiser steps between validations.
    pub validate_every: u64,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
}

impl Default for Intervals {
    fn default() -> Self {
        Intervals {
            log_every: 50,
            validate_every: 1000,
            checkpoint_minutes: 5.0,
        }
    }
}

impl RunConfig {
    /// What is played.
    ///
    /// # Errors
    /// When there is no such board.
    pub fn task(&self) -> anyhow::Result<Task> {
        Task::new(self.data.task, self.data.side, self.data.grid.as_ref())
    }
}

fn default_validation() -> usize {
    500
}

fn default_true() -> bool {
    true
}

/// The presets, by name.
pub const PRESETS: [(&str, &str); 10] = [
    ("sudoku4", include_str!("presets/sudoku4.toml")),
    ("sudoku6", include_str!("presets/sudoku6.toml")),
    ("sudoku9", include_str!("presets/sudoku9.toml")),
    ("sudoku9-hard", include_str!("presets/sudoku9-hard.toml")),
    ("maze10", include_str!("presets/maze10.toml")),
    ("maze30", include_str!("presets/maze30.toml")),
    ("addition", include_str!("presets/addition.toml")),
    ("arc", include_str!("presets/arc.toml")),
    ("paper-mlp", include_str!("presets/paper-mlp.toml")),
    ("paper-att", include_str!("presets/paper-att.toml")),
];

/// Reads a preset or a file and checks it.
///
/// # Errors
/// When there is no such preset or file, or it does not parse, or a value cannot work.
pub fn load(name_or_path: &str) -> anyhow::Result<RunConfig> {
    let preset = PRESETS.iter().find(|(name, _)| *name == name_or_path);
    let (name, text) = match preset {
        Some((name, text)) => ((*name).to_owned(), (*text).to_owned()),
        None => {
            let path = Path::new(name_or_path);
            let names: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
            let text = std::fs::read_to_string(path).with_context(|| {
                format!(
                    "cannot read config {name_or_path:?}: expected a TOML file or a preset ({})",
                    names.join(", ")
                )
            })?;
            let stem = path
                .file_stem()
                .map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
            (stem, text)
        }
    };
    parse(&text, &name).with_context(|| format!("in config {name_or_path}"))
}

/// Parses TOML; sizes of the board follow from its side.
///
/// # Errors
/// Names the key, its value and what was expected.
pub fn parse(text: &str, name: &str) -> anyhow::Result<RunConfig> {
    let table: toml::Table = toml::from_str(text)?;
    ensure!(
        !table.contains_key("curve"),
        "this is the record of a run, which trm report draws; what it was trained with is its table [config]"
    );
    let mut config: RunConfig = toml::from_str(text).map_err(in_words)?;
    let task = config.task()?;
    for (key, follows) in [("cells", task.cells()), ("vocab_size", task.vocab())] {
        let given = table
            .get("model")
            .and_then(|model| model.get(key))
            .and_then(toml::Value::as_integer);
        let agrees = given.is_none_or(|given| given == follows as i64);
        ensure!(
            agrees,
            "model.{key} = {}: {} has {follows}",
            given.unwrap_or(0),
            task.name()
        );
    }
    (config.model.cells, config.model.vocab_size) = (task.cells(), task.vocab());
    if config.model.mixer == Mixer::Neighbours {
        let (_, columns) = task.size();
        let given = config.model.columns;
        ensure!(
            given == 0 || given == columns,
            "model.columns = {given}: {} has {columns}",
            task.name()
        );
        config.model.columns = columns;
    }
    if config.name.is_empty() {
        config.name = name.to_owned();
    }
    validate(&config)?;
    Ok(config)
}

/// What serde calls the numbers that it expects.
const NUMBERS: [(&str, &str); 6] = [
    ("expected usize", "expected a whole number from 0"),
    ("expected u64", "expected a whole number from 0"),
    ("expected u32", "expected a whole number from 0"),
    ("expected u8", "expected a whole number from 0 to 255"),
    ("expected f32", "expected a number"),
    ("expected f64", "expected a number"),
];

/// What does not parse, in words for people: the error of a key or a value that is not known has the known one that
/// is most like it.
fn in_words(error: toml::de::Error) -> anyhow::Error {
    // The only list of what is known is in serde's words: unknown field `widht`, expected one of `cells`, `width`, …
    let mut words = error.message().split('`').skip(1).step_by(2);
    let given = words
        .next()
        .filter(|_| error.message().starts_with("unknown "));
    let nearest = given.and_then(|given| {
        // Jaro takes a letter for another one where only its case differs: h_cycles would be L_cycles.
        let likeness = |word: &&str| match word.eq_ignore_ascii_case(given) {
            true => 1.0,
            false => strsim::jaro(given, word),
        };
        let nearest = words.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        nearest.filter(|word| likeness(word) > LIKE)
    });
    match nearest {
        Some(nearest) => anyhow!(
            "{}\ndid you mean `{nearest}`?",
            error.to_string().trim_end()
        ),
        None => {
            let mut words = error.to_string().trim_end().to_owned();
            for (number, in_words) in NUMBERS {
                words = words.replace(number, in_words);
            }
            anyhow!(words)
        }
    }
}

/// Words above this likeness may be meant for each other, as clap has it for options.
const LIKE: f64 = 0.7;

/// What a config says otherwise than the one of before: `train.steps = 10 (was 9), …`.
///
/// # Errors
/// When one of them does not fit TOML.
pub fn differences(before: &RunConfig, now: &RunConfig) -> anyhow::Result<String> {
    let (before, now) = (values(before)?, values(now)?);
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |values: &BTreeMap<String, String>, key| match values.get(key) {
        Some(value) => value.clone(),
        None => "nothing".to_owned(),
    };
    let differing = keys
        .into_iter()
        .filter(|key| before.get(*key) != now.get(*key));
    let list =
        differing.map(|key| format!("{key} = {} (was {})", value(&now, key), value(&before, key)));
    Ok(list.collect::<Vec<_>>().join(", "))
}

/// Every value of a config by its full name, such as `train.steps`.
fn values(config: &RunConfig) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    flatten("", &toml::Value::Table(table(config)?), &mut values);
    Ok(values)
}

/// A config as a table of its text, in which floats of 32 bits have the few digits that config.toml has for them.
///
/// # Errors
/// When a value does not fit TOML.
pub fn table(config: &RunConfig) -> anyhow::Result<toml::Table> {
    Ok(toml::from_str(&toml::to_string(config)?)?)
}

fn flatten(name: &str, value: &toml::Value, values: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
            let name = if name.is_empty() {
                key.clone()
            } else {
                format!("{name}.{key}")
            };
            flatten(&name, value, values);
        }),
        _ => {
            values.insert(name.to_owned(), value.to_string());
        }
    }
}

/// Most puzzles of a kind that a run may generate for itself, some gigabytes of them.
const MOST_GENERATED: usize = 10_000_000;

/// Checks every value that can be checked without data.
///
/// # Errors
/// Names the key, its value and what was expected.
pub fn validate(config: &RunConfig) -> anyhow::Result<()> {
    let name = &config.name;
    ensure!(
        !name.contains(['/', '\\']) && name != "." && name != "..",
        "name = {name:?}: expected the name of a folder, since a run goes to runs/NAME"
    );
    ensure!(
        name.trim() == name && !name.contains(char::is_control),
        "name = {name:?}: expected a name without control characters, and without blanks before or after it"
    );
    config.model.validate()?;
    config.train.validate(&config.model)?;
    let data = &config.data;
    let foreign: &[(&str, usize)] = match data.task {
        Kind::Sudoku => &[
            ("generate_mazes", data.generate_mazes),
            ("min_steps", data.min_steps as usize),
        ],
        Kind::Maze => &[
            ("generate_easy", data.generate_easy),
            ("generate_minimal", data.generate_minimal),
            ("reveal", data.reveal),
        ],
        Kind::Arc => &[
            ("train_puzzles", data.train_puzzles),
            ("generate_easy", data.generate_easy),
            ("generate_minimal", data.generate_minimal),
            ("generate_mazes", data.generate_mazes),
            ("min_steps", data.min_steps as usize),
            ("reveal", data.reveal),
        ],
        Kind::Grid => &[
            ("side", data.side),
            ("generate_easy", data.generate_easy),
            ("generate_minimal", data.generate_minimal),
            ("generate_mazes", data.generate_mazes),
            ("min_steps", data.min_steps as usize),
            ("reveal", data.reveal),
        ],
    };
    for (key, value) in foreign {
        ensure!(
            *value == 0,
            "data.{key} = {value}: not an option of {}",
            config.task()?.name()
        );
    }
    for (key, count) in [
        ("generate_easy", data.generate_easy),
        ("generate_minimal", data.generate_minimal),
        ("generate_mazes", data.generate_mazes),
    ] {
        ensure!(
            count <= MOST_GENERATED,
            "data.{key} = {count}: expected at most {MOST_GENERATED}"
        );
    }
    let symbols = config.model.symbols;
    ensure!(
        symbols == 0 || data.task == Kind::Sudoku,
        "model.symbols = {symbols}: expected 0 for {}; a row for each symbol is for Sudoku, where all symbols are alike",
        config.task()?.name()
    );
    let (reveal, side) = (data.reveal, data.side);
    ensure!(
        reveal <= side * side,
        "data.reveal = {reveal}: expected 0 to the board's {} cells",
        side * side
    );
    let minutes = config.run.checkpoint_minutes;
    ensure!(
        minutes > 0.0 && minutes <= 525_600.0,
        "run.checkpoint_minutes = {minutes}: expected more than 0, at most 525600, a year"
    );
    for (key, value) in [
        ("run.log_every", config.run.log_every),
        ("run.validate_every", config.run.validate_every),
    ] {
        ensure!(value >= 1, "{key} = {value}: expected at least 1");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_works() {
        for (name, text) in PRESETS {
            let config = parse(text, name).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert_eq!(config.name, name);
        }
    }

    #[test]
    fn errors_name_the_key() {
        for (text, expected) in [
            ("[data]\nside = 5", "data.side = 5"),
            ("[data]\nside = 4\n[model]\nwidht = 3", "widht"),
            (
                "[data]\nside = 4\n[model]\nwidht = 3",
                "did you mean `width`?",
            ),
            (
                "[data]\nside = 4\n[train]\noptimizer = \"muno\"",
                "did you mean `muon`?",
            ),
            ("[data]\nside = 4\n[model]\ncells = 81", "model.cells = 81"),
            ("[data]\nside = 4\n[model]\nwidth = 0", "model.width = 0"),
            (
                "[data]\nside = 4\n[train]\nbeta2 = 1.5",
                "train.beta2 = 1.5",
            ),
            (
                "[data]\nside = 4\n[run]\nlog_every = 0",
                "run.log_every = 0",
            ),
            ("[data]\ntask = \"maze\"\nside = 101", "data.side = 101"),
            (
                "[data]\ntask = \"maze\"\nside = 10\nreveal = 2",
                "data.reveal = 2: not an option of maze10",
            ),
            ("[data]\nside = 9\nmin_steps = 4", "data.min_steps = 4"),
            (
                "[data]\nside = 9\n[model]\nmixer = \"neighbours\"\nprefix_len = 0\npuzzle_emb_ndim = 0\ncolumns = 7",
                "model.columns = 7: sudoku9 has 9",
            ),
            (
                "[data]\ntask = \"maze\"\nside = 4\n[model]\nmixer = \"groups\"\nsymbols = 4\nprefix_len = 0\npuzzle_emb_ndim = 0",
                "model.symbols = 4: expected 0 for maze4",
            ),
            (
                "[data]\nside = 4\n[model]\nnorm_eps = \"small\"",
                "expected a number",
            ),
            ("[data]\ntask = \"chess\"\nside = 8", "chess"),
            (
                "[data]\ntask = \"grid\"\n[data.grid]\nname = \"x\"\nrows = 2\ncols = 0\ncharacters = \"ab\"",
                "2 rows x 0 cols: expected 1 to",
            ),
            (
                "[data]\ntask = \"grid\"",
                "needs a table [data.grid] with name, rows",
            ),
            (
                "[data]\nside = 4\n[data.grid]\nname = \"x\"\nrows = 2\ncols = 2\ncharacters = \"ab\"",
                "and of no other",
            ),
            (
                "[data]\ntask = \"grid\"\n[data.grid]\nname = \"x9\"\nrows = 2\ncols = 2\ncharacters = \"ab\"",
                "data.grid.name = \"x9\": expected letters",
            ),
            (
                "[data]\nside = 4\n[model]\nwidth = -1",
                "expected a whole number from 0",
            ),
            (
                "[data]\nside = 4\n[train]\nlr = \"high\"",
                "expected a number",
            ),
            (
                "name = \"main1\"\n[curve]\nloss = [2.0]",
                "which trm report draws",
            ),
            (
                "[data]\nside = 4\n[model]\nexpansion = 0.0001",
                "model.expansion = 0.0001",
            ),
            (
                "[data]\nside = 4\ngenerate_easy = 99999999999",
                "data.generate_easy = 99999999999: expected at most 10000000",
            ),
            ("[model]\nwidth = 8", "data"),
        ] {
            let error = format!("{:#}", parse(text, "test").expect_err(text));
            assert!(
                error.contains(expected),
                "{text:?} gives {error:?}, expected {expected:?}"
            );
        }
    }
}
