//! Optimisers.
pub mod ema;
pub mod schedule;
pub mod sign_sgd;
/// Kinds of optimisers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptimizerKind {
    /// AdamW.
    AdamW,
    /// AdamATan2.
    AdamAtan2,
}
/// Constants of both.
#[derive(Clone, Copy, Debug)]
pub struct Hyper {
    /// Decay of m.
    pub beta1: f64,
    /// Decay of v.
    pub beta2: f64,
    /// AdamW's.
    pub eps: f64,
    /// Decoupled.
    pub weight_decay: f64,
}
/// One step on a part of the flat buffers.
pub fn update(
    kind: OptimizerKind,
    p: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    lr: f64,
    k: u64,
    h: &Hyper,
) {
    let (b1, b2) = ((1.0 - h.beta1) as f32, (1.0 - h.beta2) as f32);
    let rate = (lr / (1.0 - h.beta1.powi(k as i32))) as f32;
    let root = (1.0 - h.beta2.powi(k as i32)).sqrt() as f32;
    let decay = (1.0 - lr * h.weight_decay) as f32;
    for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
        *p *= decay;
        *m += b1 * (g - *m);
        *v += b2 * (g * g - *v);
        *p -= rate
            * match kind {
                OptimizerKind::AdamW => *m / (v.sqrt() / root + h.eps as f32),
                OptimizerKind::AdamAtan2 => m.atan2(v.sqrt() / root),
            };
    }
}
