//! Which optimiser updates which parameters: Muon the matrices of the blocks, where it is chosen, and Adam the rest.

use crate::config::{OptimizerName, TrainConfig};
use crate::network::Network;
use std::ops::Range;
use trm_autograd::optim::muon;
use trm_autograd::params::Linear;
use trm_tensor::AlignedVec;

/// Which optimiser updates which parameters.
#[derive(Debug)]
pub(super) struct Split {
    /// Muon's matrices.
    pub matrices: Vec<Linear>,
    /// Everything else, in the order of the flat buffer.
    pub others: Vec<Range<usize>>,
    /// Muon's scratch.
    pub scratch: AlignedVec,
}

impl Split {
    /// The matrices of the blocks, if Muon is to update them.
    fn matrices(net: &Network, optimizer: OptimizerName) -> Vec<Linear> {
        if optimizer != OptimizerName::Muon {
            return Vec::new();
        }
        let heads = [&net.lm_head.at, &net.q_head.at];
        let in_blocks = |m: &&Linear| !heads.contains(&&m.at);
        net.layout
            .matrices()
            .iter()
            .filter(in_blocks)
            .cloned()
            .collect()
    }

    /// Floats of scratch for the largest of them.
    fn scratch_len(matrices: &[Linear], threads: usize) -> usize {
        let lengths = matrices
            .iter()
            .map(|m| muon::scratch_len(m.out, m.input, threads));
        lengths.max().unwrap_or(0)
    }

    pub fn new(net: &Network, optimizer: OptimizerName, threads: usize) -> Self {
        let matrices = Self::matrices(net, optimizer);
        let (mut others, mut at) = (Vec::new(), 0);
        let len = net.layout.len();
        let end = std::iter::once(len..len);
        for matrix in matrices.iter().map(|m| m.at.clone()).chain(end) {
            if at < matrix.start {
                others.push(at..matrix.start);
            }
            at = matrix.end;
        }
        Split {
            others,
            scratch: AlignedVec::zeros(Self::scratch_len(&matrices, threads)),
            matrices,
        }
    }
}

/// Bytes that Muon works with on `threads`; none where it is not the optimiser.
pub fn muon_bytes(net: &Network, config: &TrainConfig, threads: usize) -> usize {
    let matrices = Split::matrices(net, config.optimizer);
    4 * Split::scratch_len(&matrices, threads)
}
