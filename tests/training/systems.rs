//! The systems that the paper compares: each of them trains, to the same bits whatever computes it.

use super::{CELLS, Puzzles, assert_same_bits, drawn, halting_bias, model, run_to, training};
use trm_kernels::Kernels;
use trm_model::checkpoint::{self, Contents};
use trm_model::config::{Mixer, System};
use trm_model::solve::{Halt, Rollout, SolveOptions, solve_all};
use trm_model::{ModelConfig, Network, TrainConfig, Trainer, weights};

const SYSTEMS: [System; 5] = [
    System::Trm,
    System::SingleZ,
    System::MultiZ,
    System::Hrm,
    System::Transformer,
];

fn network(system: System) -> ModelConfig {
    let mut model = model(Mixer::Attention);
    model.system = system;
    model.init_noise = 0.5;
    match system {
        System::Transformer => (model.h_cycles, model.l_cycles) = (1, 1),
        System::Hrm => model.h_layers = 1,
        _ => {}
    }
    model
}

fn run(system: System, config: TrainConfig, threads: usize) -> Trainer {
    let kernels = Kernels::best().expect("an instruction set");
    let net = Network::new(network(system), kernels).expect("a network that works");
    let params = net.init(config.seed);
    Trainer::new(net, params, config, threads).expect("a config that works")
}

#[test]
fn threads_memory_and_a_stop_change_no_bit() {
    let puzzles = Puzzles::new(30);
    let folder = tempfile::tempdir().expect("a folder");
    for system in SYSTEMS {
        let mut plain = run(system, training(8), 1);
        run_to(&mut plain, 8, &puzzles, 1);

        let mut config = training(8);
        config.recompute = true;
        let mut frugal = run(system, config, 2);
        run_to(&mut frugal, 5, &puzzles, 2);
        let path = folder.path().join("checkpoint.safetensors");
        checkpoint::save(&path, &frugal, Contents::Everything, &Default::default())
            .expect("a checkpoint");
        let kernels = Kernels::best().expect("an instruction set");
        let mut resumed = checkpoint::load(&path, kernels, 2)
            .expect("its own checkpoint")
            .trainer;
        run_to(&mut resumed, 8, &puzzles, 2);
        assert_same_bits(&format!("{system:?}"), &plain, &resumed);
    }
}

#[test]
fn a_puzzle_is_solved_as_if_it_were_alone() {
    let puzzles = Puzzles::new(30);
    let (inputs, _) = drawn(&puzzles, 0, 20);
    let folder = tempfile::tempdir().expect("a folder");
    for system in SYSTEMS {
        let mut trained = run(system, training(30), 2);
        run_to(&mut trained, 30, &puzzles, 2);
        let path = folder.path().join("weights.safetensors");
        weights::save(&path, &trained.net, &trained.params, &Default::default()).expect("weights");
        let kernels = Kernels::best().expect("an instruction set");
        let loaded = weights::load(&path, kernels).expect("its own weights");
        // Puzzles that stop early make room for others: five at a time, or one.
        for halt in [Halt::Never, Halt::WhenSure, Halt::WhenStable(1)] {
            let options = SolveOptions {
                halt,
                ..SolveOptions::new(4)
            };
            let together = solve_all(&loaded.net, &loaded.params, &inputs, 5, options, |_| ());
            let mut alone = Rollout::new(&trained.net, &trained.params, 1);
            for (b, answer) in together.iter().enumerate() {
                let board = &inputs[b * CELLS..][..CELLS];
                let single = alone.solve(board, &[0], options, |_, _| ());
                assert_eq!(single[0].tokens, answer.tokens, "{system:?}, {halt:?}");
                assert_eq!(single[0].steps, answer.steps, "{system:?}, {halt:?}");
            }
        }
    }
}

/// The two networks of HRM are two.
#[test]
fn hrm_has_two_networks_and_the_others_one() {
    let kernels = Kernels::best().expect("an instruction set");
    let levels = |system| {
        let net = Network::new(network(system), kernels).expect("a network that works");
        let has = |level| {
            net.layout()
                .specs()
                .iter()
                .any(|spec| spec.name.starts_with(level))
        };
        (has("L_level."), has("H_level."))
    };
    assert_eq!(levels(System::Hrm), (true, true));
    assert_eq!(levels(System::Transformer), (false, true));
    for system in [System::Trm, System::SingleZ, System::MultiZ] {
        assert_eq!(levels(system), (true, false));
    }
}

