//! Manual backpropagation: forward and backward pairs, parameters, optimisers.
