//! Numbers that are no longer finite: found in the step in which they appear, and named.

use super::{Trainer, UPDATE_CHUNK};
use crate::train_step::Metrics;

/// A number that went astray in a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {what} is not a finite number any more")]
pub struct Astray {
    /// The step.
    pub step: u64,
    /// The loss, or a tensor and the place in it.
    pub what: String,
}

/// Where the first value lies that is NaN or infinite.
pub(crate) fn astray(values: &[f32]) -> Option<usize> {
    // All bits of the exponent set; without an early exit, so that it takes no time worth counting.
    const EXPONENT: u32 = 0x7f80_0000;
    let bad = |x: &f32| x.to_bits() & EXPONENT == EXPONENT;
    let any = |part: &[f32]| part.iter().fold(false, |any, x| any | bad(x));
    let part = values.chunks(UPDATE_CHUNK).position(any)?;
    let from = part * UPDATE_CHUNK;
    values[from..].iter().position(bad).map(|i| from + i)
}

impl Trainer {
    /// Fails with the first of loss and gradients that is not finite.
    pub(super) fn check_gradients(&self, metrics: &Metrics) -> Result<(), Astray> {
        let step = self.step;
        for (name, loss) in [
            ("token", metrics.lm_loss),
            ("halting", metrics.q_halt_loss),
            ("continuing", metrics.q_continue_loss),
        ] {
            if !loss.is_finite() {
                let what = format!("the {name} loss ({loss})");
                return Err(Astray { step, what });
            }
        }
        if let Some(i) = astray(&self.carry.d_puzzle) {
            let row = i / self.net.config.puzzle_emb_ndim;
            let what = format!("the gradient of the embedding of row {row} of the batch");
            return Err(Astray { step, what });
        }
        self.check("the gradient of ", &self.shards[0].grads)
    }

    /// Fails with the first of `values`, which lie as the parameters do, that is not finite.
    pub(super) fn check(&self, of: &str, values: &[f32]) -> Result<(), Astray> {
        let Some(at) = astray(values) else {
            return Ok(());
        };
        let mut specs = self.net.layout.specs().iter();
        let spec = specs.find(|spec| spec.at.contains(&at));
        let (name, start) = spec.map_or(("a gap", 0), |spec| (&spec.name, spec.at.start));
        Err(Astray {
            step: self.step,
            what: format!("{of}`{name}`, value {} of it,", at - start),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::Slot;
    use crate::config::TrainConfig;

    #[test]
    fn a_number_that_goes_astray_is_found_and_named() {
        let mut trainer = super::super::tests::small(TrainConfig {
            batch: 4,
            ..TrainConfig::default()
        });
        let fill = |_: usize, slot: Slot<'_>| slot.labels.fill(3);
        let metrics = trainer.step(fill).expect("finite numbers");
        let head = trainer
            .net
            .layout
            .specs()
            .iter()
            .find(|spec| spec.name == "lm_head.weight");
        let at = head.expect("a head").at.start + 5;
        for (x, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
            // In the gradients, which an update would have spread.
            let before = std::mem::replace(&mut trainer.shards[0].grads[at], x);
            let error = trainer
                .check_gradients(&metrics)
                .expect_err(name)
                .to_string();
            let expected = "step 1: the gradient of `lm_head.weight`, value 5 of it, is not a finite number any more";
            assert_eq!(error, expected);
            trainer.shards[0].grads[at] = before;
            trainer.carry.d_puzzle[2 * 8 + 1] = x;
            let error = trainer
                .check_gradients(&metrics)
                .expect_err(name)
                .to_string();
            assert!(error.contains("embedding of row 2 of the batch"), "{error}");
            trainer.carry.d_puzzle[2 * 8 + 1] = 0.0;
        }
        trainer.check_gradients(&metrics).expect("finite numbers");
        // In the weights: the next step's loss shows it, and nothing is updated.
        trainer.params.values[at] = f32::NAN;
        trainer.net.pack(&mut trainer.params);
        let (values, moments) = (trainer.params.values.clone(), trainer.m.clone());
        let error = trainer.step(fill).expect_err("NaN").to_string();
        assert_eq!(
            error,
            "step 2: the token loss (NaN) is not a finite number any more"
        );
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same(&values, &trainer.params.values) && same(&moments, &trainer.m));
        assert_eq!(astray(&[0.0, f32::MAX, -1e-40]), None);
        let mut many = vec![1.0; 3 * UPDATE_CHUNK];
        many[2 * UPDATE_CHUNK + 7] = f32::NEG_INFINITY;
        assert_eq!(astray(&many), Some(2 * UPDATE_CHUNK + 7));
    }
}
