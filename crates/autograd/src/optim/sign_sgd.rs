//! Sign-SGD for puzzle embeddings: only the rows of puzzles in the batch are touched (TRM_SPEC 6).
//!
//! ```text
//! w ← w (1 - lr wd) - lr sign(g)        sign(0) = 0
//! ```
//!
//! There is one row for each of possibly a million puzzles, and each is seen rarely, so there is no
//! memory of earlier gradients: only their sign counts.

/// One step of one row, g the sum of its gradients over the batch. Panics when their lengths differ.
pub fn update_row(w: &mut [f32], g: &[f32], lr: f64, weight_decay: f64) {
    assert_eq!(w.len(), g.len(), "a gradient for each value");
    let (keep, lr) = ((1.0 - lr * weight_decay) as f32, lr as f32);
    for (w, &g) in w.iter_mut().zip(g) {
        let sign = if g == 0.0 { 0.0 } else { g.signum() };
        *w = *w * keep - lr * sign;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn size_does_not_matter_and_zero_only_decays() {
        let mut w = [1.0, 1.0, 1.0, 1.0];
        super::update_row(&mut w, &[1e-20, -1e20, 0.0, -0.0], 0.25, 2.0);
        assert_eq!(w, [0.25, 0.75, 0.5, 0.5]);
    }
}
