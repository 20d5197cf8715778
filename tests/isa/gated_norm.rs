//! The gate of the gated norm, each half against its formula.

use super::guarded::Guarded;
use super::{U, floats, lengths, random};
use trm_kernels::Kernels;
use trm_kernels::reference::{assert_close, sigmoid};

/// What `sigmoid` promises, in units of [`U`]: four ULP, each at most two of them.
const SIGMOID: f64 = 8.0;

const ROWS: usize = 3;

/// Random matrices of F = `width` columns: u of twice as many, and two of the shape of a gate.
struct Inputs {
    width: usize,
    u: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Inputs {
    fn new(width: usize) -> Self {
        let rng = &mut random(width as u64);
        let mut of =
            |len, scale: f32| -> Vec<f32> { floats(rng, len).iter().map(|x| scale * x).collect() };
        Inputs {
            width,
            u: of(2 * ROWS * width, 5.0),
            x: of(ROWS * width, 2.0),
            y: of(ROWS * width, 1.0),
        }
    }

    /// Gate, up, x and y of element `e` of a gate's matrix.
    fn at(&self, e: usize) -> [f64; 4] {
        let (i, j) = (e / self.width, e % self.width);
        let u = |j| f64::from(self.u[2 * i * self.width + j]);
        [u(j), u(j + self.width), self.x[e].into(), self.y[e].into()]
    }

    /// `f(gate, up, x, y)` of every element.
    fn all(&self, f: impl Fn([f64; 4]) -> f64) -> Vec<f64> {
        (0..self.x.len()).map(|e| f(self.at(e))).collect()
    }

    /// The halves of a matrix as wide as u.
    fn halves(&self, u: &[f32]) -> [Vec<f32>; 2] {
        [0, 1].map(|half| {
            let rows = u.chunks_exact((2 * self.width).max(1));
            rows.flat_map(|row| row[half * self.width..][..self.width].to_vec())
                .collect()
        })
    }
}

pub fn products_and_gates(k: &Kernels) {
    for width in lengths(k) {
        let inputs = Inputs::new(width);
        let shape = (ROWS, width);
        let u = Guarded::new(&inputs.u, (ROWS, 2 * width), 1, 3);
        let mut p = Guarded::poisoned(shape, 2, 1);
        k.gated_product_forward(p.view(), u.read());
        let expected = inputs.all(|[g, up, ..]| g * up);
        assert_close("p", &p.values(), &expected, |e| U * expected[e].abs());

        let n = Guarded::new(&inputs.x, shape, 3, 2);
        let mut a = Guarded::poisoned(shape, 1, 1);
        k.gated_norm_forward(a.view(), u.read(), n.read());
        let expected = inputs.all(|[g, _, n, _]| sigmoid(g) * n);
        assert_close("a", &a.values(), &expected, |e| {
            (SIGMOID + 1.0) * U * expected[e].abs()
        });
    }
}

pub fn gradients_of_products_and_gates(k: &Kernels) {
    for width in lengths(k) {
        let inputs = Inputs::new(width);
        let (shape, wide) = ((ROWS, width), (ROWS, 2 * width));
        let u = Guarded::new(&inputs.u, wide, 2, 1);
        // a = sigmoid(g) ⊙ n, with x for n and y for d_a
        let n = Guarded::new(&inputs.x, shape, 1, 2);
        let mut d_a = Guarded::new(&inputs.y, shape, 3, 1);
        let start: Vec<f32> = inputs.u.iter().map(|u| 0.5 * u).collect();
        let mut d_u = Guarded::new(&start, wide, 1, 1);
        k.gated_norm_backward(d_u.view(), d_a.view(), u.read(), n.read());
        let expected = inputs.all(|[g, _, _, d]| d * sigmoid(g));
        assert_close("d_n", &d_a.values(), &expected, |e| {
            (SIGMOID + 1.0) * U * expected[e].abs()
        });
        let expected = inputs.all(|[g, _, n, d]| d * n * sigmoid(g) * (1.0 - sigmoid(g)));
        // The error of the sigmoid, on itself and on what it leaves of 1, and four roundings.
        let size = inputs.all(|[g, _, n, d]| (d * n).abs() * sigmoid(g));
        let [d_g, d_up] = inputs.halves(&d_u.values());
        assert_close("d_g", &d_g, &expected, |e| {
            (2.0 * SIGMOID + 4.0) * U * size[e]
        });
        assert_eq!(d_up, inputs.halves(&start)[1], "up's half is not touched");

        // p = g ⊙ up, with y for d_p
        let d_p = Guarded::new(&inputs.y, shape, 2, 3);
        let mut d_u = Guarded::new(&start, wide, 3, 1);
        k.gated_product_backward(d_u.view(), d_p.read(), u.read());
        let [d_g, d_up] = inputs.halves(&d_u.values());
        let expected = inputs.all(|[g, .., d]| d * g);
        assert_close("d_up", &d_up, &expected, |e| U * expected[e].abs());
        let expected = inputs.all(|[g, up, _, d]| 0.5 * g + d * up);
        let size = inputs.all(|[g, up, _, d]| (0.5 * g).abs() + (d * up).abs());
        assert_close("d_g", &d_g, &expected, |e| 2.0 * U * size[e]);
    }
}
