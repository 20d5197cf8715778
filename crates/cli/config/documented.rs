//! docs/config.md has every key of a config, with its default.

use super::{DataConfig, Intervals, RunConfig, flatten, table};
use crate::task::{GridConfig, Kind, SymmetriesArg};
use std::collections::BTreeMap;
use trm_model::config::Stage;
use trm_model::{ModelConfig, TrainConfig};

const MANUAL: &str = include_str!("../../../docs/config.md");

/// Rows of the manual: full name of a key, and what stands there as its default.
fn rows() -> BTreeMap<String, String> {
    let (mut table, mut rows) = (String::new(), BTreeMap::new());
    for line in MANUAL.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading
                .strip_prefix("`[")
                .and_then(|name| name.strip_suffix("]`"));
            table = name.map_or_else(String::new, |name| format!("{name}."));
        }
        // A stage of the curriculum is no table of its own; its rows have no default.
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let [key, default, _, _] = cells[..]
            && let Some(key) = key.strip_prefix('`')
        {
            let key = format!("{table}{}", key.trim_end_matches('`'));
            let before = rows.insert(key.clone(), default.to_owned());
            assert_eq!(before, None, "{key} stands there twice");
        }
    }
    rows
}

/// Every key with its default, those that are left out of a file when they say nothing, too.
fn keys() -> BTreeMap<String, String> {
    let data: DataConfig = toml::from_str("").expect("no key of data must be there");
    let grid = GridConfig {
        name: String::new(),
        rows: 0,
        cols: 0,
        characters: String::new(),
        symmetries: SymmetriesArg::default(),
    };
    let config = RunConfig {
        name: String::new(),
        data: DataConfig {
            task: Kind::default(),
            grid: Some(grid),
            ..data
        },
        model: ModelConfig {
            columns: 1, // 0 is not written
            ..ModelConfig::default()
        },
        train: TrainConfig::default(),
        run: Intervals::default(),
    };
    let mut keys = BTreeMap::new();
    flatten("", &table(&config).expect("TOML").into(), &mut keys);
    keys.insert(
        "model.columns".to_owned(),
        ModelConfig::default().columns.to_string(),
    );
    keys
}

#[test]
fn every_key_is_in_the_manual_with_its_default() {
    let (keys, rows) = (keys(), rows());
    assert!(
        keys.keys().eq(rows.keys()),
        "keys without a row in docs/config.md: {:?}; rows without a key: {:?}",
        keys.keys()
            .filter(|key| !rows.contains_key(*key))
            .collect::<Vec<_>>(),
        rows.keys()
            .filter(|key| !keys.contains_key(*key))
            .collect::<Vec<_>>()
    );
    // A default in words follows from something else.
    let mut compared = 0;
    for (key, stated) in &rows {
        let Some(stated) = stated.strip_prefix('`') else {
            continue;
        };
        let read = |text: &str| -> toml::Value {
            let table: toml::Table = toml::from_str(&format!("x = {text}")).expect(key);
            table["x"].clone()
        };
        let (stated, default) = (read(stated.trim_end_matches('`')), read(&keys[key]));
        assert_eq!(stated, default, "{key}");
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn the_keys_of_a_stage_are_in_the_manual() {
    let stage = Stage {
        from: 0.5,
        h_cycles: 1,
        l_cycles: 2,
    };
    let (_, behind) = MANUAL
        .split_once("A stage of `curriculum")
        .expect("its paragraph");
    let (rows, _) = behind.split_once("## ").expect("the next table");
    for (key, _) in toml::Table::try_from(stage).expect("TOML") {
        assert!(rows.contains(&format!("| `{key}` |")), "{key}");
    }
}

/// The configs of the examples and experiments.
#[test]
fn every_config_in_the_repository_works() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut configs = 0;
    for folder in [
        "examples/gravity",
        "experiments/configs",
        "experiments/configs/systems",
    ] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                let path = path.to_str().expect("a name in UTF-8");
                super::load(path).unwrap_or_else(|error| panic!("{error:#}"));
                configs += 1;
            }
        }
    }
    assert!(configs >= 15, "{configs} configs");
}
