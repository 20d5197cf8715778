//! Steps of AdamW and AdamATan2, and the angle that the second is made of.

use super::guarded::Guarded;
use super::{U, floats, lengths, panics, random};
use rand::RngExt;
use trm_kernels::Kernels;
use trm_kernels::adam::Step;
use trm_kernels::reference::{self, assert_close};

const STEP: Step = Step {
    take1: 0.1,
    take2: 0.05,
    keep: 0.999,
    rate: 0.01,
    root: 0.3,
    eps: 1e-8,
};

type Kernel = fn(&Kernels, &mut [f32], &mut [f32], &mut [f32], &[f32], &Step);

const BOTH: [(Kernel, bool); 2] = [(Kernels::adamw, false), (Kernels::adam_atan2, true)];

pub fn steps(k: &Kernels) {
    for (kernel, atan2) in BOTH {
        for len in lengths(k) {
            let rng = &mut random(len as u64);
            let [p, m, g] = [(); 3].map(|()| floats(rng, len));
            let v: Vec<f32> = floats(rng, len).iter().map(|v| v * v).collect();
            let [mut p_, mut m_, mut v_] =
                [(&p, 1), (&m, 2), (&v, 3)].map(|(x, at)| Guarded::new(x, (1, len), at, 0));
            kernel(
                k,
                p_.view().row(0),
                m_.view().row(0),
                v_.view().row(0),
                &g,
                &STEP,
            );
            let f = |x: &[f32], i: usize| f64::from(x[i]);
            let expected: Vec<_> = (0..len)
                .map(|i| {
                    let old = (f(&p, i), f(&m, i), f(&v, i));
                    reference::adam(old, f(&g, i), &STEP, atan2)
                })
                .collect();
            let [of_p, of_m, of_v] = [0, 1, 2].map(|part| {
                let part = |&(p, m, v): &(f64, f64, f64)| [p, m, v][part];
                expected.iter().map(part).collect::<Vec<_>>()
            });
            let m_bound = |i: usize| 3.0 * U * (f(&m, i).abs() + f(&g, i).abs());
            let v_bound = |i: usize| 4.0 * U * (f(&v, i) + f(&g, i) * f(&g, i));
            assert_close("m", &m_.values(), &of_m, m_bound);
            assert_close("v", &v_.values(), &of_v, v_bound);
            // The direction turns by the errors of m and s, as parts of the radius, and is then rounded itself.
            assert_close("p", &p_.values(), &of_p, |i| {
                let s = of_v[i].sqrt() / f64::from(STEP.root);
                let s_bound = s * (v_bound(i) / of_v[i] + 3.0 * U);
                let turned = match atan2 {
                    true => (m_bound(i) + s_bound) / of_m[i].hypot(s),
                    false => m_bound(i) / s + of_m[i].abs() / s * s_bound / s,
                };
                let direction = f(&p, i) * f64::from(STEP.keep) - of_p[i];
                let rate = f64::from(STEP.rate);
                1.1 * (rate * turned + 8.0 * U * direction.abs() + 2.0 * U * f(&p, i).abs())
            });
        }
    }
}

/// The angles of (s, m) for all signs and sizes, by a step that does nothing else.
pub fn angles_are_within_three_roundings(k: &Kernels) {
    let only_the_angle = Step {
        take1: 1.0,
        take2: 0.0,
        keep: 0.0,
        rate: -1.0,
        root: 1.0,
        eps: 0.0,
    };
    let rng = &mut random(7);
    let mut points = vec![(0.0, 0.0), (0.0, 4.0), (1e-20, 0.0), (-3.0, 9.0)];
    for _ in 0..20_000 {
        let size = 2f32.powi(rng.random_range(-50..50));
        // Roots of squares are exact.
        let s = size * rng.random_range(1..2048) as f32 / 1024.0;
        let m = s * 2f32.powf(rng.random_range(-12.0..12.0)) * rng.random_range(-1.0..1.0);
        points.push((m, s * s));
    }
    let (g, mut v): (Vec<f32>, Vec<f32>) = points.into_iter().unzip();
    let (mut p, mut m) = (vec![0.0; g.len()], vec![0.0; g.len()]);
    k.adam_atan2(&mut p, &mut m, &mut v, &g, &only_the_angle);
    assert_eq!(m, g, "the mean of one gradient");
    let angle = |i: usize| f64::from(g[i]).atan2(f64::from(v[i]).sqrt());
    let angles: Vec<f64> = (0..g.len()).map(angle).collect();
    assert_close("angle", &p, &angles, |i| 3.0 * U * angles[i].abs());
}

/// Means and squares below the normal numbers still have a ratio; what is not a number is not hidden.
pub fn angles_at_the_ends(k: &Kernels) {
    let step = Step {
        take1: 1.0,
        take2: 1.0,
        keep: 0.0,
        rate: -1.0,
        root: 1.0,
        eps: 0.0,
    };
    let g = [1e-18, -1e-18, 1e-30, -1e-44, 1e15, f32::NAN];
    let (mut p, mut m, mut v) = ([0.0; 6], [0.0; 6], [0.0; 6]);
    k.adam_atan2(&mut p, &mut m, &mut v, &g, &step);
    let quarter = std::f64::consts::FRAC_PI_4;
    // The squares of the third and fourth are 0, and they point straight up and down.
    let expected = [quarter, -quarter, 2.0 * quarter, -2.0 * quarter, quarter];
    assert_close("angle", &p[..5], &expected, |_| 1e-6);
    assert!(p[5].is_nan());
    let (mut p, mut v) = ([0.0; 2], [f32::NAN, 1.0]);
    k.adam_atan2(&mut p, &mut [0.0; 2], &mut v, &[1.0, 0.0], &step);
    assert!(p[0].is_nan() && p[1] == 0.0, "{p:?}");
}

pub fn lengths_that_disagree_panic(k: &Kernels) {
    for (kernel, _) in BOTH {
        for wrong in 0..4 {
            let mut x = [(); 4].map(|()| vec![0.5; 40]);
            x[wrong].pop();
            let [p, m, v, g] = &mut x;
            assert!(panics(&mut || kernel(k, p, m, v, g, &STEP)), "{wrong}");
        }
    }
}
