//! `trm convert`.

use super::{ignorant, run, text};
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_model::config::{FeedForward, Mixer};
use trm_model::weights::{self, Loaded};
use trm_model::{ModelConfig, Network};

/// The network of `fixtures/torch/make.py`.
const CONFIG: &str = "\
[data]
side = 4
[model]
mixer = \"attention\"
position_encoding = \"rope\"
width = 8
heads = 2
inner = 12
prefix_len = 1
puzzle_emb_ndim = 8
";

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/torch")).join(name)
}

fn config(folder: &Path) -> PathBuf {
    let path = folder.join("tiny.toml");
    std::fs::write(&path, CONFIG).expect("a file");
    path
}

fn load(path: &Path) -> Loaded {
    weights::load(path, Kernels::best().expect("an instruction set")).expect("weights")
}

/// All values of a network, as bits.
fn bits(loaded: &Loaded) -> Vec<u32> {
    let p = &loaded.params;
    let all = [&p.values, &p.h_init, &p.l_init, &p.puzzle_emb];
    all.iter()
        .flat_map(|part| part.iter().map(|x| x.to_bits()))
        .collect()
}

/// What `torch.save` wrote is read as PyTorch has it; sums as `make.py` prints them.
#[test]
fn a_pytorch_checkpoint_becomes_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, to) = (
        config(folder.path()),
        folder.path().join("tiny.safetensors"),
    );
    let from = fixture("step_2.pt");
    let args = [
        "convert",
        text(&from),
        text(&to),
        "--config",
        text(&config),
        "--json",
    ];
    let said = run(0, &args).json();
    assert_eq!(said["format"], "trm-weights-1");
    assert_eq!(said["parameters"], 1202);
    let loaded = load(&to);
    assert_eq!(loaded.metadata["task"], "sudoku4");
    let values = |name: &str| {
        let specs = loaded.net.layout().specs();
        let spec = specs.iter().find(|spec| spec.name == name).expect(name);
        &loaded.params.values[spec.at.clone()]
    };
    for (what, values, sum) in [
        ("H_init, bf16", &*loaded.params.h_init, -1.39453125),
        ("L_init, bf16", &*loaded.params.l_init, 0.6796875),
        (
            "puzzle embedding",
            &*loaded.params.puzzle_emb,
            0.38877781573683023,
        ),
        (
            "tokens",
            values("embed_tokens.embedding_weight"),
            4.010496109724045,
        ),
        ("lm_head", values("lm_head.weight"), 0.5077671557664871),
        ("q_head", values("q_head.weight"), 5.484359472990036),
        ("q_bias", values("q_head.bias"), -10.0),
        (
            "qkv",
            values("L_level.layers.1.self_attn.qkv_proj.weight"),
            17.54671192006208,
        ),
        (
            "down",
            values("L_level.layers.1.mlp.down_proj.weight"),
            0.2596181823173538,
        ),
    ] {
        let got: f64 = values.iter().map(|&x| f64::from(x)).sum();
        assert!((got - sum).abs() < 1e-12, "{what}: {got} and {sum}");
    }
    // Stored column by column, read row by row.
    let o_proj = values("L_level.layers.0.self_attn.o_proj.weight");
    assert_eq!(
        o_proj[..4],
        [-0.97434545, 0.7352515, -1.9958141, 0.33016834]
    );
}

#[test]
fn weights_that_go_and_come_back_are_the_same_bits() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("ignorant.toml");
    let model =
        "[model]\nwidth = 8\ninner = 4\ninner_positions = 4\nprefix_len = 1\npuzzle_emb_ndim = 8\n";
    std::fs::write(&config, format!("[data]\nside = 4\n{model}")).expect("a file");
    let own = ignorant(folder.path(), &[]);
    for uncompiled in [&[][..], &["--uncompiled"]] {
        let (torch, back) = (
            folder.path().join("step_1"),
            folder.path().join("back.safetensors"),
        );
        run(
            0,
            &[&["convert", text(&own), text(&torch)], uncompiled].concat(),
        );
        run(
            0,
            &[
                "convert",
                text(&torch),
                text(&back),
                "--config",
                text(&config),
            ],
        );
        assert!(bits(&load(&own)) == bits(&load(&back)), "{uncompiled:?}");
        let names = std::fs::read(&torch).expect("the checkpoint");
        let compiled = names.windows(10).any(|name| name == b"_orig_mod.");
        assert_eq!(compiled, uncompiled.is_empty());
    }
}

/// The same tensors in a safetensors file, under the reference's names.
#[test]
fn safetensors_of_a_checkpoint_are_read_too() {
    use trm_tensor::safetensors::{Data, write};
    let folder = tempfile::tempdir().expect("a folder");
    let (config, to) = (
        config(folder.path()),
        folder.path().join("tiny.safetensors"),
    );
    run(
        0,
        &[
            "convert",
            text(&fixture("step_2.pt")),
            text(&to),
            "--config",
            text(&config),
        ],
    );
    let loaded = load(&to);
    let (p, d) = (&loaded.params, trm_tensor::Shape::from([8]));
    let specs = loaded.net.layout().specs().iter();
    let mut tensors: Vec<_> = specs
        .map(|spec| {
            (
                format!("model.inner.{}", spec.name),
                spec.shape,
                Data::F32(&p.values[spec.at.clone()]),
            )
        })
        .collect();
    tensors.push(("model.inner.H_init".into(), d, Data::F32(&p.h_init)));
    tensors.push(("model.inner.L_init".into(), d, Data::F32(&p.l_init)));
    let shape = trm_tensor::Shape::from([1, 8]);
    tensors.push((
        "model.inner.puzzle_emb.weights".into(),
        shape,
        Data::F32(&p.puzzle_emb),
    ));
    let plain = folder.path().join("plain.safetensors");
    write(&plain, tensors, Default::default()).expect("a file");
    let back = folder.path().join("back.safetensors");
    run(
        0,
        &[
            "convert",
            text(&plain),
            text(&back),
            "--config",
            text(&config),
        ],
    );
    assert!(bits(&loaded) == bits(&load(&back)));
}

#[test]
fn what_the_reference_cannot_build_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("to.safetensors");
    // The reference has no groups.
    let grouped = ModelConfig {
        cells: 16,
        vocab_size: 6,
        symbols: 4,
        mixer: Mixer::Groups,
        prefix_len: 0,
        puzzle_emb_ndim: 0,
        feed_forward: FeedForward::Swiglu,
        width: 8,
        inner: 4,
        ..ModelConfig::default()
    };
    let net =
        Network::new(grouped, Kernels::best().expect("an instruction set")).expect("a network");
    let own = folder.path().join("grouped.safetensors");
    weights::save(&own, &net, &net.init(1), &Default::default()).expect("a file");
    let said = run(2, &["convert", text(&own), text(&to)]).err;
    assert!(said.contains("model.mixer"), "{said}");
    assert!(!to.exists());
}
