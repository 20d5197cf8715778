//! The Tiny Recursive Model: recursion, deep supervision, training, solving.
