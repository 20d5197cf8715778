//! Losses.
/// Label of a cell that nothing is asked of.
pub const IGNORE: u8 = 255;
/// Kinds of token losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Stable-max cross-entropy.
    Stablemax,
    /// Softmax cross-entropy.
    Softmax,
}
/// Loss of one puzzle.
#[derive(Clone, Copy, Debug)]
pub struct RowLoss {
    /// Mean over labelled tokens.
    pub loss: f64,
    /// Labelled tokens.
    pub count: usize,
    /// Right among them.
    pub correct: usize,
}
impl RowLoss {
    /// All right.
    pub fn seq_ok(&self) -> bool {
        self.count == self.correct
    }
}
/// Index of the first maximum.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, &x) in row.iter().enumerate() {
        if x > row[best] {
            best = i;
        }
    }
    best
}
fn s(x: f64) -> f64 {
    if x < 0.0 { 1.0 / (1.0 - x) } else { x + 1.0 }
}
fn s_prime(x: f64) -> f64 {
    if x < 0.0 {
        1.0 / ((1.0 - x) * (1.0 - x))
    } else {
        1.0
    }
}
/// Loss and gradient.
pub fn token_cross_entropy(
    kind: LossKind,
    d_logits: &mut [f32],
    logits: &[f32],
    labels: &[u8],
    scale: f64,
) -> RowLoss {
    let v = logits.len() / labels.len();
    let count = labels.iter().filter(|&&l| l != IGNORE).count();
    let share = 1.0 / count.max(1) as f64;
    let mut out = RowLoss {
        loss: 0.0,
        count,
        correct: 0,
    };
    for ((d, x), &label) in d_logits
        .chunks_exact_mut(v)
        .zip(logits.chunks_exact(v))
        .zip(labels)
    {
        if label == IGNORE {
            d.fill(0.0);
            continue;
        }
        let label = label as usize;
        out.correct += usize::from(argmax(x) == label);
        match kind {
            LossKind::Stablemax => {
                let sum: f64 = x.iter().map(|&x| s(x.into())).sum();
                out.loss += share * (sum.ln() - s(x[label].into()).ln());
                for (k, (d, &x)) in d.iter_mut().zip(x).enumerate() {
                    let x = f64::from(x);
                    let own = if k == label { 1.0 / s(x) } else { 0.0 };
                    *d = (scale * share * s_prime(x) * (1.0 / sum - own)) as f32;
                }
            }
            LossKind::Softmax => {
                let m = x.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
                let sum: f64 = x.iter().map(|&x| (f64::from(x) - m).exp()).sum();
                out.loss += share * (sum.ln() + m - f64::from(x[label]));
                for (k, (d, &x)) in d.iter_mut().zip(x).enumerate() {
                    let p = (f64::from(x) - m).exp() / sum;
                    *d = (scale * share * (p - if k == label { 1.0 } else { 0.0 })) as f32;
                }
            }
        }
    }
    out
}
/// Value and gradient.
pub fn bce_with_logits(x: f64, target: f64) -> (f64, f64) {
    (
        x.max(0.0) - x * target + (-x.abs()).exp().ln_1p(),
        1.0 / (1.0 + (-x).exp()) - target,
    )
}
