//! The building blocks on their own: norm, SwiGLU, attention, rotary tables, losses, optimisers.

use super::case::Case;
use serde_json::Value;
use std::sync::Arc;
use trm_autograd::arena::{Carve, Count};
use trm_autograd::init::truncated_normal;
use trm_autograd::op::Scratch;
use trm_autograd::op::attention::{self, Attention, Rope};
use trm_autograd::op::loss::{self, LossKind};
use trm_autograd::op::swiglu::{self, SwiGlu};
use trm_autograd::optim::{Hyper, Step, schedule, sign_sgd};
use trm_autograd::params::{Axis, Init, Layout, Weights};
use trm_autograd::random::{Purpose, stream};
use trm_kernels::{Kernels, MatMut, MatRef};
use trm_model::config::reference_inner;

pub fn check(case: &mut Case, kernels: &'static Kernels) {
    rms_norm(case, kernels);
    swiglu_block(case, kernels);
    attention_block(case, kernels, true);
    attention_block(case, kernels, false);
    rotary(case, kernels);
    token_losses(case);
    halting_loss(case);
    optimisers(case, kernels);
    embedding_optimiser(case);
    schedules(case);
    initialisation(case);
}

fn rms_norm(case: &mut Case, k: &Kernels) {
    let shape = case.shape("rms_norm.x");
    let (rows, cols) = (shape[0], shape[1]);
    let (mut y, mut r) = (case.floats("rms_norm.x"), vec![f32::NAN; rows]);
    k.rms_norm_forward(MatMut::new(&mut y, rows, cols), &mut r, None, 1e-5);
    case.compare("rms_norm.y", &y);
    let mut d = case.floats("rms_norm.grad_out");
    k.rms_norm_backward(
        MatMut::new(&mut d, rows, cols),
        MatRef::new(&y, rows, cols),
        &r,
    );
    case.compare("rms_norm.dx", &d);
}

/// Two matrices of a layer with values from the case, packed.
struct Matrices {
    values: Vec<f32>,
    packed: Vec<f32>,
}

impl Matrices {
    fn new(case: &Case, layout: &Layout) -> Self {
        let mut values = vec![0.0; layout.len()];
        for spec in layout.specs() {
            values[spec.at.clone()].copy_from_slice(&case.floats(&spec.name));
        }
        let mut packed = vec![f32::NAN; layout.packed_len()];
        layout.pack(&mut packed, &values);
        Matrices { values, packed }
    }

