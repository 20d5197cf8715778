//! How much memory a run needs, and how much there is: known before anything is allocated.

use anyhow::ensure;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use trm_kernels::Kernels;
use trm_model::carry::Carry;
use trm_model::network::LARGE_TABLE;
use trm_model::{ModelConfig, Network, TrainConfig, solve, trainer};

/// The parts of a run's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Weights, moments, average and gradients.
    pub values: usize,
    /// How many copies of the weights those are.
    pub copies: usize,
    /// The matrices as the kernels want them.
    pub packed: usize,
    /// What Muon works with.
    pub muon: usize,
    /// Puzzle embeddings.
    pub embeddings: usize,
    /// Whether those lie on the disk.
    pub on_disk: bool,
    /// The batch, and one puzzle of it.
    pub carry: usize,
    /// One puzzle of the batch.
    pub row: usize,
    /// What the threads that compute shards work with.
    pub workers: usize,
    /// What all threads solve the puzzles held out with, while the rest is kept.
    pub validation: usize,
}

impl Need {
    /// What a run of these configs on `threads` needs.
    ///
    /// # Errors
    /// When the config cannot work.
    pub fn of(model: &ModelConfig, train: &TrainConfig, threads: usize) -> anyhow::Result<Need> {
        let net = Network::new(model.clone(), train.kernels(Kernels::best()?)?)?;
        let values = 4 * net.layout().len();
        // The values, both moments, and the moving average where there is one; then the gradients.
        let copies = 3 + usize::from(train.ema_rate > 0.0) + train.shards();
        let row = Carry::row_bytes(net.config(), train.winner_take_all);
        // The puzzles held out are not known yet: enough for all threads.
        let held_out = threads * train.micro_batch;
        let embeddings = 4 * model.puzzle_identifiers * model.puzzle_emb_ndim;
        Ok(Need {
            values: copies * values,
            copies,
            packed: 4 * net.layout().packed_len(),
            muon: trainer::muon_bytes(&net, train, threads),
            embeddings,
            on_disk: embeddings >= LARGE_TABLE,
            carry: train.batch * row,
            row,
            workers: trainer::workspace_bytes(&net, train, threads),
            validation: solve::bytes(&net, held_out, train.micro_batch, threads),
        })
    }

    /// All of it, without what lies on the disk.
    pub fn total(&self) -> usize {
        self.weights() + self.embeddings_in_memory() + self.carry + self.workers + self.validation
    }

    /// What grows with the weights.
    fn weights(&self) -> usize {
        self.values + self.packed + self.muon
    }

    fn embeddings_in_memory(&self) -> usize {
        if self.on_disk { 0 } else { self.embeddings }
    }
}

/// Fails unless this machine has the memory for a run.
///
/// # Errors
/// Names what is needed, what there is, and what could be lowered.
pub fn check(model: &ModelConfig, train: &TrainConfig, threads: usize) -> anyhow::Result<()> {
    Need::of(model, train, threads)?.check()
}

/// Fails unless this machine has `bytes` for `what`; `lower` is what would make it less.
///
/// # Errors
/// Names what is needed, what there is, and what could be lowered.
pub fn check_bytes(what: &str, bytes: usize, lower: &str) -> anyhow::Result<()> {
    if let Some(free) = available(Path::new("/")) {
        ensure!(
            bytes as u64 <= free.bytes,
            "{what} needs {} of memory, but {} has {} left: lower {lower}",
            size(bytes),
            free.of,
            size(free.bytes as usize)
        );
    }
    Ok(())
}

impl Need {
    /// Fails unless this machine has that much.
    ///
    /// # Errors
    /// Names what is needed, what there is, and what could be lowered.
    pub fn check(&self) -> anyhow::Result<()> {
        available(Path::new("/")).map_or(Ok(()), |free| self.fits(free))
    }

    /// What two runs of one network need that are held at the same time.
    pub fn beside(self, other: Need) -> Need {
        Need {
            values: self.values + other.values,
            copies: self.copies + other.copies,
            packed: self.packed + other.packed,
            muon: self.muon + other.muon,
            embeddings: self.embeddings + other.embeddings,
            on_disk: self.on_disk,
            carry: self.carry + other.carry,
            row: self.row,
            workers: self.workers + other.workers,
            validation: self.validation + other.validation,
        }
    }

