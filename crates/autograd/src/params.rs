//! Parameters: one flat buffer of values, named ranges in it, and packed copies of the matrices.
//!
//! Gradients, optimiser moments and the moving average are buffers of the same length, so everything that
//! treats all parameters alike (optimiser, EMA, reduction, checkpoint) is one loop over a slice.

use crate::init;
use crate::random::{Purpose, stream};
use std::ops::Range;
use trm_kernels::{Kernels, Lhs, MatRef, Rhs};
use trm_tensor::Shape;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Truncated normal of this standard deviation (TRM_SPEC 2).
    TruncatedNormal(f64),
    /// The same value everywhere.
    Constant(f32),
}

/// One named parameter in the flat buffer.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name in weights files: the reference's state-dict name without its prefix.
    pub name: String,
    /// Shape; a matrix is (out, in).
    pub shape: Shape,
    /// Where its values lie.
    pub at: Range<usize>,
    /// How it starts.
    pub init: Init,
}

/// Which axis of the activations (S x D) a matrix mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// y = x·Wᵀ: W is the right operand, and all positions of a micro-batch are one product.
    Channels,
    /// y = W·x for each puzzle: W is the left operand, so nothing is transposed.
    Positions,
}

/// A weight matrix W (out x in) without bias: where its values and its packed forms lie.
#[derive(Clone, Debug)]
pub struct Linear {
    /// Rows of W.
    pub out: usize,
    /// Columns of W.
    pub input: usize,
    /// The axis it mixes.
    pub axis: Axis,
    /// Its values, and its gradient, in the flat buffers.
    pub at: Range<usize>,
    /// Packed for y from x.
    pub(crate) forward: Range<usize>,
    /// Packed for d_x from d_y.
    pub(crate) backward: Range<usize>,
}

/// The values and packed matrices that the ops read.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// The instruction set that packed them.
    pub kernels: &'static Kernels,
    /// All parameters, flat.
    pub values: &'a [f32],
    /// All packed matrices, written by [`Layout::pack`].
    pub packed: &'a [f32],
    /// Threads that share each product and attention: 1 where there are puzzles enough for all threads.
    pub threads: usize,
    /// Whether the matrices stay as they are: their gradients are not computed, and stay as they were.
    pub frozen: bool,
}

/// The list of parameters of a network, built once from its config.
#[derive(Clone, Debug)]
pub struct Layout {
    kernels: &'static Kernels,
    specs: Vec<Spec>,
    matrices: Vec<Linear>,
    len: usize,
    packed_len: usize,
}

impl Layout {
    /// No parameters yet; matrices will be packed for `kernels`.
    pub fn new(kernels: &'static Kernels) -> Self {
        Layout {
            kernels,
            specs: Vec::new(),
            matrices: Vec::new(),
            len: 0,
            packed_len: 0,
        }
    }

    /// Adds a parameter and returns its range.
    pub fn add(&mut self, name: impl Into<String>, shape: Shape, init: Init) -> Range<usize> {
        let at = self.len..self.len + shape.len();
        self.len = at.end;
        self.specs.push(Spec {
            name: name.into(),
            shape,
            at: at.clone(),
            init,
        });
        at
    }

    /// Adds a matrix W (out x in).
    pub fn linear(
        &mut self,
        name: impl Into<String>,
        out: usize,
        input: usize,
        axis: Axis,
        init: Init,
    ) -> Linear {
        let at = self.add(name, Shape::from([out, input]), init);
        let k = self.kernels;
        let (forward, backward) = match axis {
            Axis::Channels => (k.packed_rhs_len(out, input), k.packed_rhs_len(input, out)),
            Axis::Positions => (k.packed_lhs_len(out, input), k.packed_lhs_len(input, out)),
        };
        let start = self.packed_len;
        self.packed_len += forward + backward;
        let linear = Linear {
            out,
            input,
            axis,
            at,
            forward: start..start + forward,
            backward: start + forward..start + forward + backward,
        };
        self.matrices.push(linear.clone());
        linear
    }

    /// Floats of all parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Floats of all packed matrices.
    pub fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// All parameters, in the order of the flat buffer.
    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// All matrices, in the order of the flat buffer.
    pub fn matrices(&self) -> &[Linear] {
        &self.matrices
    }

    /// Draws all starting values: overwrites `values`. One random stream a parameter.
    pub fn initialise(&self, values: &mut [f32], seed: u64) {
        for (i, spec) in self.specs.iter().enumerate() {
            let values = &mut values[spec.at.clone()];
            match spec.init {
                Init::Constant(value) => values.fill(value),
                Init::TruncatedNormal(std) => {
                    init::truncated_normal(values, std, &mut stream(seed, Purpose::Init, i as u64));
                }
            }
        }
    }

    /// Packs every matrix of `values` for both directions: overwrites `packed`. Once per optimiser step.
    pub fn pack(&self, packed: &mut [f32], values: &[f32]) {
        let k = self.kernels;
        for m in &self.matrices {
            let w = MatRef::new(&values[m.at.clone()], m.out, m.input);
            match m.axis {
                Axis::Channels => {
                    k.pack_rhs(&mut packed[m.forward.clone()], Rhs::Transposed(w));
                    k.pack_rhs(&mut packed[m.backward.clone()], Rhs::Plain(w));
                }
                Axis::Positions => {
                    k.pack_lhs(&mut packed[m.forward.clone()], Lhs::Plain(w));
                    k.pack_lhs(&mut packed[m.backward.clone()], Lhs::Transposed(w));
                }
            }
        }
    }
}
