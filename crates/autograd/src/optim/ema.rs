//! Moving average.
/// shadow ← (1 - mu) p + mu shadow
pub fn update(shadow: &mut [f32], p: &[f32], mu: f64) {
    let (keep, take) = (mu as f32, (1.0 - mu) as f32);
    for (s, p) in shadow.iter_mut().zip(p) {
        *s = take * p + keep * *s;
    }
}
