//! Losses and their gradients: of the answer's tokens, and of the belief to be right.
//!
//! Stable-max (Prieto et al. 2025, arXiv 2501.04697) is softmax with a tamer function in place of exp:
//!
//! ```text
//! s(x) = x + 1 for x >= 0, 1 / (1 - x) below        p[k] = s(x[k]) / sum_j s(x[j])
//! loss = -sum_k t[k] ln p[k]                              t[k] = (1 - smoothing) [k = label] + smoothing / V
//! d_x[k] = s'(x[k]) (1 / sum_j s(x[j]) - t[k] / s(x[k]))
//! ```
//!
//! It grows as x does, not as e^x, so logits that are already right stop growing when they need not grow.
//!
//! A puzzle's loss is the mean over its labelled cells. Everything is computed in f64 and rounded to f32
//! at the end, as the reference does (TRM_SPEC 2): V is small, and the cost is lost in the noise.

/// Label of a cell of which nothing is asked.
pub const IGNORE: u8 = 255;

/// Kinds of token losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Stable-max cross-entropy: the paper's.
    Stablemax,
    /// Softmax cross-entropy.
    Softmax,
}

/// How the tokens of an answer are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenLoss {
    /// From logits to probabilities.
    pub kind: LossKind,
    /// Part of the target that is spread evenly over the vocabulary (label smoothing, Szegedy et al. 2016).
    pub smoothing: f64,
    /// The token of the first logit, where the network does not give one for every token.
    pub first: u8,
}

impl From<LossKind> for TokenLoss {
    /// No smoothing, a logit for every token.
    fn from(kind: LossKind) -> TokenLoss {
        TokenLoss {
            kind,
            smoothing: 0.0,
            first: 0,
        }
    }
}

/// What one puzzle's answer is worth.
#[derive(Clone, Copy, Debug)]
pub struct RowLoss {
    /// Mean loss of the labelled cells; 0 without any.
    pub loss: f64,
    /// Labelled cells.
    pub count: usize,
    /// Right ones among them.
    pub correct: usize,
}

impl RowLoss {
    /// Whether every labelled cell is right; true without any (TRM_SPEC 5).
    pub fn all_right(&self) -> bool {
        self.count == self.correct
    }
}

/// Loss of one puzzle and its gradient: overwrites `d_logits` (cells x V) with d(scale · loss).
///
/// A label of [`IGNORE`] takes no part and gets a gradient of zero.
///
/// Panics when there are no labels or no logits, `logits` is not (cells, V) for as many cells as there are `labels`, or
/// a label has no logit.
pub fn token_cross_entropy(
    loss: impl Into<TokenLoss>,
    d_logits: &mut [f32],
    logits: &[f32],
    labels: &[u8],
    scale: f64,
) -> RowLoss {
    let loss = loss.into();
    let whole =
        !logits.is_empty() && !labels.is_empty() && logits.len().is_multiple_of(labels.len());
    assert!(
        whole && d_logits.len() == logits.len(),
        "{} logits for {} cells",
        logits.len(),
        labels.len()
    );
    let vocabulary = logits.len() / labels.len();
    let count = labels.iter().filter(|&&label| label != IGNORE).count();
    let mut row = RowLoss {
        loss: 0.0,
        count,
        correct: 0,
    };
    let share = 1.0 / count.max(1) as f64;
    let cells = d_logits
        .chunks_exact_mut(vocabulary)
        .zip(logits.chunks_exact(vocabulary));
    for ((d_x, x), &given) in cells.zip(labels) {
        if given == IGNORE {
            d_x.fill(0.0);
            continue;
        }
        let label = match usize::from(given).checked_sub(loss.first.into()) {
            Some(label) if label < vocabulary => label,
            _ => panic!(
                "a label of {given}: its logit is none of {vocabulary} from {} on",
                loss.first
            ),
        };
        row.correct += usize::from(argmax(x) == label);
        row.loss += share
            * match loss.kind {
                LossKind::Stablemax => stablemax(d_x, x, label, loss.smoothing, scale * share),
                LossKind::Softmax => softmax(d_x, x, label, loss.smoothing, scale * share),
            };
    }
    row
}

