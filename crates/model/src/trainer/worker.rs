//! What the threads of a step work with.

use crate::config::TrainConfig;
use crate::network::Network;
use crate::winner;
use crate::workspace::Memory;
use std::sync::{Mutex, MutexGuard};
use trm_tensor::AlignedVec;

/// What a thread works with.
#[derive(Debug)]
pub(super) struct Worker {
    pub memory: Memory,
    /// States set aside where the best of several is trained.
    pub states: AlignedVec,
}

impl Worker {
    /// Floats of its memory, and of its states.
    fn floats(net: &Network, config: &TrainConfig) -> (usize, usize) {
        let memory = Memory::floats(net, config.at_once(), config.mode(), 1);
        match config.winner_take_all {
            1 => (memory, 0),
            _ => (memory, winner::scratch_len(&net.config)),
        }
    }

    pub fn new(net: &Network, config: &TrainConfig) -> Worker {
        let (_, set_aside) = Worker::floats(net, config);
        Worker {
            memory: Memory::new(net, config.at_once(), config.mode(), 1),
            states: AlignedVec::zeros(set_aside),
        }
    }

    /// A free worker, this thread's own first: its memory may still be in the cache.
    pub fn free(workers: &[Mutex<Worker>]) -> MutexGuard<'_, Worker> {
        let own = rayon::current_thread_index().unwrap_or(0) % workers.len();
        let (before, from) = workers.split_at(own);
        let mut in_turn = from.iter().chain(before);
        let free = in_turn.find_map(|worker| worker.try_lock().ok());
        free.unwrap_or_else(|| workers[own].lock().expect("no worker has panicked"))
    }
}

/// Bytes that a run of `net` on `threads` works with in a step, beside its values, its gradients and the batch.
pub fn workspace_bytes(net: &Network, config: &TrainConfig, threads: usize) -> usize {
    let (memory, states) = Worker::floats(net, config);
    config.workers(threads) * 4 * (memory + states)
}
