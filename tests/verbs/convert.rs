//! `trm convert`.

use super::{run, text};
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_model::config::{FeedForward, Mixer, PositionEncoding, System};
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

/// A small network that the reference can build.
fn small() -> ModelConfig {
    ModelConfig {
        cells: 16,
        vocab_size: 6,
        width: 8,
        prefix_len: 1,
        puzzle_emb_ndim: 8,
        ..ModelConfig::default()
    }
}

/// Weights of a network, untrained.
fn own(folder: &Path, model: ModelConfig) -> PathBuf {
    let path = folder.join("own.safetensors");
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(model, kernels).expect("a config that works");
    weights::save(&path, &net, &net.init(1), &Default::default()).expect("a file");
    path
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
    let config = folder.path().join("small.toml");
    let model = "[model]\nwidth = 8\nprefix_len = 1\npuzzle_emb_ndim = 8\n";
    std::fs::write(&config, format!("[data]\nside = 4\n{model}")).expect("a file");
    let own = own(folder.path(), small());
    for uncompiled in [&[][..], &["--uncompiled"]] {
        let [torch, back] = [".step", ".safetensors"]
            .map(|end| folder.path().join(format!("back{}{end}", uncompiled.len())));
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
    use trm_tensor::safetensors::{Data, SafeTensorsFile, write};
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

    // The reference keeps the first states in bf16, and so does who saves its tensors as they are.
    let file = SafeTensorsFile::open(&plain).expect("the file");
    let (mut header, mut numbers) = (serde_json::Map::new(), Vec::new());
    for name in file.names() {
        let start = numbers.len();
        let values = file.f32s(&name).expect("values").into_iter();
        let dtype = match name.ends_with("_init") {
            true => {
                numbers.extend(values.flat_map(|x| x.to_le_bytes()[2..].to_owned()));
                "BF16"
            }
            false => {
                numbers.extend(values.flat_map(f32::to_le_bytes));
                "F32"
            }
        };
        let shape = file.shape(&name).expect("a shape");
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape.dims(), "data_offsets": [start, numbers.len()] });
        header.insert(name, entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    let mixed = folder.path().join("mixed.safetensors");
    let bytes = [&length, header.as_bytes(), &numbers].concat();
    std::fs::write(&mixed, bytes).expect("a file");
    let of_halves = folder.path().join("of-halves.safetensors");
    let args = [
        "convert",
        text(&mixed),
        text(&of_halves),
        "--config",
        text(&config),
    ];
    run(0, &args);
    assert!(bits(&loaded) == bits(&load(&of_halves)));

    // No file that is there is replaced, be it the one that is read.
    let folder = folder.path();
    std::fs::create_dir(folder.join("in")).expect("a folder");
    for (from, to, more, expected) in [
        (
            "back.safetensors",
            "in/../back.safetensors",
            None,
            "would be overwritten",
        ),
        (
            "back.safetensors",
            "tiny.toml",
            None,
            "there is a file already",
        ),
        (
            "plain.safetensors",
            "mixed.safetensors",
            Some(text(&config)),
            "there is a file already",
        ),
        (
            "back.safetensors",
            "nowhere/x",
            None,
            "in a folder that exists",
        ),
    ] {
        let before = std::fs::read(folder.join(to)).ok();
        let (from, path) = (folder.join(from), folder.join(to));
        let mut args = vec!["convert", text(&from), text(&path)];
        args.extend(
            more.map(|config| ["--config", config])
                .into_iter()
                .flatten(),
        );
        let err = run(2, &args).err;
        assert!(err.contains(expected), "{err}");
        assert!(std::fs::read(&path).ok() == before, "{to}");
    }
}

#[test]
fn what_the_reference_cannot_build_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("to.safetensors");
    let attention = || ModelConfig {
        mixer: Mixer::Attention,
        position_encoding: PositionEncoding::Rope,
        heads: 2,
        ..small()
    };
    let transformer = || ModelConfig {
        system: System::Transformer,
        h_cycles: 1,
        l_cycles: 1,
        ..attention()
    };
    let groups = ModelConfig {
        symbols: 4,
        mixer: Mixer::Groups,
        prefix_len: 0,
        puzzle_emb_ndim: 0,
        ..small()
    };
    type Change = fn(&mut ModelConfig);
    let cases: [(ModelConfig, Change, &str); 10] = [
        (groups, |_| (), "model.mixer = \"groups\""),
        (
            small(),
            |m| m.feed_forward = FeedForward::GatedNorm,
            "model.feed_forward = \"gated_norm\"",
        ),
        (small(), |m| m.registers = true, "model.registers = true"),
        (
            small(),
            |m| m.inner = 12,
            "model.inner = 12: expected a multiple of 256",
        ),
        (
            small(),
            |m| m.inner_positions = 12,
            "model.inner_positions = 12",
        ),
        (
            small(),
            |m| m.inner_positions = 1024,
            "256, 256 to 768 beside model.inner = 256",
        ),
        (
            attention(),
            |m| (m.system, m.prefix_len) = (System::Hrm, 2),
            "model.prefix_len = 2: expected 1",
        ),
        (transformer(), |m| m.prefix_len = 2, "model.prefix_len = 2"),
        (
            transformer(),
            |m| m.position_encoding = PositionEncoding::None,
            "model.position_encoding = none",
        ),
        (
            transformer(),
            |m| (m.mixer, m.position_encoding) = (Mixer::Mlp, PositionEncoding::Learned),
            "model.mixer = \"mlp\"",
        ),
    ];
    for (mut model, change, said) in cases {
        change(&mut model);
        let own = own(folder.path(), model);
        let error = run(2, &["convert", text(&own), text(&to)]).err;
        assert!(
            error.contains("the PyTorch reference cannot build") && error.contains(said),
            "{error}"
        );
        assert!(!to.exists());
    }
    // The sizes of inner layers are the config's, as long as an expansion makes them; so is a longer prefix.
    let wide = |m: &mut ModelConfig| (m.inner, m.inner_positions, m.prefix_len) = (1024, 2304, 2);
    let learned: Change =
        |m| (m.position_encoding, m.inner_positions) = (PositionEncoding::Learned, 3);
    for (name, mut model, change) in [
        ("wide", small(), wide as Change),
        ("learned", transformer(), learned),
    ] {
        change(&mut model);
        let to = folder.path().join(name);
        run(0, &["convert", text(&own(folder.path(), model)), text(&to)]);
    }
}