    fn weights(&self, kernels: &'static Kernels) -> Weights<'_> {
        Weights {
            threads: 1,
            frozen: false,
            kernels,
            values: &self.values,
            packed: &self.packed,
        }
    }
}

/// The layers add d_x to the gradient that came in, as the residual around them asks: takes it off again.
fn without_residual(d: &[f32], grad_out: &[f32]) -> Vec<f32> {
    d.iter().zip(grad_out).map(|(d, g)| d - g).collect()
}

fn swiglu_block(case: &mut Case, k: &'static Kernels) {
    let (width, f) = (
        case.usize("swiglu", "hidden_size"),
        case.usize("swiglu", "inner"),
    );
    let mut layout = Layout::new(k);
    let layer = SwiGlu {
        norm: None,
        gate_up: layout.linear(
            "swiglu.gate_up_proj.weight",
            2 * f,
            width,
            Axis::Channels,
            Init::Constant(0.0),
        ),
        down: layout.linear(
            "swiglu.down_proj.weight",
            width,
            f,
            Axis::Channels,
            Init::Constant(0.0),
        ),
    };
    let matrices = Matrices::new(case, &layout);
    let (x, grad_out) = (case.floats("swiglu.x"), case.floats("swiglu.grad_out"));
    let n = x.len() / width;
    let (mut u, mut y, mut d) = (
        vec![f32::NAN; n * 2 * f],
        vec![f32::NAN; n * width],
        grad_out.clone(),
    );
    let (mut inner, mut d_wide, mut kernel) = (
        vec![f32::NAN; n * f],
        vec![f32::NAN; n * 2 * f],
        vec![0.0; trm_kernels::SCRATCH],
    );
    let mut scratch = Scratch {
        inner: &mut inner,
        d_wide: &mut d_wide,
        kernel: &mut kernel,
    };
    let mut saved = swiglu::Saved {
        u: &mut u,
        n: &mut [],
        r: &mut [],
    };
    let mut grads = vec![0.0; layout.len()];
    let w = matrices.weights(k);
    let x = MatRef::new(&x, n, width);
    swiglu::forward(
        w,
        &layer,
        MatMut::new(&mut y, n, width),
        &mut saved,
        x,
        &mut scratch,
    );
    swiglu::backward(
        w,
        &layer,
        MatMut::new(&mut d, n, width),
        &mut grads,
        &saved,
        x,
        &mut scratch,
    );
    case.compare("swiglu.y", &y);
    case.compare("swiglu.dx", &without_residual(&d, &grad_out));
    case.compare("swiglu.grad.gate_up_proj.weight", &grads[layer.gate_up.at]);
    case.compare("swiglu.grad.down_proj.weight", &grads[layer.down.at]);
}

fn attention_block(case: &mut Case, k: &'static Kernels, rope: bool) {
    let size = |key| case.usize("attention", key);
    let (batch, s, width, heads, e) = (
        size("batch"),
        size("seq"),
        size("hidden_size"),
        size("num_heads"),
        size("head_dim"),
    );
    let theta = case.f64("attention", "rope_theta");
    let (inner, n) = (heads * e, batch * s);
    let mut layout = Layout::new(k);
    let layer = Attention {
        qkv: layout.linear(
            "attention.qkv_proj.weight",
            3 * inner,
            width,
            Axis::Channels,
            Init::Constant(0.0),
        ),
        out: layout.linear(
            "attention.o_proj.weight",
            width,
            inner,
            Axis::Channels,
            Init::Constant(0.0),
        ),
        heads,
        positions: s,
        rope: rope.then(|| Arc::new(Rope::new(s, e, theta))),
    };
    let matrices = Matrices::new(case, &layout);
    let (x, grad_out) = (
        case.floats("attention.x"),
        case.floats("attention.grad_out"),
    );
    let mut count = Count::default();
    layer.saved(&mut count, batch);
    let (mut memory, mut y, mut d) = (
        vec![f32::NAN; count.total()],
        vec![f32::NAN; n * width],
        grad_out.clone(),
    );
    let mut saved = layer.saved(&mut Carve::new(&mut memory), batch);
    let (mut d_o, mut d_qkv) = (vec![f32::NAN; n * inner], vec![f32::NAN; n * 3 * inner]);
    let mut kernel = vec![0.0; trm_kernels::attention::scratch_len(k, s, e)];
    let mut scratch = Scratch {
        inner: &mut d_o,
        d_wide: &mut d_qkv,
        kernel: &mut kernel,
    };
    let mut grads = vec![0.0; layout.len()];
    let (w, x) = (matrices.weights(k), MatRef::new(&x, n, width));
    attention::forward(
        w,
        &layer,
        MatMut::new(&mut y, n, width),
        &mut saved,
        x,
        &mut scratch,
    );
    attention::backward(
        w,
        &layer,
        MatMut::new(&mut d, n, width),
        &mut grads,
        &saved,
        x,
        &mut scratch,
    );
    let prefix = if rope {
        "attention.rope"
    } else {
        "attention.norope"
    };
    case.compare(&format!("{prefix}.y"), &y);
    case.compare(&format!("{prefix}.dx"), &without_residual(&d, &grad_out));
    case.compare(
        &format!("{prefix}.grad.qkv_proj.weight"),
        &grads[layer.qkv.at],
    );
    case.compare(
        &format!("{prefix}.grad.o_proj.weight"),
        &grads[layer.out.at],
    );
}

fn rotary(case: &mut Case, k: &Kernels) {
    let shape = case.shape("rope.q");
    let (s, heads, e) = (shape[1], shape[2], shape[3]);
    let rope = Rope::new(s, e, 10_000.0);
    for name in ["rope.q", "rope.k"] {
        let mut x = case.floats(name);
        let (cos, sin) = rope.tables();
        k.rope_forward(MatMut::new(&mut x, s, heads * e), cos, sin);
        case.compare(&format!("{name}_out"), &x);
    }
    // The reference keeps the angles of both halves; ours are equal, so they are kept once.
    let shape = case.shape("rotary.cos");
    let rope = Rope::new(shape[0], shape[1], 10_000.0);
    let (cos, sin) = rope.tables();
    for (name, table) in [("rotary.cos", cos), ("rotary.sin", sin)] {
        let twice: Vec<f32> = (0..shape[0])
            .flat_map(|i| [table.row(i), table.row(i)].concat())
            .collect();
        case.compare(name, &twice);
    }
}

fn token_losses(case: &mut Case) {
    let (logits, labels) = (case.floats("loss.logits"), case.tokens("loss.labels"));
    let grad_out = case.floats("loss.grad_out");
    let v = logits.len() / labels.len();
    for (kind, name) in [
        (LossKind::Stablemax, "stablemax"),
        (LossKind::Softmax, "softmax"),
    ] {
        let mut d_logits = vec![f32::NAN; logits.len()];
        let tokens = logits
            .chunks_exact(v)
            .zip(d_logits.chunks_exact_mut(v))
            .zip(labels.iter().zip(&grad_out));
        let values: Vec<f32> = tokens
            .map(|((x, d), (&label, &g))| {
                loss::token_cross_entropy(kind, d, x, &[label], g.into()).loss as f32
            })
            .collect();
        case.compare(&format!("loss.{name}_cross_entropy.value"), &values);
        case.compare(&format!("loss.{name}_cross_entropy.dlogits"), &d_logits);
    }
    let log_p = |x: &[f32], label: u8| {
        -loss::token_cross_entropy(LossKind::Stablemax, &mut vec![0.0; v], x, &[label], 1.0).loss
            as f32
    };
    let all: Vec<f32> = logits
        .chunks_exact(v)
        .flat_map(|x| (0..v as u8).map(|k| log_p(x, k)).collect::<Vec<_>>())
        .collect();
    case.compare("loss.log_stablemax", &all);
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|x| x.as_f64().expect("a number"))
        .collect()
}

