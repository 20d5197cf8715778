//! NumPy's random streams and the reference's batch order.

mod order;
mod philox;

use order::{Order, puzzle_of, testing, training};
use philox::Philox;
use serde_json::Value;
use trm_data::reference::levels::Levels;

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> usize {
    value
        .as_u64()
        .and_then(|n| n.try_into().ok())
        .expect("a number")
}

fn numbers(value: &Value) -> Vec<usize> {
    list(value).iter().map(number).collect()
}

/// 64-bit words, written as text because JSON's numbers are too short.
fn words(value: &Value) -> Vec<u64> {
    let word = |text: &Value| {
        text.as_str()
            .and_then(|text| text.parse().ok())
            .expect("a word")
    };
    list(value).iter().map(word).collect()
}

/// NumPy's legacy generator, which the reference leaves the choice of examples to: MT19937 as
/// `numpy.random.seed(seed)` starts it, and `permutation`, which draws by masking and rejection.
struct Legacy {
    state: [u32; 624],
    next: usize,
}

impl Legacy {
    fn new(seed: u32) -> Legacy {
        let mut state = [seed; 624];
        for i in 1..624 {
            let before = state[i - 1];
            state[i] = (before ^ before >> 30)
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Legacy { state, next: 624 }
    }

    fn draw(&mut self) -> u32 {
        if self.next == 624 {
            for i in 0..624 {
                let s = &self.state;
                let y = s[i] & 0x8000_0000 | s[(i + 1) % 624] & 0x7fff_ffff;
                let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = s[(i + 397) % 624] ^ y >> 1 ^ odd;
            }
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let mask = u32::MAX >> (i as u32).leading_zeros();
            let j = loop {
                let j = (self.draw() & mask) as usize;
                if j <= i {
                    break j;
                }
            };
            order.swap(i, j);
        }
        order
    }
}

pub fn check(case: &Value) {
    let streams = list(&case["philox"]);
    assert!(!streams.is_empty());
    for expected in streams {
        let seed = expected["seed"].as_u64().expect("a seed");
        let mut philox = Philox::new(seed);
        assert_eq!(philox.key()[..], words(&expected["key_u64"]), "seed {seed}");
        for word in words(&expected["first_raw_u64"]) {
            assert_eq!(philox.next_u64(), word, "seed {seed}");
        }
        let (expected, mut philox) = (&expected["then_on_fresh_generator"], Philox::new(seed));
        let lengths = numbers(&expected["permutation_of"]);
        for (n, order) in lengths.into_iter().zip(list(&expected["permutations"])) {
            assert_eq!(philox.permutation(n), numbers(order), "seed {seed}");
        }
        let ranges = list(&expected["integers_low_high"]);
        for (range, expected) in ranges.iter().zip(list(&expected["integers"])) {
            let [low, high] = numbers(range)[..] else {
                panic!("{range}: two numbers")
            };
            assert_eq!(
                low + philox.below(high - low),
                number(expected),
                "seed {seed}"
            );
        }
    }
    let runs = list(&case["runs"]);
    assert!(!runs.is_empty());
    for run in runs {
        check_run(run);
    }
}

fn check_run(run: &Value) {
    let (tag, batch) = (&run["tag"], number(&run["global_batch_size"]));
    let (puzzles, groups) = (
        numbers(&run["puzzle_indices"]),
        numbers(&run["group_indices"]),
    );
    let examples = *puzzles.last().expect("indices");
    let levels = Levels::new(puzzles, groups, examples).expect("levels");
    // Puzzle p has identifier p + 1; label e % 3, of which 0 is ignored.
    let identifier = |example| puzzle_of(&levels, example) + 1;
    let label = |example: usize| match example % 3 {
        0 => -100,
        label => label as i64,
    };
    let order = Order {
        seed: run["config_seed"].as_u64().expect("a seed"),
        batch,
        epochs: number(&run["epochs_per_iter"]),
    };
    let mut legacy = Legacy::new(number(&run["np_random_seed_legacy"]) as u32);
    for (pass, expected) in (1..).zip(list(&run["train_iterations"])) {
        let choose = |n, k| legacy.permutation(n)[..k].to_vec();
        let batches = training(&levels, order, pass, choose);
        assert_eq!(batches.len(), list(expected).len(), "{tag}, pass {pass}");
        assert_eq!(
            number(&run["steps_per_iteration"][pass as usize - 1]),
            batches.len()
        );
        for (batch, expected) in batches.iter().zip(list(expected)) {
            assert_eq!(
                *batch,
                numbers(&expected["example_indices"]),
                "{tag}, pass {pass}"
            );
            let identifiers: Vec<usize> = batch.iter().map(|&e| identifier(e)).collect();
            assert_eq!(
                identifiers,
                numbers(&expected["puzzle_identifiers"]),
                "{tag}"
            );
            let labels: Vec<i64> = batch.iter().map(|&e| label(e)).collect();
            let expected: Vec<i64> = list(&expected["labels_col0"])
                .iter()
                .filter_map(Value::as_i64)
                .collect();
            assert_eq!(labels, expected, "{tag}");
        }
    }
    let expected = list(&run["test_batches"]);
    assert_eq!(testing(&levels, batch).count(), expected.len(), "{tag}");
    for (batch, expected) in testing(&levels, batch).zip(expected) {
        assert_eq!(batch.len(), number(&expected["effective_batch"]), "{tag}");
        // What is missing of the last batch is padded.
        let inputs = numbers(&expected["inputs_col0"]);
        assert!(
            batch.clone().eq(inputs[..batch.len()].iter().copied()),
            "{tag}"
        );
        let identifiers = numbers(&expected["puzzle_identifiers"]);
        assert!(
            batch
                .clone()
                .map(identifier)
                .eq(identifiers[..batch.len()].iter().copied()),
            "{tag}"
        );
    }
    // The reference counts steps by a formula of its own.
    let (steps, about) = (&run["total_steps_formula_for_epochs"], &run["metadata"]);
    let mean = about["mean_puzzle_examples"].as_f64().expect("a mean");
    let total = number(&steps["epochs"]) as f64 * levels.groups() as f64 * mean / batch as f64;
    assert_eq!(total as usize, number(&steps["total_steps"]), "{tag}");
    assert_eq!(mean, examples as f64 / levels.puzzles() as f64, "{tag}");
}