/// The target of token k of `vocabulary`: 1 - smoothing for the label, and an even share of the smoothing.
fn target(k: usize, label: usize, smoothing: f64, vocabulary: usize) -> f64 {
    let own = if k == label { 1.0 - smoothing } else { 0.0 };
    own + smoothing / vocabulary as f64
}

/// `-sum_k target[k] ln p[k]` of one cell; overwrites `d_x` with `scale` times its gradient.
fn stablemax(d_x: &mut [f32], x: &[f32], label: usize, smoothing: f64, scale: f64) -> f64 {
    let s = |x: f64| if x < 0.0 { 1.0 / (1.0 - x) } else { x + 1.0 };
    let s_prime = |x: f64| if x < 0.0 { s(x) * s(x) } else { 1.0 };
    let sum: f64 = x.iter().map(|&x| s(x.into())).sum();
    let mut loss = sum.ln();
    for (k, (d, &logit)) in d_x.iter_mut().zip(x).enumerate() {
        let (x, t) = (f64::from(logit), target(k, label, smoothing, x.len()));
        loss -= t * s(x).ln();
        *d = (scale * s_prime(x) * (1.0 / sum - t / s(x))) as f32;
    }
    loss
}

/// The same with s(x) = e^x, shifted by the largest logit.
fn softmax(d_x: &mut [f32], x: &[f32], label: usize, smoothing: f64, scale: f64) -> f64 {
    let largest = f64::from(x[argmax(x)]);
    let sum: f64 = x.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
    let mut loss = sum.ln() + largest;
    for (k, (d, &logit)) in d_x.iter_mut().zip(x).enumerate() {
        let t = target(k, label, smoothing, x.len());
        loss -= t * f64::from(logit);
        let p = (f64::from(logit) - largest).exp() / sum;
        *d = (scale * (p - t)) as f32;
    }
    loss
}

/// Binary cross-entropy of a logit and its derivative, which is sigmoid(x) - target:
///
/// ```text
/// loss = max(x, 0) - x t + ln(1 + e^-|x|) = -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x))
/// ```
pub fn bce_with_logits(x: f64, target: f64) -> (f64, f64) {
    let loss = x.max(0.0) - x * target + (-x.abs()).exp().ln_1p();
    (loss, 1.0 / (1.0 + (-x).exp()) - target)
}

