//! Options of the training recipe, each against what it must be equal to.

use super::{Puzzles, assert_same_bits, halting_bias, model, run_to, trainer, training};
use trm_autograd::optim::muon;
use trm_kernels::Kernels;
use trm_model::config::{Mixer, OptimizerName, Stage};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer};

/// A run of the small network with other cycles.
fn run(cycles: (usize, usize), config: TrainConfig) -> Trainer {
    let mut model = model(Mixer::Groups);
    (model.h_cycles, model.l_cycles) = cycles;
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(model, kernels).expect("a network that works");
    let params = net.init(config.seed);
    Trainer::new(net, params, config, 2).expect("a config that works")
}

/// Two cycles with a loss each are two supervision steps of one cycle, the first weighted.
#[test]
fn a_loss_on_every_cycle_is_a_sum_of_steps() {
    let puzzles = Puzzles::new(20);
    let mut config = training(2);
    (config.batch, config.lr, config.halt_loss_weight) = (5, 0.0, 0.0);
    let mut single = run((1, 2), config.clone());
    let mut each = Vec::new();
    for step in 1..=2 {
        run_to(&mut single, step, &puzzles, 2);
        each.push(single.grads().to_vec());
    }
    config.cycle_loss = 0.25;
    let mut double = run((2, 2), config);
    run_to(&mut double, 1, &puzzles, 2);
    let largest = each[1].iter().fold(0.0_f32, |a, g| a.max(g.abs()));
    for (i, both) in double.grads().iter().enumerate() {
        let sum = 0.25 * each[0][i] + each[1][i];
        assert!((both - sum).abs() < 1e-4 * largest, "{i}: {both} and {sum}");
    }
    assert!(*double.carry.z_h == *single.carry.z_h, "the same states");
}

#[test]
fn a_stage_of_the_curriculum_is_the_shallower_network() {
    let puzzles = Puzzles::new(20);
    let stage = |from, h_cycles, l_cycles| Stage {
        from,
        h_cycles,
        l_cycles,
    };
    let mut config = training(12);
    config.curriculum = vec![stage(0.0, 1, 1), stage(0.5, 1, 2), stage(0.9, 2, 2)];
    let depth = |config: &TrainConfig, step| {
        let mut model = model(Mixer::Groups);
        (model.h_cycles, model.l_cycles) = (2, 3);
        let depth = config.depth(&model, step);
        (depth.h_cycles, depth.l_cycles)
    };
    let depths = [1, 6, 7, 11, 12].map(|step| depth(&config, step));
    assert_eq!(depths, [(1, 1), (1, 1), (1, 2), (1, 2), (2, 2)]);
    assert_eq!(depth(&training(12), 1), (2, 3), "none: the model's");

    let mut staged = run((2, 2), config);
    let mut shallow = run((1, 1), training(12));
    for run in [&mut staged, &mut shallow] {
        run_to(run, 6, &puzzles, 2);
    }
    assert_same_bits("the first stage", &staged, &shallow);
    run_to(&mut staged, 12, &puzzles, 2);
    run_to(&mut shallow, 12, &puzzles, 2);
    assert_ne!(
        *staged.params.values, *shallow.params.values,
        "later stages"
    );
}

