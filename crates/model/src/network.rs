//! The network of TRM_SPEC 3: its parameters, where they lie, and the state that goes with them.

use crate::block::{Block, TokenMixer};
use crate::config::{ConfigError, FeedForward, Mixer, ModelConfig, PositionEncoding, TrainConfig};
use crate::groups;
use std::ops::Range;
use std::sync::Arc;
use trm_autograd::init::truncated_normal;
use trm_autograd::op::attention::{Attention, Rope};
use trm_autograd::op::embedding::{Embedding, ROLES};
use trm_autograd::op::group_mixer::GroupMixer;
use trm_autograd::op::swiglu::SwiGlu;
use trm_autograd::params::{Axis, Init, Layout, Linear, Weights};
use trm_autograd::random::{Purpose, stream};
use trm_kernels::Kernels;
use trm_tensor::{AlignedVec, Shape};

/// A network without values: sizes, the list of its parameters, and how they are used.
#[derive(Debug)]
pub struct Network {
    pub(crate) config: ModelConfig,
    pub(crate) kernels: &'static Kernels,
    pub(crate) layout: Layout,
    pub(crate) embedding: Embedding,
    /// The blocks of the one level network, in order.
    pub(crate) blocks: Vec<Block>,
    /// (V, D), or (1, D) with symbols: a logit for each row of a cell.
    pub(crate) lm_head: Linear,
    /// (2, D): halt, continue
    pub(crate) q_head: Linear,
    /// (2)
    pub(crate) q_bias: Range<usize>,
}

/// Everything a network knows: trained values, their packed copies, and the fixed or sparse buffers.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// All trained parameters, flat, in the order of [`Network::layout`].
    pub values: AlignedVec,
    /// Packed copies of the matrices; stale until [`Network::pack`].
    pub packed: AlignedVec,
    /// First z_H of every position, (D). Never trained.
    pub h_init: AlignedVec,
    /// First z_L of every position, (D). Never trained.
    pub l_init: AlignedVec,
    /// Puzzle embeddings, (identifiers, P).
    pub puzzle_emb: AlignedVec,
}

/// The initialisation of a matrix with `fan_in` columns.
fn lecun(fan_in: usize) -> Init {
    Init::TruncatedNormal((fan_in as f64).powf(-0.5))
}

/// SwiGLU with inner width F over `width` channels or positions, its gated product normalised with `norm`.
fn swiglu(
    layout: &mut Layout,
    name: &str,
    axis: Axis,
    (width, f): (usize, usize),
    norm: Option<f32>,
) -> SwiGlu {
    SwiGlu {
        norm,
        gate_up: layout.linear(
            format!("{name}.gate_up_proj.weight"),
            2 * f,
            width,
            axis,
            lecun(width),
        ),
        down: layout.linear(format!("{name}.down_proj.weight"), width, f, axis, lecun(f)),
    }
}

fn attention(
    layout: &mut Layout,
    name: &str,
    c: &ModelConfig,
    rope: Option<Arc<Rope>>,
) -> Attention {
    let inner = c.heads * c.head_width();
    Attention {
        qkv: layout.linear(
            format!("{name}.qkv_proj.weight"),
            3 * inner,
            c.width,
            Axis::Channels,
            lecun(c.width),
        ),
        out: layout.linear(
            format!("{name}.o_proj.weight"),
            c.width,
            inner,
            Axis::Channels,
            lecun(inner),
        ),
        heads: c.heads,
        positions: c.positions(),
        rope,
    }
}

impl Network {
    /// Lays the network out for one instruction set.
    ///
    /// # Errors
    /// When the config cannot work; see [`ModelConfig::validate`].
    pub fn new(config: ModelConfig, kernels: &'static Kernels) -> Result<Self, ConfigError> {
        config.validate()?;
        let c = &config;
        let (v, d, s) = (c.vocab_size, c.width, c.positions());
        let embed = Init::TruncatedNormal((d as f64).powf(-0.5));
        let mut layout = Layout::new(kernels);
        let entries = if c.symbols > 0 { ROLES } else { v };
        let tokens = layout.add(
            "embed_tokens.embedding_weight",
            Shape::from([entries, d]),
            embed,
        );
        let registers = c
            .registers
            .then(|| layout.add("registers", Shape::from([c.prefix_len, d]), embed));
        let positions = (c.position_encoding == PositionEncoding::Learned)
            .then(|| layout.add("embed_pos.embedding_weight", Shape::from([s, d]), embed));
        let rotary = c.mixer == Mixer::Attention && c.position_encoding == PositionEncoding::Rope;
        let rope = rotary.then(|| Arc::new(Rope::new(s, c.head_width(), c.rope_theta)));
        let groups = (c.mixer == Mixer::Groups).then(|| Arc::new(groups::sudoku(c.symbols)));
        let norm = (c.feed_forward == FeedForward::GatedNorm).then_some(c.norm_eps);
        let mut blocks = Vec::with_capacity(c.layers);
        for i in 0..c.layers {
            let name = format!("L_level.layers.{i}");
            let mixer = match c.mixer {
                Mixer::Mlp => {
                    let name = format!("{name}.mlp_t");
                    TokenMixer::Mlp(swiglu(
                        &mut layout,
                        &name,
                        Axis::Positions,
                        (s, c.position_inner()),
                        norm,
                    ))
                }
                Mixer::Attention => TokenMixer::Attention(attention(
                    &mut layout,
                    &format!("{name}.self_attn"),
                    c,
                    rope.clone(),
                )),
                Mixer::Groups => {
                    let groups = Arc::clone(groups.as_ref().expect("made for this mixer"));
                    let map = |g: usize| {
                        let name = format!("{name}.groups.{g}.weight");
                        layout.linear(name, d, d, Axis::Channels, lecun(d))
                    };
                    TokenMixer::Groups(GroupMixer {
                        maps: (0..groups.counts.len()).map(map).collect(),
                        groups,
                    })
                }
            };
            let ffn = swiglu(
                &mut layout,
                &format!("{name}.mlp"),
                Axis::Channels,
                (d, c.channel_inner()),
                norm,
            );
            blocks.push(Block { mixer, ffn });
        }
        let logits = if c.symbols > 0 { 1 } else { v };
        let lm_head = layout.linear("lm_head.weight", logits, d, Axis::Channels, embed);
        let q_head = layout.linear("q_head.weight", 2, d, Axis::Channels, Init::Constant(0.0));
        let q_bias = layout.add("q_head.bias", Shape::from([2]), Init::Constant(-5.0));
        let embedding = Embedding {
            tokens,
            registers,
            positions,
            prefix_len: c.prefix_len,
            width: d,
            symbols: c.symbols,
            first_symbol: c.first_output(),
        };
        Ok(Network {
            kernels,
            layout,
            embedding,
            blocks,
            lm_head,
            q_head,
            q_bias,
            config,
        })
    }

