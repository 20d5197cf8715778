//! The cases at both ends of the network: the embedding and the losses.

use super::rounding::{Bounded, Matrix, U};
use super::{Case, D, Parameter, Random, cases_of, differences};
use crate::op::embedding::{self, Embedding, ROLES};
use crate::op::loss::{IGNORE, LossKind, TokenLoss, bce_with_logits, token_cross_entropy};
use std::ops::Range;

/// The embedding of one puzzle, in which tokens repeat and one is absent.
///
/// With `symbols`, a token has that many rows, which show 0 (not a symbol), 1 (this symbol) or 2 (another).
pub(super) fn embedding_cases(mut random: Random, learned: bool, symbols: usize) -> Vec<Case> {
    const TOKENS: [u8; 7] = [2, 0, 2, 3, 5, 2, 0];
    const VOCABULARY: usize = 6;
    let first_symbol = VOCABULARY - symbols;
    let entries: Vec<usize> = match symbols {
        0 => TOKENS.map(usize::from).to_vec(),
        _ => TOKENS
            .iter()
            .flat_map(|&token| (first_symbol..VOCABULARY).map(move |k| (usize::from(token), k)))
            .map(|(token, k)| match token {
                _ if token < first_symbol => 0,
                _ if token == k => 1,
                _ => 2,
            })
            .collect(),
    };
    let table = if symbols > 0 { ROLES } else { VOCABULARY };
    const PREFIX: usize = 2;
    const PUZZLE: usize = D + 3; // fills one row of the prefix and a part of the next
    let rows = PREFIX + entries.len();
    let tokens = 0..table * D;
    let positions = learned.then_some(tokens.end..tokens.end + rows * D);
    // With learned positions, the rows in front are registers too.
    let len = positions.as_ref().unwrap_or(&tokens).end;
    let registers = learned.then_some(len..len + PREFIX * D);
    let len = registers.as_ref().map_or(len, |registers| registers.end);
    let e = Embedding {
        tokens: tokens.clone(),
        registers: registers.clone(),
        positions: positions.clone(),
        prefix_len: PREFIX,
        width: D,
        symbols,
        first_symbol: first_symbol as u8,
    };
    let (values, start) = (random.floats(len), random.floats(len));
    let (puzzle, d_y) = (random.floats(PUZZLE), random.floats(rows * D));

    let (mut grads, mut d, mut d_puzzle) = (start.clone(), d_y.clone(), vec![f32::NAN; PUZZLE]);
    embedding::backward(&e, &mut d, &mut grads, &mut d_puzzle, &TOKENS);

    let factor = (D as f64).sqrt() * if learned { 0.5_f64.sqrt() } else { 1.0 };
    let scaled = Matrix::exact(&d_y, D);
    let scaled = scaled.zip(&scaled, |d, _| d * Bounded::constant(factor, 1.0));
    let mut d_tokens = Matrix::exact(&start[tokens.clone()], D);
    for (i, entry) in entries.iter().enumerate() {
        for c in 0..D {
            let at = entry * D + c;
            d_tokens.data[at] = d_tokens.data[at] + scaled.at(PREFIX + i, c);
        }
    }
    let forward = |p: &[&[f64]]| {
        let mut x = p[1].to_vec();
        x.resize(PREFIX * D, 0.0);
        for (x, register) in x.iter_mut().zip(*p.get(3).unwrap_or(&&[][..])) {
            *x += register;
        }
        x.extend(entries.iter().flat_map(|entry| &p[0][entry * D..][..D]));
        let position = |i: usize| p.get(2).map_or(0.0, |positions| positions[i]);
        x.iter()
            .enumerate()
            .map(|(i, x)| factor * (x + position(i)))
            .collect()
    };
    let table = |name, at: &Range<usize>, analysed| Parameter {
        name,
        value: &values[at.clone()],
        start: start[at.clone()].to_vec(),
        gradient: &grads[at.clone()],
        analysed,
    };
    let d_puzzle_analysed = Matrix {
        rows: 1,
        cols: PUZZLE,
        data: scaled.data[..PUZZLE].to_vec(),
    };
    let mut parameters = vec![
        table("tokens", &tokens, d_tokens),
        Parameter {
            name: "puzzle",
            value: &puzzle,
            start: vec![0.0; PUZZLE],
            gradient: &d_puzzle,
            analysed: d_puzzle_analysed,
        },
    ];
    if let Some(at) = &positions {
        let d_positions = Matrix::exact(&start[at.clone()], D).zip(&scaled, |start, d| start + d);
        parameters.push(table("positions", at, d_positions));
    }
    if let Some(at) = &registers {
        let first = Matrix::build(PREFIX, D, |i, c| scaled.at(i, c));
        let d_registers = Matrix::exact(&start[at.clone()], D).zip(&first, |start, d| start + d);
        parameters.push(table("registers", at, d_registers));
    }
    let op = match (learned, symbols) {
        (true, _) => "embedding with positions",
        (false, 0) => "embedding",
        (false, _) => "embedding of symbols",
    };
    cases_of(op, forward, &d_y, &parameters)
}