#[test]
fn a_stage_that_memory_was_not_made_for_is_refused() {
    let stage = |from, h_cycles, l_cycles| Stage {
        from,
        h_cycles,
        l_cycles,
    };
    for (stages, said) in [
        (vec![stage(0.0, 3, 1)], "train.curriculum.H_cycles = 3"),
        (vec![stage(0.0, 1, 0)], "train.curriculum.L_cycles = 0"),
        (vec![stage(1.5, 1, 1)], "train.curriculum.from = 1.5"),
        (
            vec![stage(0.5, 1, 1), stage(0.2, 1, 1)],
            "expected 0.5 to 1",
        ),
    ] {
        let mut config = training(1);
        config.curriculum = stages;
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(model(Mixer::Mlp), kernels).expect("a network that works");
        let params = net.init(1);
        let error = Trainer::new(net, params, config, 1).expect_err("a stage too deep");
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// Registers are learned: another vector in each row, and none of them stays.
#[test]
fn registers_are_trained() {
    let puzzles = Puzzles::new(20);
    let kernels = Kernels::best().expect("an instruction set");
    let mut model = model(Mixer::Mlp);
    (model.prefix_len, model.registers, model.puzzle_emb_ndim) = (3, true, 0);
    let net = Network::new(model.clone(), kernels).expect("a network that works");
    let params = net.init(1);
    let at = net
        .layout()
        .specs()
        .iter()
        .find(|spec| spec.name == "registers");
    let at = at.expect("registers").at.clone();
    assert_eq!(at.len(), 3 * model.width);
    let before = params.values[at.clone()].to_vec();
    let mut config = training(5);
    // Decay would move them too.
    config.weight_decay = 0.0;
    let mut run = Trainer::new(net, params, config, 2).expect("a config that works");
    run_to(&mut run, 5, &puzzles, 2);
    let after = &run.params.values[at];
    assert!(before.iter().zip(after).all(|(a, b)| a != b));
    let mut rows = after.chunks_exact(model.width);
    let first = rows.next().expect("a row");
    assert!(rows.all(|row| row != first));
}

/// Muon moves the matrices of the blocks, AdamW everything else.
#[test]
fn muon_leaves_embeddings_and_heads_to_adam() {
    let puzzles = Puzzles::new(40);
    let kernels = Kernels::best().expect("an instruction set");
    let with = |optimizer| {
        let mut config = training(50);
        (config.optimizer, config.muon_lr) = (optimizer, 0.01);
        let mut run = trainer(Mixer::Groups, config, kernels, 2);
        run_to(&mut run, 1, &puzzles, 2);
        run
    };
    let (adam, muon) = (with(OptimizerName::Adamw), with(OptimizerName::Muon));
    for spec in adam.net.layout().specs() {
        let [a, m] = [&adam, &muon].map(|run| run.params.values[spec.at.clone()].to_vec());
        let in_block = spec.name.starts_with("L_level");
        assert_eq!(a != m, in_block, "{}", spec.name);
        if in_block {
            let v = &muon.v[spec.at.clone()];
            assert!(v.iter().all(|&v| v == 0.0), "Muon has no second moments");
        }
    }
}

/// A matrix of the blocks moves by [`muon::update`], to the bit: at the rate of the step, which goes up for five steps
/// and down to a fifth in the last, and with the decay and momentum that are Muon's alone.
#[test]
fn muon_has_a_rate_decay_and_momentum_of_its_own() {
    let puzzles = Puzzles::new(20);
    let kernels = Kernels::best().expect("an instruction set");
    let mut config = training(7);
    (config.optimizer, config.muon_lr) = (OptimizerName::Muon, 0.01);
    let hyper = muon::Hyper {
        momentum: 0.75,
        weight_decay: 0.3,
    };
    (config.muon_momentum, config.muon_weight_decay) = (hyper.momentum, hyper.weight_decay);
    let mut run = trainer(Mixer::Mlp, config, kernels, 2);
    for (step, rate) in [(2, 0.01 * 2.0 / 5.0), (7, 0.01 * 0.2)] {
        run_to(&mut run, step - 1, &puzzles, 2);
        let (mut values, mut sums) = (run.params.values.to_vec(), run.m.to_vec());
        run_to(&mut run, step, &puzzles, 2);
        let layout = run.net.layout();
        let in_blocks = layout
            .specs()
            .iter()
            .filter(|spec| spec.name.starts_with("L_level"));
        let mut moved = 0;
        for spec in in_blocks {
            let matrix = layout.matrices().iter().find(|matrix| matrix.at == spec.at);
            let (at, shape) = (
                spec.at.clone(),
                matrix.map(|matrix| (matrix.out, matrix.input)),
            );
            let shape = shape.expect("blocks hold matrices alone");
            let state = muon::State {
                w: &mut values[at.clone()],
                m: &mut sums[at.clone()],
            };
            let mut scratch = vec![f32::NAN; muon::scratch_len(shape.0, shape.1, 1)];
            let g = &run.grads()[at.clone()];
            muon::update((kernels, 1), state, g, shape, rate, &hyper, &mut scratch);
            for (by_hand, own) in [(&values, &run.params.values), (&sums, &run.m)] {
                assert!(
                    by_hand[at.clone()] == own[at.clone()],
                    "{}, step {step}",
                    spec.name
                );
            }
            moved += 1;
        }
        assert_eq!(moved, 8, "two blocks of two layers");
    }
}

/// A network that is always sure halts at once; under a floor it goes on, and is told so at every step anew.
#[test]
fn exploration_holds_puzzles_back_in_training() {
    let puzzles = Puzzles::new(20);
    let halted = |exploration| {
        let mut config = training(3);
        (config.halt_exploration, config.lr) = (exploration, 0.0);
        let mut run = run((2, 2), config);
        let bias = halting_bias(&run.net);
        run.params.values[bias].fill(100.0);
        run.net.pack(&mut run.params);
        [1, 2, 3].map(|step| {
            run_to(&mut run, step, &puzzles, 2);
            run.carry.halted.iter().filter(|&&halted| halted).count()
        })
    };
    assert_eq!(halted(0.0), [50, 50, 50]);
    // The floor is 2 or 3 of 3 steps: nobody halts at the first step, half of them at the second.
    let [first, second, third] = halted(1.0);
    assert_eq!(first, 0);
    assert!((10..=40).contains(&second), "{second} of 50");
    assert_eq!(
        third,
        50 - second,
        "those that went on; the others are at their first step"
    );
}

/// With noise too small to change a float, the best of three states is the state; else each goes its own way. Which one
/// is the best, `the_winner_is_the_state_with_the_least_loss` has.
#[test]
fn the_winner_of_several_states_is_trained() {
    let puzzles = Puzzles::new(40);
    let with = |states, noise, steps| {
        let mut model = model(Mixer::Groups);
        model.init_noise = noise;
        let mut config = training(20);
        // Puzzles with several states go one by one, and so must those with one for the same roundings.
        (config.winner_take_all, config.micro_batch) = (states, 1);
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(model, kernels).expect("a network that works");
        let params = net.init(config.seed);
        let mut run = Trainer::new(net, params, config, 2).expect("a config that works");
        run_to(&mut run, steps, &puzzles, 2);
        run
    };
    let (one, three) = (with(1, 0.0, 20), with(3, 1e-60, 20));
    assert!(
        *one.params.values == *three.params.values,
        "three equal states"
    );
    assert_eq!(one.carry.z_h.len() * 3, three.carry.z_h.len());

    let (one, three) = (with(1, 1.0, 20), with(3, 1.0, 20));
    assert!(*one.params.values != *three.params.values);
    let states = three.carry.z_h.len() / (50 * 3);
    let [first, second] = [0, 1].map(|i| &three.carry.z_h[i * states..][..states]);
    assert!(first != second, "all go on, each from its own start");

    let mut config = training(1);
    config.winner_take_all = 3;
    let error = config
        .validate(&model(Mixer::Groups))
        .expect_err("three states without noise")
        .to_string();
    assert!(
        error.contains("train.winner_take_all = 3") && error.contains("model.init_noise = 0"),
        "{error}"
    );
}

/// Frozen weights stay, to the bit; the embeddings of the puzzles go on.
#[test]
fn embeddings_are_trained_alone_when_weights_are_frozen() {
    let puzzles = Puzzles::new(4);
    let kernels = Kernels::best().expect("an instruction set");
    let mut config = training(30);
    config.freeze_weights = true;
    let mut run = trainer(Mixer::Mlp, config.clone(), kernels, 2);
    let (values, embeddings) = (run.params.values.clone(), run.params.puzzle_emb.clone());
    run_to(&mut run, 30, &puzzles, 2);
    assert!(*run.params.values == *values && *run.ema == *values);
    let moved = run.params.puzzle_emb.iter().zip(&*embeddings);
    assert!(moved.clone().all(|(after, before)| after != before));
    // No time goes into gradients that nobody asks for, and those of the embeddings are the same.
    let [frozen, free] = [true, false].map(|freeze_weights| {
        config.freeze_weights = freeze_weights;
        let mut run = trainer(Mixer::Mlp, config.clone(), kernels, 2);
        run_to(&mut run, 1, &puzzles, 2);
        run
    });
    assert_eq!(frozen.params.puzzle_emb[..], free.params.puzzle_emb[..]);
    let matrix = frozen.net.layout().matrices()[0].at.clone();
    assert!(frozen.grads()[matrix.clone()].iter().all(|&g| g == 0.0));
    assert!(free.grads()[matrix].iter().all(|&g| g != 0.0));

    config.freeze_weights = true;
    let error = config
        .validate(&model(Mixer::Groups))
        .expect_err("nothing to train");
    assert!(
        error.to_string().contains("train.freeze_weights"),
        "{error}"
    );
}

/// A table of 288 MiB that lies on the disk learns what a small one in memory does, and the rows of puzzles that were
/// not in the batch stay as they were.
#[test]
fn a_large_table_of_embeddings_learns_on_the_disk() {
    let (puzzles, kernels) = (
        Puzzles::new(4),
        Kernels::best().expect("an instruction set"),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let config = training(5);
    let run = |puzzle_identifiers: usize| {
        let model = ModelConfig {
            puzzle_identifiers,
            prefix_len: 3,
            puzzle_emb_ndim: 72,
            ..model(Mixer::Mlp)
        };
        let net = Network::new(model, kernels).expect("a network that works");
        let mut params = net.init(config.seed);
        params.puzzle_emb[72..144].fill(0.5);
        params.keep_large_table_in(folder.path());
        let mut run = Trainer::new(net, params, config.clone(), 2).expect("a config that works");
        run_to(&mut run, 5, &puzzles, 2);
        run
    };
    let (small, large) = (run(2), run(1 << 20));
    assert!(!small.params.puzzle_emb.is_on_disk() && large.params.puzzle_emb.is_on_disk());
    assert!(small.params.values[..] == large.params.values[..]);
    assert!(small.params.puzzle_emb[..] == large.params.puzzle_emb[..144]);
    assert!(small.params.puzzle_emb[72] != 0.5 && large.params.puzzle_emb[72 << 19] == 0.0);
    // Moving it again, or a small one, changes nothing.
    let address = large.params.puzzle_emb.as_ptr();
    let mut params = large.params;
    params.keep_large_table_in(folder.path());
    assert_eq!(params.puzzle_emb.as_ptr(), address);
    params.puzzle_emb = trm_tensor::AlignedVec::zeros(3);
    params.keep_large_table_in(folder.path());
    assert!(!params.puzzle_emb.is_on_disk());
}

/// Of the states of a puzzle the one with the least loss is trained: that loss, and the gradient that this state alone
/// would give, to the bit.
#[test]
fn the_winner_is_the_state_with_the_least_loss() {
    const STATES: usize = 5;
    let puzzles = Puzzles::new(40);
    let run = |winner_take_all| {
        let mut model = model(Mixer::Groups);
        model.init_noise = 1.0;
        let mut config = training(30);
        (config.batch, config.micro_batch, config.gradient_shards) = (1, 1, 1);
        config.winner_take_all = winner_take_all;
        let kernels = Kernels::best().expect("an instruction set");
        let net = Network::new(model, kernels).expect("a network that works");
        let params = net.init(config.seed);
        Trainer::new(net, params, config, 1).expect("a config that works")
    };
    let step = |run: &mut Trainer| {
        let number = run.step;
        let fill = |_: usize, slot: trm_model::carry::Slot<'_>| puzzles.draw(number, slot);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let metrics = pool.expect("a pool").install(|| run.step(fill));
        metrics.expect("finite numbers").lm_loss
    };
    let mut several = run(STATES);
    let mut winners = std::collections::HashSet::new();
    while several.step < 30 {
        if several.carry.halted[0] {
            step(&mut several); // from new states, which only the step itself makes
            continue;
        }
        let of_each: Vec<_> = (0..STATES)
            .map(|state| {
                let mut one = run(1);
                one.params.clone_from(&several.params);
                let (from, to) = (&several.carry, &mut one.carry);
                for (from, to) in [(&from.z_h, &mut to.z_h), (&from.z_l, &mut to.z_l)] {
                    let len = to.len();
                    to.copy_from_slice(&from[state * len..][..len]);
                }
                to.inputs.copy_from_slice(&from.inputs);
                to.labels.copy_from_slice(&from.labels);
                (to.steps[0], to.halted[0]) = (from.steps[0], false);
                (step(&mut one), one.grads().to_vec())
            })
            .collect();
        let loss = step(&mut several);
        for (state, (of_one, _)) in of_each.iter().enumerate() {
            assert!(
                loss <= *of_one,
                "state {state} had {of_one}, the winner {loss}"
            );
        }
        let winner = of_each.iter().position(|(of_one, _)| *of_one == loss);
        let winner = winner.expect("the loss of one of them");
        assert!(several.grads() == of_each[winner].1, "another gradient");
        winners.insert(winner);
    }
    assert!(winners.len() > 1, "always state {winners:?}");
}