    fn fits(&self, free: Free) -> anyhow::Result<()> {
        let mut parts = [
            ("train.batch", "the batch", self.carry),
            (
                "train.micro_batch, model.cells, model.width or --threads",
                "the threads' work and validation",
                self.workers + self.validation,
            ),
            (
                "model.width, model.inner or model.layers",
                "weights, moments and gradients",
                self.weights(),
            ),
            (
                "model.puzzle_emb_ndim, or how many puzzles have an embedding of their own",
                "puzzle embeddings",
                self.embeddings_in_memory(),
            ),
        ];
        parts.sort_by_key(|(.., bytes)| std::cmp::Reverse(*bytes));
        let mut list = String::new();
        for (_, what, bytes) in parts.into_iter().filter(|(.., bytes)| *bytes > 0) {
            write!(
                list,
                "{}{} for {what}",
                if list.is_empty() { "" } else { ", " },
                size(bytes)
            )?;
        }
        let (keys, ..) = parts[0];
        ensure!(
            self.total() as u64 <= free.bytes,
            "the run needs {} of memory ({list}), but {} has {} left: lower {keys}",
            size(self.total()),
            free.of,
            size(free.bytes as usize)
        );
        Ok(())
    }
}

/// Bytes for people.
pub fn size(bytes: usize) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value >= 1024.0 {
            (value, unit) = (value / 1024.0, larger);
        }
    }
    match value.fract() == 0.0 {
        true => format!("{value} {unit}"),
        false => format!("{value:.1} {unit}"),
    }
}

/// Memory that may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// How much.
    pub bytes: u64,
    /// What sets the limit.
    pub of: &'static str,
}

/// What the machine and the control groups of this process leave, whichever is less; none where the system has no
/// `/proc/meminfo`. `root` is `/`.
pub fn available(root: &Path) -> Option<Free> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let kib = number_after(&read("proc/meminfo")?, "MemAvailable:")?;
    let machine = Free {
        bytes: kib * 1024,
        of: "this machine",
    };
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let (_, group) = line.split_once(':')?;
        match group.split_once(':')? {
            ("", path) => group_limit(root, "sys/fs/cgroup", path, &VERSION_2),
            (names, path) if names.split(',').any(|name| name == "memory") => {
                group_limit(root, "sys/fs/cgroup/memory", path, &VERSION_1)
            }
            _ => None,
        }
    });
    let groups = limits.map(|bytes| Free {
        bytes,
        of: "the control group that this process runs in",
    });
    groups.chain([machine]).min_by_key(|free| free.bytes)
}

