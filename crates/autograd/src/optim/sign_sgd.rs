//! Sign-SGD.
/// One row.
pub fn update_row(w: &mut [f32], g: &[f32], lr: f64, wd: f64) {
    let (decay, lr) = ((1.0 - lr * wd) as f32, lr as f32);
    for (w, &g) in w.iter_mut().zip(g) {
        let sign = if g == 0.0 { 0.0 } else { g.signum() };
        *w = *w * decay - lr * sign;
    }
}
