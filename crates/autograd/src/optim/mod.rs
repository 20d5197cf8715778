//! Optimisers: from gradients to new values.
//!
//! AdamW and AdamATan2 (Muon is in [`muon`], sign-SGD in [`sign_sgd`]) keep a moving mean m of the gradient and v of
//! its square, and shrink the weights on their own (decoupled decay, Loshchilov and Hutter 2019). For step
//! k = 1, 2, …, gradient g, rate lr:
//!
//! ```text
//! p ← p (1 - lr wd)
//! m ← m + (1 - beta1) (g - m)        v ← v + (1 - beta2) (g² - v)
//! AdamW:       p ← p - lr / (1 - beta1^k) · m / (sqrt(v / (1 - beta2^k)) + eps)
//! AdamATan2:   p ← p - lr / (1 - beta1^k) · atan2(m, sqrt(v / (1 - beta2^k)))
//! ```
//!
//! AdamATan2 (Everett et al. 2024, arXiv 2407.05872) needs no eps: where m and v are both 0, atan2 is 0.
//! The correction of m stands outside the arctangent, as in the package that the reference uses
//! (TRM_SPEC 6). Both are kernels ([`trm_kernels::adam`]); [`Hyper::step`] computes the constants of a step.

pub mod ema;
pub mod muon;
pub mod schedule;
pub mod sign_sgd;

pub use trm_kernels::adam::Step;

/// The constants of a run.
#[derive(Clone, Copy, Debug)]
pub struct Hyper {
    /// Decay of m a step.
    pub beta1: f64,
    /// Decay of v a step.
    pub beta2: f64,
    /// Added to the root by AdamW.
    pub eps: f64,
    /// Decoupled weight decay, relative to the learning rate.
    pub weight_decay: f64,
}

impl Hyper {
    /// The numbers of step k = 1, 2, … at rate `lr`, computed in f64 and rounded once, as the reference does.
    pub fn step(&self, lr: f64, k: u64) -> Step {
        let correction = |beta: f64| 1.0 - beta.powf(k as f64);
        Step {
            take1: (1.0 - self.beta1) as f32,
            take2: (1.0 - self.beta2) as f32,
            keep: (1.0 - lr * self.weight_decay) as f32,
            rate: (lr / correction(self.beta1)) as f32,
            root: correction(self.beta2).sqrt() as f32,
            eps: self.eps as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_kernels::Kernels;

    const HYPER: Hyper = Hyper {
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.0,
    };

    type Kernel = fn(&Kernels, &mut [f32], &mut [f32], &mut [f32], &[f32], &Step);

    /// The change of one value over steps with these gradients.
    fn change(kernel: Kernel, gradients: &[f32], lr: f64, hyper: &Hyper) -> f64 {
        let (mut p, mut m, mut v) = ([1.0], [0.0], [0.0]);
        for (k, g) in (1..).zip(gradients) {
            let kernels = &Kernels::available()[0];
            kernel(kernels, &mut p, &mut m, &mut v, &[*g], &hyper.step(lr, k));
        }
        f64::from(p[0]) - 1.0
    }

    #[test]
    fn the_first_step_knows_only_the_sign() {
        for g in [3.0_f32, 1e-3, -2e4] {
            let sign = f64::from(g.signum());
            let step = change(Kernels::adamw, &[g], 0.01, &HYPER);
            assert!((step + 0.01 * sign).abs() < 2e-7, "{step}");
            // atan(m / |g|) / (1 - beta1) with m = 0.1 g
            let step = change(Kernels::adam_atan2, &[g], 0.01, &HYPER);
            assert!(
                (step + 0.01 * sign * 0.1_f64.atan() / 0.1).abs() < 2e-7,
                "{step}"
            );
        }
    }

    #[test]
    fn a_steady_gradient_moves_by_a_quarter_of_pi() {
        let (many, more) = ([2.0; 300], [2.0; 301]);
        let step = |kernel: Kernel| {
            change(kernel, &more, 1e-4, &HYPER) - change(kernel, &many, 1e-4, &HYPER)
        };
        assert!((step(Kernels::adamw) + 1e-4).abs() < 1e-6);
        assert!((step(Kernels::adam_atan2) + 1e-4 * std::f64::consts::FRAC_PI_4).abs() < 1e-6);
    }

    #[test]
    fn decay_alone_shrinks_and_zero_gradients_do_no_harm() {
        let hyper = Hyper {
            weight_decay: 0.5,
            ..HYPER
        };
        for kernel in [Kernels::adamw, Kernels::adam_atan2] {
            let shrunk = change(kernel, &[0.0], 0.1, &hyper);
            assert!((shrunk + 0.05).abs() < 1e-7, "{shrunk}");
        }
    }
}
