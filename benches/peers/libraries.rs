//! Every library behind one trait. Preparing is not timed; what a library does at each call is: all but
//! trm meet the weight anew and pack of it what they pack, and candle allocates the result.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use trm_kernels::{Kernels, Lhs, MatMut, MatRef, Packed, Rhs, SCRATCH, Write};
use trm_tensor::AlignedVec;

/// A: (m, k) and B: (k, n), row-major.
pub struct Operands {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: Vec<f32>,
    pub b: Vec<f32>,
}

impl Operands {
    /// Numbers between -1 and 1, always the same.
    pub fn random(m: usize, n: usize, k: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut floats = |len| (0..len).map(|_| rng.random_range(-1.0..1.0)).collect();
        let (a, b) = (floats(m * k), floats(k * n));
        Operands { m, n, k, a, b }
    }

    /// C before anything is written to it: what a library leaves out is not a number.
    fn empty(&self) -> Vec<f32> {
        vec![f32::NAN; self.m * self.n]
    }
}

/// C = A·B, ready to be repeated.
pub trait Product: Send {
    /// Overwrites C.
    fn multiply(&mut self);
    /// A copy of C.
    fn c(&self) -> Vec<f32>;
}

/// Makes a product of the operands on a number of threads.
type Prepare = for<'a> fn(&'a Operands, usize) -> Box<dyn Product + 'a>;

/// Name, threads and preparation of all that is compared. A product is done with before the next one is
/// prepared: candle and OpenBLAS have their number of threads in the process.
pub fn all() -> Vec<(&'static str, usize, Prepare)> {
    let trm: Prepare = |x, threads| Box::new(Trm::new(x, threads));
    let gemm: Prepare = |x, threads| Box::new(Gemm::new(x, threads));
    let matrixmultiply: Prepare = |x, threads| Box::new(MatrixMultiply::new(x, threads));
    let candle: Prepare = |x, threads| Box::new(Candle::new(x, threads));
    vec![
        ("trm", 1, trm),
        ("trm", 2, trm),
        ("gemm", 1, gemm),
        ("gemm", 2, gemm),
        ("matrixmultiply", MatrixMultiply::threads(), matrixmultiply),
        ("candle", 1, candle),
        ("candle", 2, candle),
        #[cfg(feature = "openblas")]
        ("openblas", 1, openblas::prepare),
        #[cfg(feature = "openblas")]
        ("openblas", 2, openblas::prepare),
    ]
}

/// Sets the environment variable through which a library learns its number of threads.
fn set_threads(variable: &str, threads: usize) {
    // SAFETY: between two measurements no C code of this process reads the environment, and Rust code
    // reads it through the lock of the standard library.
    unsafe { std::env::set_var(variable, threads.to_string()) }
}

struct Trm<'a> {
    operands: &'a Operands,
    threads: usize,
    kernels: &'static Kernels,
    packed: AlignedVec,
    scratch: AlignedVec,
    c: Vec<f32>,
}

impl<'a> Trm<'a> {
    fn new(x: &'a Operands, threads: usize) -> Self {
        let kernels = Kernels::best().expect("TRM_ISA names an instruction set of this CPU");
        let mut packed = AlignedVec::zeros(kernels.packed_rhs_len(x.n, x.k));
        kernels.pack_rhs(&mut packed, Rhs::Plain(MatRef::new(&x.b, x.k, x.n)));
        Trm {
            operands: x,
            threads,
            kernels,
            packed,
            scratch: AlignedVec::zeros(threads * SCRATCH),
            c: x.empty(),
        }
    }
}

impl Product for Trm<'_> {
    fn multiply(&mut self) {
        let x = self.operands;
        let c = MatMut::new(&mut self.c, x.m, x.n);
        let a = Lhs::Plain(MatRef::new(&x.a, x.m, x.k));
        let b = Rhs::Packed(Packed::new(&self.packed, x.n, x.k));
        let (kernels, scratch) = (self.kernels, &mut self.scratch[..]);
        match self.threads {
            1 => kernels.matmul(c, a, b, Write::Overwrite, scratch),
            t => kernels.matmul_on_threads(c, a, b, Write::Overwrite, scratch, t),
        }
    }

    fn c(&self) -> Vec<f32> {
        self.c.clone()
    }
}

struct Gemm<'a> {
    operands: &'a Operands,
    parallelism: gemm::Parallelism,
    c: Vec<f32>,
}

impl<'a> Gemm<'a> {
    fn new(x: &'a Operands, threads: usize) -> Self {
        Gemm {
            operands: x,
            parallelism: match threads {
                1 => gemm::Parallelism::None,
                _ => gemm::Parallelism::Rayon(threads),
            },
            c: x.empty(),
        }
    }
}

