//! Hand-written SIMD kernels of the trm engine.
