//! What a step costs: floating-point operations of the matrix products, 2 for each multiply-add.

use crate::config::{Mixer, System, TrainConfig};
use crate::groups;
use crate::network::Network;

impl Network {
    /// Floating-point operations of one block for one puzzle, forward.
    fn block_flops(&self) -> f64 {
        let c = &self.config;
        let (s, d) = (c.rows() as f64, c.width as f64);
        let mixer = match c.mixer {
            Mixer::Mlp => 6.0 * s * c.position_inner() as f64 * d,
            Mixer::Attention => {
                let inner = (c.heads * c.head_width()) as f64;
                8.0 * s * d * inner + 4.0 * s * s * inner
            }
            Mixer::Groups | Mixer::Neighbours => {
                let groups = groups::of(c).map_or(0, |groups| groups.total());
                2.0 * groups as f64 * d * d
            }
        };
        mixer + 6.0 * s * d * c.channel_inner() as f64
    }

    /// Blocks that the last `updates` updates of a cycle run.
    fn blocks_in(&self, updates: usize) -> f64 {
        let (system, depth) = (self.config.system, self.config.depth());
        let of = |i| self.blocks_of(depth.is_low(i)).len();
        let all = system.updates(depth);
        let blocks: usize = (all - updates..all).map(of).sum();
        blocks as f64
    }

    /// Floating-point operations of one supervision step of one puzzle: forward, and forward with backward.
    ///
    /// The backward pass costs twice the forward. One state, and gradients through the last cycle (its last two updates with HRM); see [`Network::training_flops`].
    pub fn flops(&self) -> (f64, f64) {
        let (system, depth) = (self.config.system, self.config.depth());
        let cycle = self.block_flops() * self.blocks_in(system.updates(depth));
        let trained = self.block_flops() * self.blocks_in(system.trained_updates(depth));
        let forward = cycle * depth.h_cycles as f64;
        (forward, forward + 2.0 * trained)
    }

    /// Floating-point operations of one supervision step of one puzzle at full depth, with what `train` adds:
    /// gradients through every cycle (`cycle_loss`), K steps forward to find the best state
    /// (`winner_take_all = K`), and all levels but the last once more (`recompute`). HRM looks a step ahead.
    pub fn training_flops(&self, train: &TrainConfig) -> f64 {
        let (forward, with_backward) = self.flops();
        let c = &self.config;
        let cycles = if train.cycle_loss > 0.0 {
            c.h_cycles as f64
        } else {
            1.0
        };
        let states = match train.winner_take_all {
            1 => 0.0,
            k => k as f64,
        };
        let ahead = if c.system == System::Hrm { 1.0 } else { 0.0 };
        let trained = self.blocks_in(c.system.trained_updates(c.depth()));
        let again = if train.recompute {
            self.block_flops() * (trained - self.blocks_in(1))
        } else {
            0.0
        };
        (1.0 + ahead + states) * forward + cycles * (with_backward - forward + again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use trm_kernels::Kernels;

    /// In levels, with H_cycles 3 and L_cycles 6: 21 forward, 7 of a cycle backward at twice the price.
    #[test]
    fn the_work_of_training_counts_what_its_options_add() {
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(ModelConfig::default(), kernels).expect("a network");
        let level = net.flops().0 / 21.0;
        let levels = |change: fn(&mut TrainConfig)| {
            let mut train = TrainConfig::default();
            change(&mut train);
            (net.training_flops(&train) / level).round() as usize
        };
        assert_eq!(levels(|_| ()), 21 + 14);
        assert_eq!(levels(|train| train.cycle_loss = 0.5), 21 + 3 * 14);
        assert_eq!(levels(|train| train.winner_take_all = 4), 5 * 21 + 14);
        assert_eq!(levels(|train| train.recompute = true), 21 + 14 + 6);
    }
}