fn halting_loss(case: &Case) {
    let x = numbers(&case.json["bce_with_logits"]["x"]);
    for (target, want) in case.json["bce_with_logits"]["target"]
        .as_object()
        .expect("targets")
    {
        let target: f64 = target.parse().expect("a number");
        for ((&x, value), grad) in x
            .iter()
            .zip(numbers(&want["value"]))
            .zip(numbers(&want["grad"]))
        {
            let got = loss::bce_with_logits(x, target);
            // The reference rounds log(1 + e^-|x|) near 1: its values carry an error of 1e-14.
            assert!(
                (got.0 - value).abs() < 1e-12,
                "bce at {x}: {}, reference {value}",
                got.0
            );
            assert!(
                (got.1 - grad).abs() < 1e-12,
                "bce gradient at {x}: {}, reference {grad}",
                got.1
            );
        }
    }
}

fn optimisers(case: &mut Case, kernels: &Kernels) {
    let about = &case.json["optim"];
    let betas = numbers(&about["betas"]);
    let number = |key: &str| about[key].as_f64().expect("a number");
    let hyper = Hyper {
        beta1: betas[0],
        beta2: betas[1],
        eps: number("adamw_eps"),
        weight_decay: number("weight_decay"),
    };
    let lr = number("lr");
    let (start, grads) = (case.floats("optim.p0"), case.floats("optim.grads"));
    type Kernel = fn(&Kernels, &mut [f32], &mut [f32], &mut [f32], &[f32], &Step);
    let both: [(Kernel, &str); 2] = [
        (Kernels::adamw, "adamw"),
        (Kernels::adam_atan2, "adam_atan2"),
    ];
    for (kernel, name) in both {
        let (mut p, mut m, mut v) = (
            start.clone(),
            vec![0.0; start.len()],
            vec![0.0; start.len()],
        );
        let mut all = Vec::new();
        for (k, g) in grads.chunks_exact(start.len()).enumerate() {
            let step = hyper.step(lr, k as u64 + 1);
            kernel(kernels, &mut p, &mut m, &mut v, g, &step);
            all.extend_from_slice(&p);
        }
        case.compare(&format!("optim.{name}.p"), &all);
    }
}

