//! f32 matrix products of the model's shapes beside other libraries, on one thread and on two.
//!
//! ```text
//! cargo bench                                          everything but OpenBLAS (in this folder)
//! cargo bench -- matmul/194x3072                       one product
//! cargo bench -- trm-1                                 one library on one thread
//! cargo bench --features openblas                      with the system's OpenBLAS
//! MATMUL_NUM_THREADS=2 cargo bench -- matrixmultiply   matrixmultiply on two threads
//! ```
//!
//! Ids are matmul/SHAPE/LIBRARY-THREADS, SHAPE is m x n x k, and an element is one floating-point operation.
//! matrixmultiply reads its number of threads once, at its first product, so one run has one row of it:
//! of MATMUL_NUM_THREADS threads (1, 2 or 4), or of one. Every result is checked against the f64
//! reference before it is timed, the largest shapes in some of their rows.

mod libraries;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use libraries::{Operands, all};
use std::time::Duration;
use trm_kernels::reference::{self, assert_close};

/// m x n x k, the weight on the right: those of `benches/kernels/products.rs`, one puzzle, and two beside which
/// other people's figures can be read: a square, and 64 puzzles at once.
const SHAPES: [(usize, usize, usize); 9] = [
    // D 512, S 97, F 1536
    (194, 3072, 512),
    (194, 512, 1536),
    (97, 3072, 512),
    // D 128, S 97, F 512
    (194, 1024, 128),
    (194, 128, 512),
    // D 192, S 81, F 512
    (162, 1024, 192),
    // D 128, S 916, F 512
    (916, 1024, 128),
    (1024, 1024, 1024),
    (6208, 3072, 512),
];

/// Multiply-adds above which the f64 reference, plain loops, takes rows instead of all of C.
const ALL_ROWS: usize = 1 << 29;

/// Some rows of A·B in f64, and how far from it a product in f32 may be.
struct Expected {
    rows: Vec<usize>,
    exact: Vec<f64>,
    bound: Vec<f64>,
}

impl Expected {
    fn of(x: &Operands) -> Self {
        let Operands { m, n, k, .. } = *x;
        let rows: Vec<_> = match m * n * k {
            work if work < ALL_ROWS => (0..m).collect(),
            _ => (0..8).map(|i| i * (m - 1) / 7).collect(), // the first and the last among them
        };
        let wide = |x: &[f32]| x.iter().copied().map(f64::from).collect::<Vec<_>>();
        let (a, b) = (wide(&pick(&rows, &x.a, k)), wide(&x.b));
        Expected {
            exact: reference::matmul(&a, &b, rows.len(), n, k),
            bound: reference::matmul_bound(&a, &b, rows.len(), n, k),
            rows,
        }
    }

    fn check(&self, what: &str, c: &[f32], n: usize) {
        assert_close(what, &pick(&self.rows, c, n), &self.exact, |i| {
            self.bound[i]
        });
    }
}

/// `rows` of a matrix with `cols` columns.
fn pick(rows: &[usize], matrix: &[f32], cols: usize) -> Vec<f32> {
    let row = |&i: &usize| &matrix[i * cols..][..cols];
    rows.iter().flat_map(row).copied().collect()
}

fn matmul(c: &mut Criterion) {
    for (m, n, k) in SHAPES {
        let shape = format!("{m}x{n}x{k}");
        let operands = Operands::random(m, n, k);
        let expected = Expected::of(&operands);
        let mut group = c.benchmark_group("matmul");
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for (library, threads, prepare) in all() {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool");
            let mut product = prepare(&operands, threads);
            let id = BenchmarkId::new(&shape, format!("{library}-{threads}"));
            pool.install(|| product.multiply());
            expected.check(&format!("{shape}/{library}-{threads}"), &product.c(), n);
            // Inside the pool, so that no product waits for one of its threads to wake up.
            group.bench_function(id, |b| pool.install(|| b.iter(|| product.multiply())));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = matmul
}
criterion_main!(benches);
