//! The loop over registers that element-wise kernels share: whole registers first, then the tail.

/// Computes `$body` for every register of the sources and stores it to the destinations.
///
/// `for_lanes!(isa; y <- a, b; [isa.add(a, b)])` writes `y[i] = a[i] + b[i]`. In the body each source name
/// is a register; the body is an array with one register for each destination. A destination that is
/// also read stands on both sides. All slices have the length of the first destination; tails read as 0.
macro_rules! for_lanes {
    ($isa:ident; $first:ident $(, $more:ident)* <- $($src:ident),*; $body:expr) => {{
        let (len, mut at) = ($first.len(), 0);
        while at + I::LANES <= len {
            let values = { $(let $src = $isa.load(&$src[at..len]);)* $body };
            for_lanes!(@store $isa, store, values, at..len; $first $(, $more)*);
            at += I::LANES;
        }
        if at < len {
            let values = { $(let $src = $isa.load_partial(&$src[at..len], 0.0);)* $body };
            for_lanes!(@store $isa, store_partial, values, at..len; $first $(, $more)*);
        }
    }};
    (@store $isa:ident, $store:ident, $values:ident, $range:expr; $($dst:ident),+) => {
        let mut values = $values.into_iter();
        $(if let Some(value) = values.next() { $isa.$store(&mut $dst[$range], value); })+
    };
}

pub(crate) use for_lanes;
