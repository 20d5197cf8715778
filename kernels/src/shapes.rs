//! Failures that give the sizes, for kernels whose operands have to agree.
//!
//! Each is a function of its own that takes plain numbers: a message formatted in place would keep every view of a
//! kernel's inner loops in memory.

/// Panics, with `what` was expected, unless the shapes (rows, columns) are the same.
#[inline(always)]
pub(crate) fn same_shape(what: &str, got: (usize, usize), expected: (usize, usize)) {
    if got != expected {
        shapes_differ(what, got, expected);
    }
}

/// Panics unless a slice has as many floats as the first.
#[inline(always)]
pub(crate) fn same_length(got: usize, expected: usize) {
    if got != expected {
        lengths_differ(got, expected);
    }
}

/// Panics unless scratch of `got` floats is long enough for `threads` that need `each`.
#[inline(always)]
pub(crate) fn enough_scratch(got: usize, each: usize, threads: usize) {
    if got < each.saturating_mul(threads) {
        scratch_is_short(got, each, threads);
    }
}

#[cold]
#[inline(never)]
fn shapes_differ(what: &str, got: (usize, usize), expected: (usize, usize)) -> ! {
    let ((rows, cols), (of_rows, of_cols)) = (got, expected);
    panic!("{what}: {rows} x {cols}, expected {of_rows} x {of_cols}");
}

#[cold]
#[inline(never)]
fn lengths_differ(got: usize, expected: usize) -> ! {
    panic!("slices of the same length: {got} floats, expected {expected}");
}

#[cold]
#[inline(never)]
fn scratch_is_short(got: usize, each: usize, threads: usize) -> ! {
    let needed = each.saturating_mul(threads);
    panic!("scratch of {got} floats, {needed} needed ({each} for each of {threads} threads)");
}