impl Product for Gemm<'_> {
    fn multiply(&mut self) {
        let x = self.operands;
        // Strides: between columns first, then between rows.
        let (c_step, a_step, b_step) = (x.n as isize, x.k as isize, x.n as isize);
        // SAFETY: C, A and B are row-major and hold m·n, m·k and k·n floats; C is borrowed mutably.
        unsafe {
            gemm::gemm(
                x.m,
                x.n,
                x.k,
                self.c.as_mut_ptr(),
                1,
                c_step,
                false, // C is not read
                x.a.as_ptr(),
                1,
                a_step,
                x.b.as_ptr(),
                1,
                b_step,
                0.0_f32,
                1.0,
                false,
                false,
                false,
                self.parallelism,
            );
        }
    }

    fn c(&self) -> Vec<f32> {
        self.c.clone()
    }
}

struct MatrixMultiply<'a> {
    operands: &'a Operands,
    c: Vec<f32>,
}

impl<'a> MatrixMultiply<'a> {
    const THREADS: &'static str = "MATMUL_NUM_THREADS";

    /// What the environment says; unsaid, the library would take a number that no id could show.
    fn threads() -> usize {
        let threads = std::env::var(Self::THREADS).ok();
        threads.and_then(|n| n.parse().ok()).unwrap_or(1)
    }

    fn new(x: &'a Operands, threads: usize) -> Self {
        set_threads(Self::THREADS, threads);
        MatrixMultiply {
            operands: x,
            c: x.empty(),
        }
    }
}

impl Product for MatrixMultiply<'_> {
    fn multiply(&mut self) {
        let x = self.operands;
        let [m, n, k] = [x.m, x.n, x.k];
        let (c_step, a_step, b_step) = (n as isize, k as isize, n as isize);
        let (a, b, c) = (x.a.as_ptr(), x.b.as_ptr(), self.c.as_mut_ptr());
        // SAFETY: C, A and B are row-major and hold m·n, m·k and k·n floats; C is borrowed mutably.
        unsafe {
            matrixmultiply::sgemm(m, k, n, 1.0, a, a_step, 1, b, b_step, 1, 0.0, c, c_step, 1);
        }
    }

    fn c(&self) -> Vec<f32> {
        self.c.clone()
    }
}

struct Candle {
    a: candle_core::Tensor,
    b: candle_core::Tensor,
    c: Option<candle_core::Tensor>,
}

impl Candle {
    fn new(x: &Operands, threads: usize) -> Self {
        set_threads("RAYON_NUM_THREADS", threads); // read at each product
        let tensor = |x: &[f32], shape: (usize, usize)| {
            candle_core::Tensor::from_slice(x, shape, &candle_core::Device::Cpu).expect("a tensor")
        };
        Candle {
            a: tensor(&x.a, (x.m, x.k)),
            b: tensor(&x.b, (x.k, x.n)),
            c: None,
        }
    }
}

impl Product for Candle {
    fn multiply(&mut self) {
        self.c = Some(self.a.matmul(&self.b).expect("shapes that agree"));
    }

    fn c(&self) -> Vec<f32> {
        let c = self.c.as_ref().expect("a product");
        let flat = c.flatten_all().and_then(|c| c.to_vec1());
        flat.expect("floats")
    }
}

#[cfg(feature = "openblas")]
mod openblas {
    use super::{Operands, Product};
    use std::ffi::c_int;

    #[link(name = "openblas")]
    unsafe extern "C" {
        safe fn openblas_set_num_threads(threads: c_int);
        fn cblas_sgemm(
            order: c_int,
            transpose_a: c_int,
            transpose_b: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: f32,
            a: *const f32,
            a_step: c_int,
            b: *const f32,
            b_step: c_int,
            beta: f32,
            c: *mut f32,
            c_step: c_int,
        );
    }

    /// `CblasRowMajor` and `CblasNoTrans` of its header.
    const ROW_MAJOR: c_int = 101;
    const AS_IT_IS: c_int = 111;

    struct OpenBlas<'a> {
        operands: &'a Operands,
        c: Vec<f32>,
    }

    pub fn prepare(x: &Operands, threads: usize) -> Box<dyn Product + '_> {
        openblas_set_num_threads(threads as c_int);
        Box::new(OpenBlas {
            operands: x,
            c: x.empty(),
        })
    }

    impl Product for OpenBlas<'_> {
        fn multiply(&mut self) {
            let x = self.operands;
            let [m, n, k] = [x.m, x.n, x.k].map(|size| size as c_int);
            let (a, b, c) = (x.a.as_ptr(), x.b.as_ptr(), self.c.as_mut_ptr());
            // SAFETY: C, A and B are row-major and hold m·n, m·k and k·n floats; C is borrowed mutably.
            unsafe {
                cblas_sgemm(
                    ROW_MAJOR, AS_IT_IS, AS_IT_IS, m, n, k, 1.0, a, k, b, n, 0.0, c, n,
                );
            }
        }

        fn c(&self) -> Vec<f32> {
            self.c.clone()
        }
    }
}
