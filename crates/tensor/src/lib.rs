//! Tensors at rest: aligned buffers, shapes, safetensors files.
