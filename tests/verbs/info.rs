//! `trm info`.

use super::train::Place;
use super::{ignorant, run, said, text, trm};
use trm_kernels::Kernels;
use trm_model::weights;

#[test]
fn this_machine_is_described_for_people_and_programs() {
    let report = run(0, &["info", "--json"]).json();
    let names: Vec<_> = Kernels::available().iter().map(Kernels::name).collect();
    let chosen = Kernels::best().expect("an instruction set").name();
    assert_eq!(report["isa"]["chosen"], chosen);
    let available = report["isa"]["available"].as_array().expect("a list");
    assert!(
        available.iter().map(|isa| &isa["name"]).eq(&names),
        "{available:?}"
    );
    assert!(report["cores"].as_u64() >= Some(1));
    let text = run(0, &["info"]).out;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn the_forced_instruction_set_is_the_chosen_one() {
    let forced = said(0, trm().env("TRM_ISA", "portable").args(["info", "--json"])).json();
    assert_eq!(
        (
            &forced["isa"]["chosen"],
            &forced["isa"]["forced_by_TRM_ISA"]
        ),
        (&"portable".into(), &true.into())
    );
    let unknown = said(2, trm().env("TRM_ISA", "mmx").args(["info"]));
    assert!(
        unknown.err.contains("mmx") && unknown.err.contains("portable"),
        "{}",
        unknown.err
    );
}

#[test]
fn a_checkpoint_shows_how_far_its_run_is_and_the_config_to_go_on_with() {
    let place = Place::new();
    place.train(0, "run", &["--minutes", "0"]);
    let (newest, export) = (
        place.text("run/checkpoint.safetensors"),
        place.text("small.ckpt"),
    );
    place.train(0, "run", &["--export", &export]);
    for (path, has_batch, option) in [(&newest, true, "--resume"), (&export, false, "--import")] {
        let report = run(0, &["info", path, "--json"]).json();
        assert_eq!(report["checkpoint"]["step"], 1);
        assert_eq!(report["checkpoint"]["steps"], 9);
        assert_eq!(report["checkpoint"]["has_batch"], has_batch);
        assert_eq!(report["run"]["model"]["width"], 16);
        let said = run(0, &["info", path]).out;
        for part in [
            "step        1 of 9",
            "all agree",
            option,
            "[model]\n",
            "batch = 10",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let mut bytes = std::fs::read(&export).expect("an export");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&export, bytes).expect("a file");
    let said = run(2, &["info", &export]).err;
    assert!(said.contains("is damaged: its checksum is"), "{said}");
    // It is no weights, and says what it is.
    let said = run(2, &["solve", "1.2..231..12.1..", "--weights", &newest]).err;
    assert!(said.contains("It is a checkpoint"), "{said}");
}

#[test]
fn weights_are_described_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = [
        ("accuracy", "0.75"),
        ("run", r#"{"name":"small"}"#),
        ("note", "one\ntwo"),
    ];
    let path = ignorant(folder.path(), &origin);
    let kernels = Kernels::best().expect("an instruction set");
    let net = weights::load(&path, kernels).expect("the file").net;
    let name = text(&path);

    let report = run(0, &["info", name, "--json"]).json();
    assert_eq!(report["parameters"], net.layout().len());
    assert_eq!(report["checksums"], true);
    assert_eq!(report["puzzle_embedding_values"], 8);
    assert_eq!(report["model"]["width"], 8);
    assert_eq!(report["metadata"]["accuracy"], "0.75");
    assert_eq!(report["metadata"]["run"]["name"], "small");
    let tensors = report["tensors"].as_array().expect("a list");
    assert_eq!(tensors.len(), net.layout().specs().len() + 3);
    let elements = |shape: &serde_json::Value| {
        let dims = shape.as_array().expect("a list").iter();
        dims.map(|dim| dim.as_u64().expect("a size"))
            .product::<u64>()
    };
    let total: u64 = tensors
        .iter()
        .map(|tensor| elements(&tensor["shape"]))
        .sum();
    assert_eq!(total, net.layout().len() as u64 + 2 * 8 + 8);
    assert!(
        tensors
            .iter()
            .map(|t| ["min", "max", "rms"].map(|key| t[key].as_f64().expect("a number")))
            .all(|[min, max, rms]| min <= max && rms >= 0.0)
    );

    let text = run(0, &["info", name]).out;
    for expected in [
        "width = 8",
        "name = \"small\"\n",
        "accuracy",
        "0.75",
        "lm_head.weight",
        "6 x 8",
        "H_init",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_is_no_weights_file_is_bad_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("noise.safetensors");
    std::fs::write(&path, [255; 64]).expect("a file");
    for name in [text(&path), "absent.safetensors"] {
        let said = run(2, &["info", name]);
        assert!(
            said.err.contains(name) && said.out.is_empty(),
            "{}",
            said.err
        );
    }
}