/// The worth of going on is learned where a puzzle can go on, and only there (TRM_SPEC 12).
#[test]
fn hrm_learns_to_go_on_where_there_is_a_next_step() {
    let puzzles = Puzzles::new(30);
    let kernels = Kernels::best().expect("an instruction set");
    for (halt_max_steps, learns) in [(1, false), (2, true)] {
        let model = ModelConfig {
            halt_max_steps,
            ..network(System::Hrm)
        };
        let net = Network::new(model, kernels).expect("a network that works");
        let mut params = net.init(1);
        let bias = halting_bias(&net);
        // As they begin, both are worth the same.
        params.values[bias.clone()].copy_from_slice(&[1.0, -1.0]);
        net.pack(&mut params);
        let mut run = Trainer::new(net, params, training(1), 2).expect("a config that works");
        run_to(&mut run, 1, &puzzles, 2);
        let [halt, go_on] = [0, 1].map(|i| run.grads()[bias.start + i]);
        assert!(
            halt != 0.0 && (go_on != 0.0) == learns,
            "{halt_max_steps}: {go_on}"
        );
    }
}

/// A puzzle of weights that stay: before its last step, going on is worth what the better choice of the next is; at its
/// last, what halting at the next would be (TRM_SPEC 12).
#[test]
fn hrm_learns_at_the_last_step_what_halting_is_worth() {
    const K: usize = 2;
    let puzzles = Puzzles::new(5);
    let kernels = Kernels::best().expect("an instruction set");
    let model = ModelConfig {
        halt_max_steps: K,
        init_noise: 0.0,
        ..network(System::Hrm)
    };
    let net = Network::new(model, kernels).expect("a network that works");
    let mut params = net.init(1);
    let bias = halting_bias(&net);
    for (i, value) in params.values[..bias.start].iter_mut().enumerate() {
        *value += 0.1 * (i as f32).sin();
    }
    // Going on looks better: nobody halts early, and the two targets lie apart.
    params.values[bias.clone()].copy_from_slice(&[-1.0, 1.0]);
    net.pack(&mut params);
    let mut config = training(K as u64);
    (config.batch, config.micro_batch, config.gradient_shards) = (1, 1, 1);
    (config.lr, config.puzzle_emb_lr) = (0.0, 0.0);
    let weight = config.halt_loss_weight;

    let (inputs, _) = drawn(&puzzles, 0, 1);
    let mut rollout = Rollout::new(&net, &params, 1);
    rollout.start(&inputs, &[0]);
    let q: Vec<[f64; 2]> = (0..=K)
        .map(|_| {
            rollout.step();
            let q = rollout.outputs().q;
            [f64::from(q[0]), f64::from(q[1])]
        })
        .collect();
    assert!(q.iter().all(|[halt, go_on]| go_on - halt > 0.5), "{q:?}");

    let mut run = Trainer::new(net, params, config, 1).expect("a config that works");
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    for step in 1..=K {
        run_to(&mut run, step as u64, &puzzles, 1);
        let [next_halt, next_go_on] = q[step];
        let worth = if step == K { next_halt } else { next_go_on };
        let expected = weight * (sigmoid(q[step - 1][1]) - sigmoid(worth));
        let found = f64::from(run.grads()[bias.start + 1]);
        assert!(
            (found - expected).abs() < 1e-6,
            "step {step}: {found}, not {expected}"
        );
    }
    assert_eq!((run.carry.steps[0], run.carry.halted[0]), (K as u32, true));
}

#[test]
fn what_a_system_cannot_be_is_said() {
    for (system, change, said) in [
        (
            System::Trm,
            (|m| m.h_layers = 2) as fn(&mut ModelConfig),
            "model.H_layers = 2",
        ),
        (System::MultiZ, |m| m.l_cycles = 7, "model.L_cycles = 7"),
        (
            System::Transformer,
            |m| m.h_cycles = 2,
            "model.H_cycles = 2",
        ),
        (
            System::Transformer,
            |m| m.l_cycles = 3,
            "model.L_cycles = 3",
        ),
    ] {
        let mut model = network(system);
        change(&mut model);
        let error = model.validate().expect_err("a config that cannot work");
        assert!(error.to_string().contains(said), "{error}");
    }
    let mut config = training(1);
    config.winner_take_all = 3;
    let error = config
        .validate(&network(System::Hrm))
        .expect_err("several states");
    assert!(
        error.to_string().contains("train.winner_take_all = 3"),
        "{error}"
    );
}