/// The files of a version of control groups: the limit, statistics, and the line of those with what is in use and
/// cannot be given back.
type Version = (&'static str, &'static str, &'static str);
const VERSION_1: Version = ("memory.limit_in_bytes", "memory.stat", "total_rss ");
const VERSION_2: Version = ("memory.max", "memory.stat", "anon ");

/// The least that a control group or one above it leaves.
fn group_limit(root: &Path, mount: &str, path: &str, version: &Version) -> Option<u64> {
    let (limit, statistics, used) = *version;
    let top = root.join(mount);
    let mut folder: PathBuf = top.join(path.trim_start_matches('/'));
    let mut least = None;
    while folder.starts_with(&top) {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
        // No number is no limit: "max".
        if let Some(limit) = read(limit).and_then(|text| text.trim().parse::<u64>().ok()) {
            let used = read(statistics).and_then(|text| number_after(&text, used));
            let left = limit.saturating_sub(used.unwrap_or(0));
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        if !folder.pop() {
            break;
        }
    }
    least
}

/// The number behind `key` at the beginning of a line.
pub fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_model::config::OptimizerName;

    #[test]
    fn the_narrowest_limit_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let free = || available(root.path());
        assert_eq!(free(), None);
        write(
            "proc/meminfo",
            "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n",
        );
        let machine = |kib: u64| Some((kib * 1024, "this machine"));
        let found = || free().map(|free| (free.bytes, free.of));
        assert_eq!(found(), machine(8000));
        // Version 2: a group without a limit within one that has one, of which some is in use.
        let group = |bytes| Some((bytes, "the control group that this process runs in"));
        write("proc/self/cgroup", "0::/outer/inner\n");
        write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        assert_eq!(found(), machine(8000));
        write("sys/fs/cgroup/outer/memory.max", "1000000\n");
        write("sys/fs/cgroup/outer/memory.stat", "file 7\nanon 400000\n");
        assert_eq!(found(), group(600_000));
        // Version 1, and more in use than is allowed.
        write("proc/self/cgroup", "4:cpu,memory:/one\n3:cpu:/\n0::/\n");
        write("sys/fs/cgroup/memory/one/memory.limit_in_bytes", "500\n");
        assert_eq!(found(), group(500));
        write("sys/fs/cgroup/memory/one/memory.stat", "total_rss 600\n");
        assert_eq!(found(), group(0));
        write(
            "sys/fs/cgroup/memory/one/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        assert_eq!(found(), machine(8000));
    }

    /// A shard is one thread's, and of several states of a puzzle one is worked on at a time.
    #[test]
    fn workspaces_are_those_that_a_step_uses() {
        let (mut model, mut train) = (ModelConfig::default(), TrainConfig::default());
        let workers = |model: &ModelConfig, train: &TrainConfig, threads| {
            let need = Need::of(model, train, threads).expect("the paper's network");
            need.workers
        };
        let one = workers(&model, &train, 1);
        assert_eq!(workers(&model, &train, 3), 3 * one);
        assert_eq!(workers(&model, &train, 64), 8 * one);
        train.gradient_shards = 2;
        assert_eq!(workers(&model, &train, 64), 2 * one);
        (train.batch, train.gradient_shards) = (6, 8);
        assert_eq!(workers(&model, &train, 64), 3 * one);
        (train.winner_take_all, model.init_noise) = (2, 1.0);
        let several = [2, 4].map(|micro_batch| {
            train.micro_batch = micro_batch;
            workers(&model, &train, 1)
        });
        assert!(several[0] < one);
        assert_eq!(several[0], several[1]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_could_be_lowered() {
        let (model, mut train) = (ModelConfig::default(), TrainConfig::default());
        let need = Need::of(&model, &train, 2).expect("the paper's network");
        let of = "this machine";
        let free = |bytes| Free { bytes, of };
        assert!(need.fits(free(need.total() as u64)).is_ok());
        let error = need
            .fits(free(need.total() as u64 - 1))
            .expect_err("a byte is missing");
        assert!(
            error.to_string().ends_with("left: lower train.batch"),
            "{error}"
        );
        train.batch = 1;
        let need = Need::of(&model, &train, 2).expect("the paper's network");
        let error = need
            .fits(free(1 << 20))
            .expect_err("too little")
            .to_string();
        assert!(
            error.contains("this machine has 1 MiB left: lower model.width"),
            "{error}"
        );
    }

    #[test]
    fn what_only_some_runs_need_counts() {
        let (mut model, mut train) = (ModelConfig::default(), TrainConfig::default());
        let need = |model: &ModelConfig, train: &TrainConfig| {
            Need::of(model, train, 1).expect("the paper's network")
        };
        let plain = need(&model, &train);
        assert_eq!(plain.muon, 0);
        train.optimizer = OptimizerName::Muon;
        let muon = need(&model, &train);
        // Two matrices of 3072 x 512, two of 512 x 512, and the products' scratch.
        assert!(muon.muon > 4 * 2 * (3072 * 512 + 512 * 512));
        assert_eq!(muon.total(), plain.total() + muon.muon);
        // Embeddings, unless they lie on the disk.
        (train.batch, model.puzzle_identifiers) = (1, 120_000);
        let many = need(&model, &train);
        assert!(!many.on_disk && many.total() > many.embeddings);
        let of = "this machine";
        let bytes = 1 << 20;
        let error = many.fits(Free { bytes, of }).expect_err("too little");
        let error = error.to_string();
        assert!(
            error.contains("234.4 MiB for puzzle embeddings")
                && error.contains("lower model.puzzle_emb_ndim"),
            "{error}"
        );
        model.puzzle_identifiers = 200_000;
        let most = need(&model, &train);
        assert!(most.on_disk && most.total() < many.total());
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(
            [0, 1023, 49152, 3 << 19].map(size),
            ["0 B", "1023 B", "48 KiB", "1.5 MiB"]
        );
    }
}
