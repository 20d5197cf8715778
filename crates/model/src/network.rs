//! The network of TRM_SPEC 3: its parameters, where they lie, and the state that goes with them.

use crate::block::{Block, TokenMixer};
use crate::config::{ConfigError, FeedForward, Mixer, ModelConfig, PositionEncoding, System};
use crate::groups;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use trm_autograd::init::truncated_normal;
use trm_autograd::op::attention::{Attention, Rope};
use trm_autograd::op::embedding::{Embedding, ROLES};
use trm_autograd::op::group_mixer::{GroupMixer, Groups};
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
    /// The blocks of the level network, in order; of the one that updates z_L, where there are two.
    pub(crate) low: Vec<Block>,
    /// The blocks of HRM's second network, which updates z_H; empty where one updates both.
    pub(crate) high: Vec<Block>,
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
    /// First latents of every position, (latents, D). Never trained.
    pub l_init: AlignedVec,
    /// Puzzle embeddings, (identifiers, P).
    pub puzzle_emb: AlignedVec,
}

/// Bytes from which on a table of puzzle embeddings is kept on the disk. That of the paper's 876,406 variants of
/// ARC-AGI-1 has 1.8 GB, of which a step reads a few rows.
pub const LARGE_TABLE: usize = 256 << 20;

impl Parameters {
    /// What the ops read, for one thread.
    pub fn weights(&self, net: &Network) -> Weights<'_> {
        Weights {
            threads: 1,
            frozen: false,
            kernels: net.kernels,
            values: &self.values,
            packed: &self.packed,
        }
    }

    /// The embedding of puzzle `id`, (P).
    ///
    /// Panics when there is none of that number.
    pub fn puzzle(&self, net: &Network, id: u32) -> &[f32] {
        let p = net.config.puzzle_emb_ndim;
        &self.puzzle_emb[id as usize * p..][..p]
    }

    /// Moves the puzzle embeddings to a file without a name in `folder` if they are [large](LARGE_TABLE); where no
    /// such file can be made, they stay in memory.
    pub fn keep_large_table_in(&mut self, folder: &Path) {
        let table = &self.puzzle_emb;
        if size_of_val(&table[..]) < LARGE_TABLE || table.is_on_disk() {
            return;
        }
        let Ok(mut moved) = AlignedVec::zeros_on_disk(table.len(), folder) else {
            return;
        };
        /// Floats of a page or more.
        const PART: usize = 1 << 14;
        for (to, from) in moved.chunks_mut(PART).zip(table.chunks(PART)) {
            // What is zero already is left alone: it would only come into memory.
            if from.iter().any(|&x| x != 0.0) {
                to.copy_from_slice(from);
            }
        }
        self.puzzle_emb = moved;
    }
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

/// One block: its mixer of positions, and the feed-forward layer over channels.
fn block(
    layout: &mut Layout,
    name: &str,
    c: &ModelConfig,
    rope: Option<Arc<Rope>>,
    groups: Option<Arc<Groups>>,
) -> Block {
    let (s, d) = (c.positions(), c.width);
    let norm = (c.feed_forward == FeedForward::GatedNorm).then_some(c.norm_eps);
    let mixer = match c.mixer {
        Mixer::Mlp => TokenMixer::Mlp(swiglu(
            layout,
            &format!("{name}.mlp_t"),
            Axis::Positions,
            (s, c.position_inner()),
            norm,
        )),
        Mixer::Attention => {
            let name = format!("{name}.self_attn");
            TokenMixer::Attention(attention(layout, &name, c, rope))
        }
        Mixer::Groups | Mixer::Neighbours => {
            let groups = groups.expect("made for this mixer");
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
    let sizes = (d, c.channel_inner());
    let ffn = swiglu(layout, &format!("{name}.mlp"), Axis::Channels, sizes, norm);
    Block { mixer, ffn }
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
        let groups = groups::of(c).map(Arc::new);
        let mut level = |name: &str, layers: usize| -> Vec<Block> {
            let block = |i| {
                let name = format!("{name}.layers.{i}");
                block(&mut layout, &name, c, rope.clone(), groups.clone())
            };
            (0..layers).map(block).collect()
        };
        let (low, high) = match c.system {
            System::Hrm => (
                level("L_level", c.layers),
                level("H_level", c.high_layers()),
            ),
            System::Transformer => (level("H_level", c.layers), Vec::new()),
            System::Trm | System::SingleZ | System::MultiZ => {
                (level("L_level", c.layers), Vec::new())
            }
        };
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
            low,
            high,
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

    /// The blocks of an update that is one of the L_cycles ([`Depth::is_low`]), or of the one after them.
    pub(crate) fn blocks_of(&self, low: bool) -> &[Block] {
        if low || self.high.is_empty() {
            &self.low
        } else {
            &self.high
        }
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
            l_init: AlignedVec::zeros(c.system.latents() * c.width),
            puzzle_emb: AlignedVec::zeros(c.puzzle_identifiers * c.puzzle_emb_ndim),
        }
    }

    /// Brings the packed matrices up to date with the values.
    pub fn pack(&self, p: &mut Parameters) {
        self.layout.pack(&mut p.packed, &p.values);
    }
}
