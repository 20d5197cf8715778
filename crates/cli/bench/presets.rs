//! The networks that `trm bench` measures, by the names and sizes of the PyTorch script beside which the
//! figures are read: two blocks, heads of 64 channels, T = 3.

use trm_model::config::{Mixer, PositionEncoding};
use trm_model::{ModelConfig, TrainConfig};

/// One network of the table.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    mixer: Mixer,
    width: usize,
    cells: usize,
    prefix_len: usize,
    inner: usize,
    /// Of the token mixer; attention has none.
    inner_positions: usize,
    l_cycles: usize,
    /// Puzzles that a worker takes at a time.
    micro_batch: usize,
}

const fn mlp(name: &'static str, width: usize, inner: usize, inner_positions: usize) -> Preset {
    Preset {
        name,
        mixer: Mixer::Mlp,
        width,
        cells: 81,
        prefix_len: 16,
        inner,
        inner_positions,
        l_cycles: 6,
        micro_batch: 2,
    }
}

const fn attention(name: &'static str, width: usize, inner: usize) -> Preset {
    Preset {
        mixer: Mixer::Attention,
        ..mlp(name, width, inner, 0)
    }
}

/// All of them.
pub const PRESETS: [Preset; 6] = [
    mlp("paper-mlp", 512, 1536, 512),
    attention("paper-att", 512, 1536),
    mlp("small-mlp", 128, 512, 512),
    attention("small-att", 128, 512),
    Preset {
        prefix_len: 0,
        ..mlp("mid-mlp", 192, 512, 256)
    },
    Preset {
        cells: 900,
        l_cycles: 4,
        micro_batch: 1,
        ..attention("maze-att", 128, 512)
    },
];

impl Preset {
    /// The preset called `name`.
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The network.
    pub fn model(&self) -> ModelConfig {
        ModelConfig {
            cells: self.cells,
            mixer: self.mixer,
            position_encoding: match self.mixer {
                Mixer::Mlp | Mixer::Groups | Mixer::Neighbours => PositionEncoding::None,
                Mixer::Attention => PositionEncoding::Rope,
            },
            width: self.width,
            heads: self.width / 64,
            inner: self.inner,
            inner_positions: self.inner_positions,
            prefix_len: self.prefix_len,
            puzzle_emb_ndim: if self.prefix_len > 0 { self.width } else { 0 },
            h_cycles: 3,
            l_cycles: self.l_cycles,
            ..ModelConfig::default()
        }
    }

    /// The paper's training at a batch of `batch`.
    pub fn training(&self, batch: usize) -> TrainConfig {
        TrainConfig {
            batch,
            micro_batch: self.micro_batch.min(batch),
            ..TrainConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_kernels::Kernels;
    use trm_model::Network;

    /// The sizes that the papers and the script state.
    #[test]
    fn parameters_are_those_of_the_reference() {
        for (name, parameters) in [("paper-mlp", 5_028_866), ("paper-att", 6_828_034)] {
            let preset = Preset::named(name).expect("a preset");
            let net = Network::new(preset.model(), &Kernels::available()[0]).expect(name);
            assert_eq!(net.layout().len(), parameters, "{name}");
        }
        for preset in PRESETS {
            let train = preset.training(32);
            train.validate(&preset.model()).expect(preset.name);
            Network::new(preset.model(), &Kernels::available()[0]).expect(preset.name);
        }
    }
}
