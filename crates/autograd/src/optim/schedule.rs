//! Learning rate.
/// Warm-up, then cosine.
pub fn learning_rate(base: f64, t: u64, warmup: u64, total: u64, r: f64) -> f64 {
    if t < warmup {
        return base * t as f64 / warmup.max(1) as f64;
    }
    let q = (t - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
    base * (r + (0.0f64).max((1.0 - r) * 0.5 * (1.0 + (std::f64::consts::PI * q).cos())))
}