fn embedding_optimiser(case: &mut Case) {
    let (mut weights, ids, grad) = (
        case.floats("signsgd.weights"),
        case.numbers("signsgd.ids"),
        case.floats("signsgd.grad"),
    );
    let (lr, wd) = (
        case.f64("signsgd", "lr"),
        case.f64("signsgd", "weight_decay"),
    );
    let p = grad.len() / ids.len();
    let unique: std::collections::BTreeSet<u32> = ids.iter().copied().collect();
    for id in unique {
        let mut sum = vec![0.0; p];
        for (_, g) in ids
            .iter()
            .zip(grad.chunks_exact(p))
            .filter(|(other, _)| **other == id)
        {
            sum.iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
        }
        sign_sgd::update_row(&mut weights[id as usize * p..][..p], &sum, lr, wd);
    }
    case.compare("signsgd.new_weights", &weights);
}

fn schedules(case: &Case) {
    for s in case.json["lr_schedule"].as_array().expect("schedules") {
        let whole = |key: &str| s[key].as_u64().expect("a number");
        let number = |key: &str| s[key].as_f64().expect("a number");
        for (t, want) in numbers(&s["lr"]).into_iter().enumerate() {
            let got = schedule::learning_rate(
                number("base_lr"),
                t as u64 + 1,
                whole("warmup"),
                whole("total"),
                number("min_ratio"),
            );
            assert!((got - want).abs() <= 1e-15, "rate {} of {s}: {got}", t + 1);
        }
    }
    for row in case.json["swiglu_inner_table"].as_array().expect("a table") {
        let hidden = row["hidden"].as_u64().expect("a width") as usize;
        let got = reference_inner(hidden, row["expansion"].as_f64().expect("a number"));
        assert_eq!(got as u64, row["inner"].as_u64().expect("a width"), "{row}");
    }
    // 256.5: Python rounds half to even.
    assert_eq!(reference_inner(513, 0.75), 256);
}

/// Random streams differ, so statistics are compared: both are samples of a million, whose quantiles
/// scatter by about sqrt(p(1-p)/n)/density, below 0.005 standard deviations where the density is least.
fn initialisation(case: &Case) {
    for (i, sample) in case.json["trunc_normal_init"]["samples"]
        .as_array()
        .expect("samples")
        .iter()
        .enumerate()
    {
        let std = sample["requested_std"].as_f64().expect("a number");
        let mut x = vec![0.0; 1_000_000];
        truncated_normal(&mut x, std, &mut stream(3, Purpose::Init, i as u64));
        x.sort_by(f32::total_cmp);
        let n = x.len() as f64;
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let spread = (x
            .iter()
            .map(|&x| (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / n)
            .sqrt();
        let near = |got: f64, want: f64, what: &str| {
            assert!(
                (got - want).abs() < 0.01 * std,
                "{what} of std {std}: {got}, reference {want}"
            );
        };
        near(mean, 0.0, "mean");
        near(spread, std, "standard deviation");
        for (p, want) in numbers(&sample["quantile_p"])
            .into_iter()
            .zip(numbers(&sample["quantile"]))
        {
            near(f64::from(x[(p * n) as usize]), want, "quantile");
        }
        let bound = 2.273_694_4 * std;
        assert!(
            f64::from(x[0]) >= -bound * 1.000_001 && f64::from(x[x.len() - 1]) <= bound * 1.000_001,
            "bounds"
        );
    }
}
