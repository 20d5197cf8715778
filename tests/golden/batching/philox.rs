//! The generator of NumPy that the reference's loader draws from, bit for bit (TRM_SPEC 8.2).
//!
//! Philox 4x64-10 (Salmon et al. 2011) turns a counter into four random words by ten rounds of multiplying and
//! exchanging halves; NumPy makes its key from a seed with a hash of its own.

/// The generator of a seed, as `numpy.random.Generator(numpy.random.Philox(seed=seed))`.
#[derive(Clone, Debug)]
pub struct Philox {
    key: [u64; 2],
    counter: [u64; 4],
    block: [u64; 4],
    /// Words of `block` that were handed out.
    used: usize,
    /// The high half of a word whose low half was handed out.
    half: Option<u32>,
}

impl Philox {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Philox {
        Philox {
            key: key(seed),
            counter: [0; 4],
            block: [0; 4],
            used: 4,
            half: None,
        }
    }

    /// The key that the seed was hashed to.
    pub fn key(&self) -> [u64; 2] {
        self.key
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == 4 {
            for word in &mut self.counter {
                *word = word.wrapping_add(1);
                if *word != 0 {
                    break;
                }
            }
            self.block = rounds(self.counter, self.key);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// The next 32 bits: the low half of a word, then its high half.
    pub fn next_u32(&mut self) -> u32 {
        match self.half.take() {
            Some(half) => half,
            None => {
                let word = self.next_u64();
                self.half = Some((word >> 32) as u32);
                word as u32
            }
        }
    }

    /// 0 to n - 1 in random order, as `generator.permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let mask = u32::MAX >> (i as u32).leading_zeros();
            let j = loop {
                let j = (self.next_u32() & mask) as usize;
                if j <= i {
                    break j;
                }
            };
            order.swap(i, j);
        }
        order
    }

    /// A number from 0 to n - 1, as `generator.integers(n)`.
    ///
    /// # Panics
    /// If n is 0, or 2^32 or more.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).expect("fewer than 2^32");
        assert!(n > 0, "a number below 0");
        if n == 1 {
            return 0;
        }
        // Lemire: the high half of a product is even but for the draws that would fall short.
        let short = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(n);
            if product as u32 >= short {
                return (product >> 32) as usize;
            }
        }
    }
}

/// One block: ten rounds over the counter.
fn rounds(mut c: [u64; 4], mut k: [u64; 2]) -> [u64; 4] {
    for round in 0..10 {
        if round > 0 {
            k[0] = k[0].wrapping_add(0x9E37_79B9_7F4A_7C15);
            k[1] = k[1].wrapping_add(0xBB67_AE85_84CA_A73B);
        }
        let [(hi0, lo0), (hi1, lo1)] =
            [(c[0], 0xD2E7_470E_E14C_6C93), (c[2], 0xCA5A_8263_9512_1157)].map(
                |(word, by): (u64, u64)| {
                    let product = u128::from(word) * u128::from(by);
                    ((product >> 64) as u64, product as u64)
                },
            );
        c = [hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0];
    }
    c
}

/// NumPy's `SeedSequence(seed)`, four words of it, as a key.
fn key(seed: u64) -> [u64; 2] {
    let mut multiplier = 0x43b0_d7e5_u32;
    let mut hash = |value: u32| {
        let value = value ^ multiplier;
        multiplier = multiplier.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(multiplier);
        value ^ value >> 16
    };
    // A seed has one word or two; what is missing of four counts as 0.
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut hash);
    for from in 0..4 {
        for to in (0..4).filter(|&to| to != from) {
            let x = pool[to].wrapping_mul(0xca01_f9dd);
            let mixed = x.wrapping_sub(hash(pool[from]).wrapping_mul(0x4973_f715));
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    let mut multiplier = 0x8b51_f9dd_u32;
    let words = pool.map(|word| {
        let value = word ^ multiplier;
        multiplier = multiplier.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(multiplier);
        u64::from(value ^ value >> 16)
    });
    [words[0] | words[1] << 32, words[2] | words[3] << 32]
}

/// Of any generator, beside NumPy's values in the fixture.
#[test]
fn permutations_and_numbers_are_what_they_are_called() {
    let mut philox = Philox::new(5);
    for n in 0..40 {
        let mut order = philox.permutation(n);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..n));
    }
    let mut counts = [0; 7];
    (0..7000).for_each(|_| counts[philox.below(7)] += 1);
    assert!(
        counts.iter().all(|&n: &i32| (n - 1000).abs() < 150),
        "{counts:?}"
    );
    let mut other = Philox::new(1 << 32 | 5);
    assert_ne!(other.next_u64(), Philox::new(5).next_u64());
}