/// The mean loss of a row of tokens, some without a label; the first two tokens have no logits.
pub(super) fn cross_entropy_cases(mut random: Random, kind: LossKind, smoothing: f64) -> Vec<Case> {
    const FIRST: u8 = 2;
    const LABELS: [u8; 6] = [FIRST + 3, IGNORE, FIRST, FIRST + 6, FIRST + 2, FIRST + 2];
    const VOCABULARY: usize = 7;
    // Clear of 0, where the slope of stable-max has a corner.
    let wide = |x: f32| 4.0 * x + 0.1_f32.copysign(x);
    let logits: Vec<f32> = random
        .floats(LABELS.len() * VOCABULARY)
        .into_iter()
        .map(wide)
        .collect();
    let scale = 0.5 + random.floats(1)[0].abs();

    let mut d_logits = vec![f32::NAN; logits.len()];
    let loss = TokenLoss {
        kind,
        smoothing,
        first: FIRST,
    };
    token_cross_entropy(loss, &mut d_logits, &logits, &LABELS, scale.into());

    // stable-max: s(x) = x + 1 from 0 on, 1 / (1 - x) below; softmax: s(x) = e^x
    let s = |x: f64| match kind {
        LossKind::Softmax => x.exp(),
        LossKind::Stablemax if x < 0.0 => 1.0 / (1.0 - x),
        LossKind::Stablemax => x + 1.0,
    };
    let forward = |p: &[&[f64]]| {
        let rows = p[0]
            .chunks_exact(VOCABULARY)
            .zip(LABELS)
            .filter(|(_, label)| *label != IGNORE);
        let losses: Vec<f64> = rows
            .map(|(x, label)| {
                let ln_p = |x_k: f64| (s(x_k) / x.iter().map(|&x| s(x)).sum::<f64>()).ln();
                let mean = x.iter().map(|&x| ln_p(x)).sum::<f64>() / VOCABULARY as f64;
                let own = ln_p(x[usize::from(label - FIRST)]);
                -((1.0 - smoothing) * own + smoothing * mean)
            })
            .collect();
        vec![losses.iter().sum::<f64>() / losses.len() as f64]
    };
    // Computed in f64 and rounded to f32 at the end.
    let data = d_logits
        .iter()
        .map(|&d| Bounded {
            value: d.into(),
            error: U * f64::from(d).abs(),
        })
        .collect();
    let analysed = Matrix {
        rows: LABELS.len(),
        cols: VOCABULARY,
        data,
    };
    let op = match (kind, smoothing > 0.0) {
        (LossKind::Stablemax, false) => "stable-max cross-entropy",
        (LossKind::Softmax, false) => "softmax cross-entropy",
        (LossKind::Stablemax, true) => "smoothed stable-max",
        (LossKind::Softmax, true) => "smoothed softmax",
    };
    let start = vec![0.0; logits.len()];
    let parameter = Parameter {
        name: "logits",
        value: &logits,
        start,
        gradient: &d_logits,
        analysed,
    };
    cases_of(op, forward, &[scale], &[parameter])
}

/// The halting loss, in f64 throughout.
pub(super) fn bce_cases(mut random: Random) -> Vec<Case> {
    const COUNT: usize = 12;
    let x: Vec<f64> = random
        .floats(COUNT)
        .into_iter()
        .map(|x| 6.0 * f64::from(x))
        .collect();
    let target = |i: usize| (i % 2) as f64;
    let gradient: Vec<_> = x
        .iter()
        .enumerate()
        .map(|(i, &x)| bce_with_logits(x, target(i)).1)
        .collect();
    let forward = |x: &[f64]| {
        let p = x.iter().map(|x| 1.0 / (1.0 + (-x).exp()));
        p.enumerate()
            .map(|(i, p)| -if i % 2 == 1 { p.ln() } else { (1.0 - p).ln() })
            .collect()
    };
    vec![Case {
        op: "binary cross-entropy".to_owned(),
        parameter: "logit",
        start: vec![0.0; COUNT],
        analysed: gradient
            .iter()
            .map(|&value| Bounded { value, error: 0.0 })
            .collect(),
        measured: differences(forward, &x, &[1.0; COUNT]),
        gradient,
    }]
}
