//! Numbers that are no longer finite, or too large to go on with: found in the step in which they appear, and named.
//!
//! A gradient must stay within [`MOST_GRADIENT`], not only be finite: Adam's second moment is a mean of squares, and
//! the square of a float beyond 1.8e19 is infinite.

use super::{Trainer, UPDATE_CHUNK};
use crate::metrics::Metrics;

/// A number that went astray in a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {what} is {fault}")]
pub struct Astray {
    /// The step.
    pub step: u64,
    /// The loss, or a tensor and the place in it.
    pub what: String,
    /// What is wrong with it.
    pub fault: String,
}

/// The largest size of a gradient's value that an update may see. Its square, 1e36, leaves room to spare.
const MOST_GRADIENT: f32 = 1e18;

/// Where the first value lies that is NaN or infinite.
pub(crate) fn astray(values: &[f32]) -> Option<usize> {
    beyond(f32::MAX, values)
}

/// Where the first value lies that is NaN, or of a size above `most`, which is not negative.
fn beyond(most: f32, values: &[f32]) -> Option<usize> {
    // Without the sign, floats are in the order of their bits, with infinity and NaN above all others. There is no early
    // exit, so that it takes no time worth counting.
    let bad = |x: &f32| x.to_bits() & 0x7fff_ffff > most.to_bits();
    let any = |part: &[f32]| part.iter().fold(false, |any, x| any | bad(x));
    let part = values.chunks(UPDATE_CHUNK).position(any)?;
    let from = part * UPDATE_CHUNK;
    values[from..].iter().position(bad).map(|i| from + i)
}

impl Trainer {
    /// Fails with the first of loss and gradients that is not finite, or of the gradients that is too large.
    pub(super) fn check_gradients(&self, metrics: &Metrics) -> Result<(), Astray> {
        let step = self.step;
        for (name, loss) in [
            ("token", metrics.lm_loss),
            ("halting", metrics.q_halt_loss),
            ("continuing", metrics.q_continue_loss),
        ] {
            if !loss.is_finite() {
                let (what, fault) = (format!("the {name} loss ({loss})"), fault(loss as f32));
                return Err(Astray { step, what, fault });
            }
        }
        let d_puzzle = &self.carry.d_puzzle;
        if let Some(i) = beyond(MOST_GRADIENT, d_puzzle) {
            let row = i / self.net.config.puzzle_emb_ndim;
            let what = format!("the gradient of the embedding of row {row} of the batch");
            let fault = fault(d_puzzle[i]);
            return Err(Astray { step, what, fault });
        }
        self.check("the gradient of ", &self.shards[0].grads, MOST_GRADIENT)
    }

    /// Fails with the first weight that is not finite.
    pub(super) fn check_values(&self) -> Result<(), Astray> {
        self.check("", &self.params.values, f32::MAX)
    }

    /// Fails with the first embedding of a puzzle in the batch that is not finite.
    pub(super) fn check_puzzle_embeddings(&self) -> Result<(), Astray> {
        let p = self.net.config.puzzle_emb_ndim;
        if p == 0 {
            return Ok(());
        }
        for &id in &self.carry.puzzles {
            let embedding = &self.params.puzzle_emb[id as usize * p..][..p];
            if let Some(at) = astray(embedding) {
                return Err(Astray {
                    step: self.step,
                    what: format!("the embedding of puzzle {id}, value {at} of it,"),
                    fault: fault(embedding[at]),
                });
            }
        }
        Ok(())
    }

    /// Fails with the first of `values`, which lie as the parameters do, that is NaN or of a size above `most`.
    fn check(&self, of: &str, values: &[f32], most: f32) -> Result<(), Astray> {
        let Some(at) = beyond(most, values) else {
            return Ok(());
        };
        let mut specs = self.net.layout.specs().iter();
        let spec = specs.find(|spec| spec.at.contains(&at));
        let (name, start) = spec.map_or(("a gap", 0), |spec| (&spec.name, spec.at.start));
        Err(Astray {
            step: self.step,
            what: format!("{of}`{name}`, value {} of it,", at - start),
            fault: fault(values[at]),
        })
    }
}

/// What is wrong with a number that is not finite, or else with a gradient that is too large.
fn fault(x: f32) -> String {
    match x.is_finite() {
        true => format!(
            "{x:e}, expected a size of at most {MOST_GRADIENT:e}, since its square must be a finite number"
        ),
        false => "not a finite number any more".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carry::Slot;
    use crate::config::TrainConfig;

    fn fill(_row: usize, slot: Slot<'_>) {
        slot.labels.fill(3);
    }

    /// A small run, and what its first step says.
    fn after_a_step() -> (Trainer, Metrics) {
        let mut trainer = super::super::tests::small(TrainConfig {
            batch: 4,
            ..TrainConfig::default()
        });
        let metrics = trainer.step(fill).expect("finite numbers");
        (trainer, metrics)
    }

    #[test]
    fn a_number_that_goes_astray_is_found_and_named() {
        let (mut trainer, metrics) = after_a_step();
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
        assert_eq!(beyond(2.0, &[2.0, -2.0, -0.0, -2.0000002, 3.0]), Some(3));
        let mut many = vec![1.0; 3 * UPDATE_CHUNK];
        many[2 * UPDATE_CHUNK + 7] = f32::NEG_INFINITY;
        assert_eq!(astray(&many), Some(2 * UPDATE_CHUNK + 7));
    }

    /// Their update may overflow, too, and a checkpoint may be written before the next step's loss shows it.
    #[test]
    fn an_embedding_that_goes_astray_is_found() {
        let (mut trainer, _) = after_a_step();
        trainer.params.puzzle_emb[5] = f32::INFINITY;
        let error = trainer.check_puzzle_embeddings().expect_err("infinity");
        assert_eq!(
            error.to_string(),
            "step 1: the embedding of puzzle 0, value 5 of it, is not a finite number any more"
        );
    }

    /// Finite, but Adam would square it.
    #[test]
    fn a_gradient_too_large_to_be_squared_is_found() {
        let (mut trainer, metrics) = after_a_step();
        for x in [1e18, -1e18] {
            trainer.shards[0].grads[5] = x;
            trainer.carry.d_puzzle[8] = x;
            trainer
                .check_gradients(&metrics)
                .expect("just small enough");
        }
        trainer.shards[0].grads[5] = -2e19;
        let error = trainer.check_gradients(&metrics).expect_err("too large");
        let error = error.to_string();
        assert!(
            error.contains("value 5 of it, is -2e19, expected a size of at most 1e18"),
            "{error}"
        );
        trainer.shards[0].grads[5] = 0.0;
        trainer.carry.d_puzzle[8] = 2e19;
        let error = trainer.check_gradients(&metrics).expect_err("too large");
        let error = error.to_string();
        assert!(
            error.contains("row 1 of the batch is 2e19, expected"),
            "{error}"
        );
    }
}
