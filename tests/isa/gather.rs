//! Sums of named rows, and their transpose.

use super::guarded::Guarded;
use super::{U, floats, lengths, message_of, panics, random, wide};
use rand::RngExt;
use trm_kernels::reference::assert_close;
use trm_kernels::{Kernels, MatMut, MatRef, Write};

/// Rows of y and of t, and groups of a row.
const SHAPES: [(usize, usize, usize); 3] = [(1, 1, 1), (7, 3, 2), (12, 9, 4)];

pub fn sums_and_their_gradient(k: &Kernels) {
    for width in lengths(k) {
        for (rows, groups, each) in SHAPES {
            let rng = &mut random((width * 100 + rows) as u64);
            let index: Vec<u32> = (0..rows * each)
                .map(|_| rng.random_range(0..groups as u32))
                .collect();
            let (y, t) = (floats(rng, rows * width), floats(rng, groups * width));
            let at = |i: usize, g: usize| index[i * each + g] as usize;

            // y[i,:] (+)= sum_g t[index[i,g],:]
            let t_view = Guarded::new(&t, (groups, width), 1, 3);
            let wide_t = wide(&t);
            for (write, start) in [(Write::Overwrite, 0.0), (Write::Add, 1.0)] {
                let mut out = Guarded::new(&y, (rows, width), 3, 1);
                k.gather(out.view(), t_view.read(), &index, write);
                let parts = |e: usize| {
                    let (i, c) = (e / width, e % width);
                    let own = start * f64::from(y[e]);
                    (0..each)
                        .map(move |g| at(i, g) * width + c)
                        .map(|t| wide_t[t])
                        .chain([own])
                };
                let sums = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
                    (0..y.len()).map(|e| parts(e).map(f).sum()).collect()
                };
                let (expected, sizes) = (sums(&|x| x), sums(&f64::abs));
                assert_close("gather", &out.values(), &expected, |e| {
                    (each + 1) as f64 * U * sizes[e]
                });
            }

            // t[index[i,g],:] += y[i,:]
            let y_view = Guarded::new(&y, (rows, width), 2, 2);
            let mut out = Guarded::new(&t, (groups, width), 1, 1);
            k.scatter_acc(out.view(), y_view.read(), &index);
            let (mut expected, mut sizes) = (
                wide_t.clone(),
                wide_t.iter().map(|x| x.abs()).collect::<Vec<_>>(),
            );
            for (e, y) in wide(&y).into_iter().enumerate() {
                let (i, c) = (e / width, e % width);
                for g in 0..each {
                    expected[at(i, g) * width + c] += y;
                    sizes[at(i, g) * width + c] += y.abs();
                }
            }
            assert_close("scatter", &out.values(), &expected, |e| {
                (rows * each) as f64 * U * sizes[e]
            });
        }
    }
}

pub fn no_rows_are_no_work(k: &Kernels) {
    let mut t = [1.0, 2.0];
    let (mut none, mut t_view) = ([], MatMut::new(&mut t, 1, 2));
    for write in [Write::Overwrite, Write::Add] {
        k.gather(MatMut::new(&mut none, 0, 2), t_view.as_ref(), &[], write);
    }
    k.scatter_acc(t_view.reborrow(), MatRef::new(&[], 0, 2), &[]);
    let said = message_of(&mut || {
        let y = MatMut::new(&mut none, 0, 2);
        k.gather(y, t_view.as_ref(), &[0], Write::Add);
    });
    assert!(said.contains("1 entries of a table for no rows"), "{said}");
    assert_eq!(t, [1.0, 2.0]);
}

pub fn tables_that_do_not_fit_panic(k: &Kernels) {
    let (mut y, mut t) = (vec![0.0; 6], vec![0.0; 4]);
    let mut try_both = |columns: usize, index: &[u32]| {
        let t_view = MatRef::new(&t, 4 / columns, columns);
        let gather = panics(&mut || k.gather(MatMut::new(&mut y, 3, 2), t_view, index, Write::Add));
        let t_view = MatMut::new(&mut t, 4 / columns, columns);
        let mut t_view = Some(t_view);
        let scatter = panics(&mut || {
            let t_view = t_view.take().expect("called once");
            k.scatter_acc(t_view, MatRef::new(&[0.0; 6], 3, 2), index);
        });
        assert_eq!(gather, scatter);
        gather
    };
    assert!(!try_both(2, &[0, 1, 1]));
    assert!(try_both(2, &[0, 1, 2]), "a row that t does not have");
    assert!(try_both(2, &[0, 1]), "no group for the last row");
    assert!(try_both(2, &[]), "no groups at all");
    assert!(try_both(1, &[0, 1, 1]), "rows of another length");
}