    /// The config it was made from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The instruction set it runs on.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// The trained parameters: names, shapes, places.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Fresh values, drawn from `seed` and packed.
    pub fn init(&self, seed: u64) -> Parameters {
        let c = &self.config;
        let mut p = self.zeros();
        self.layout.initialise(&mut p.values, seed);
        // Streams beyond those of the parameters.
        let first = self.layout.specs().len() as u64;
        for (i, init) in [&mut p.h_init, &mut p.l_init].into_iter().enumerate() {
            truncated_normal(
                init,
                1.0,
                &mut stream(seed, Purpose::Init, first + i as u64),
            );
        }
        debug_assert_eq!(p.puzzle_emb.len(), c.puzzle_identifiers * c.puzzle_emb_ndim);
        self.pack(&mut p);
        p
    }

    /// Buffers of the right sizes, all zero.
    pub fn zeros(&self) -> Parameters {
        let c = &self.config;
        Parameters {
            values: AlignedVec::zeros(self.layout.len()),
            packed: AlignedVec::zeros(self.layout.packed_len()),
            h_init: AlignedVec::zeros(c.width),
            l_init: AlignedVec::zeros(c.width),
            puzzle_emb: AlignedVec::zeros(c.puzzle_identifiers * c.puzzle_emb_ndim),
        }
    }

    /// Brings the packed matrices up to date with the values.
    pub fn pack(&self, p: &mut Parameters) {
        self.layout.pack(&mut p.packed, &p.values);
    }

    /// Floating-point operations of one supervision step of one puzzle: forward, and forward with backward.
    ///
    /// Matrix products only: 2 for each multiply-add, the backward pass twice the forward. As in the paper, one
    /// state and gradients through the last cycle; see [`Network::training_flops`].
    pub fn flops(&self) -> (f64, f64) {
        let c = &self.config;
        let (s, d) = (c.rows() as f64, c.width as f64);
        let mixer = match c.mixer {
            Mixer::Mlp => 6.0 * s * c.position_inner() as f64 * d,
            Mixer::Attention => {
                let inner = (c.heads * c.head_width()) as f64;
                8.0 * s * d * inner + 4.0 * s * s * inner
            }
            Mixer::Groups => 2.0 * groups::sudoku(c.symbols).total() as f64 * d * d,
        };
        let level = c.layers as f64 * (mixer + 6.0 * s * d * c.channel_inner() as f64);
        let levels = (c.l_cycles + 1) as f64;
        let forward = level * levels * c.h_cycles as f64;
        (forward, forward + 2.0 * level * levels)
    }

    /// Floating-point operations of one supervision step of one puzzle at full depth, with what `train` adds:
    /// gradients through every cycle (`cycle_loss`), K steps forward to find the best state
    /// (`winner_take_all = K`), and all levels but the last once more (`recompute`).
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
        let level = forward / (c.h_cycles * (c.l_cycles + 1)) as f64;
        let again = if train.recompute {
            c.l_cycles as f64 * level
        } else {
            0.0
        };
        (1.0 + states) * forward + cycles * (with_backward - forward + again)
    }
}

impl Parameters {
    /// What the ops read, for one thread.
    pub fn weights(&self, net: &Network) -> Weights<'_> {
        Weights {
            threads: 1,
            kernels: net.kernels,
            values: &self.values,
            packed: &self.packed,
        }
    }

    /// The embedding of puzzle `id`, (P).
    pub fn puzzle(&self, net: &Network, id: u32) -> &[f32] {
        let p = net.config.puzzle_emb_ndim;
        &self.puzzle_emb[id as usize * p..][..p]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