/// The index of the largest value, of the first one among equals. Panics when there is none.
pub fn argmax(row: &[f32]) -> usize {
    assert!(!row.is_empty(), "the largest of no values");
    let mut best = 0;
    for (i, &x) in row.iter().enumerate() {
        if x > row[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_by_hand() {
        // s = 4, 1, 1/2: p = 8/11, 2/11, 1/11
        let (x, mut d) = ([3.0, 0.0, -1.0], [0.0; 3]);
        let row = token_cross_entropy(LossKind::Stablemax, &mut d, &x, &[0], 11.0);
        assert!((row.loss - (11.0_f64 / 8.0).ln()).abs() < 1e-15 && row.all_right());
        // s' = 1, 1, 1/4; sum = 11/2
        assert_eq!(d, [2.0 - 11.0 / 4.0, 2.0, 0.5]);

        let (x, mut d) = ([3f32.ln(), 0.0], [0.0; 2]);
        let row = token_cross_entropy(LossKind::Softmax, &mut d, &x, &[1], 1.0);
        assert!((row.loss - 4f64.ln()).abs() < 1e-7 && !row.all_right());
        assert!((d[0] - 0.75).abs() < 1e-7 && (d[1] + 0.75).abs() < 1e-7);
    }

    #[test]
    fn smoothing_asks_for_a_little_of_everything() {
        // Equal logits are what smoothing 1 asks for: the loss is ln V, the gradient zero.
        for kind in [LossKind::Stablemax, LossKind::Softmax] {
            let loss = TokenLoss {
                kind,
                smoothing: 1.0,
                first: 2,
            };
            let mut d = [f32::NAN; 3];
            let row = token_cross_entropy(loss, &mut d, &[0.5; 3], &[4], 1.0);
            assert!((row.loss - 3f64.ln()).abs() < 1e-12, "{kind:?}");
            assert!(d.iter().all(|d| d.abs() < 1e-7), "{kind:?}: {d:?}");
        }
        let loss = TokenLoss {
            kind: LossKind::Softmax,
            smoothing: 0.2,
            first: 1,
        };
        let (x, mut d) = ([3f32.ln(), 0.0], [0.0; 2]);
        let row = token_cross_entropy(loss, &mut d, &x, &[2], 1.0);
        // p = 3/4, 1/4; t = 0.1, 0.9
        assert!((row.loss - (0.1 * (4.0 / 3.0_f64).ln() + 0.9 * 4f64.ln())).abs() < 1e-7);
        assert!((d[0] - 0.65).abs() < 1e-6 && (d[1] + 0.65).abs() < 1e-6);
    }

    #[test]
    fn a_puzzle_is_the_mean_of_its_labelled_cells() {
        let x = [1.0, 2.0, /**/ 5.0, 0.0, /**/ 0.5, -4.0];
        let cell = |at: usize, label| {
            let mut d = [0.0; 2];
            token_cross_entropy(
                LossKind::Stablemax,
                &mut d,
                &x[2 * at..2 * at + 2],
                &[label],
                0.5,
            )
            .loss
        };
        let mut d = [f32::NAN; 6];
        let row = token_cross_entropy(LossKind::Stablemax, &mut d, &x, &[0, IGNORE, 0], 1.0);
        assert!((row.loss - (cell(0, 0) + cell(2, 0)) / 2.0).abs() < 1e-15);
        assert_eq!((row.count, row.correct, &d[2..4]), (2, 1, &[0.0, 0.0][..]));
    }

    #[test]
    fn a_puzzle_without_labels_costs_nothing_and_counts_as_right() {
        let mut d = [f32::NAN; 4];
        let row = token_cross_entropy(LossKind::Softmax, &mut d, &[1.0; 4], &[IGNORE; 2], 1.0);
        assert!(row.loss == 0.0 && row.all_right() && d == [0.0; 4]);
    }

    /// Tokens 2, 3 and 4 have logits; the label below them must not wrap around to one far above.
    #[test]
    fn a_label_without_a_logit_is_refused() {
        for (label, has_logit) in [(1, false), (2, true), (4, true), (5, false)] {
            let loss = TokenLoss {
                first: 2,
                ..LossKind::Stablemax.into()
            };
            let of = move || token_cross_entropy(loss, &mut [0.0; 3], &[1.0; 3], &[label], 1.0);
            assert_eq!(std::panic::catch_unwind(of).is_ok(), has_logit, "{label}");
        }
    }

    #[test]
    fn large_logits_overflow_nothing() {
        for kind in [LossKind::Stablemax, LossKind::Softmax] {
            let mut d = [0.0; 2];
            let row = token_cross_entropy(kind, &mut d, &[3e38, -3e38], &[1], 1.0);
            assert!(
                row.loss.is_finite() && d.iter().all(|d| d.is_finite()),
                "{kind:?}"
            );
        }
        assert_eq!(bce_with_logits(1e4, 0.0), (1e4, 1.0));
        assert_eq!(bce_with_logits(-1e4, 0.0), (0.0, 0.0));
    }

    #[test]
    fn the_first_of_equal_maxima_wins() {
        assert_eq!(argmax(&[0.0, 2.0, 2.0, 1.0]), 1);
        assert_eq!(argmax(&[-1.0]), 0);
    }
}
