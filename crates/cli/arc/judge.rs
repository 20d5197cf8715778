//! How many tasks of ARC a network answers, by the votes of all variants.

use super::picture;
use crate::dataset::{self, Dataset};
use crate::memory;
use crate::output::table;
use crate::progress::Progress;
use crate::threads::{pool, threads};
use crate::weights::Player;
use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use trm_autograd::op::loss::IGNORE;
use trm_data::arc::build::Task;
use trm_data::arc::variant::Variant;
use trm_data::arc::votes::Votes;
use trm_data::arc::{Grid, Pair};
use trm_model::solve::{self, Answer, SolveOptions, solve_each};

/// How many of the first ranked answers may be the right one.
const RANKS: [usize; 6] = [1, 2, 5, 10, 100, 1000];

/// What came of the tests of a data set.
pub struct Judgement {
    /// The tasks that were asked, with the pairs that were.
    tasks: Vec<Task>,
    votes: Votes,
    /// Examples asked: every variant of every input.
    examples: usize,
    /// Of those, the ones whose output is known.
    judged: usize,
    /// Of those, the ones with every cell right.
    exact: usize,
    /// Share of cells right, of all that are known.
    cells: f64,
    steps: f64,
    seconds: f64,
}

/// Asks the network of `player` every variant of every input of the data set in `folder` (the first `limit`
/// examples, if given) and counts the answers.
///
/// # Errors
/// When there is no such data set, the weights are of another one, or there is not the memory.
pub fn judge(
    player: &Player,
    folder: &Path,
    limit: Option<usize>,
    options: SolveOptions,
    micro_batch: usize,
    asked_threads: Option<u16>,
) -> anyhow::Result<Judgement> {
    let names = dataset::arc::names(folder)?;
    check(player, &names, folder)?;
    let data = dataset::arc::tested(folder, player.task, names.len())?.first(limit.unwrap_or(0));
    let mut judgement = Judgement {
        tasks: dataset::arc::tasks(folder)?,
        votes: Votes::default(),
        examples: data.len(),
        judged: 0,
        exact: 0,
        cells: 0.0,
        steps: 0.0,
        seconds: 0.0,
    };
    let (net, threads) = (&player.loaded.net, threads(asked_threads));
    let what = format!("answering {micro_batch} at a time on {threads} threads");
    let bytes = solve::bytes(net, data.len(), micro_batch, threads);
    memory::check_bytes(&what, bytes, "the micro-batch or --threads")?;
    let pool = pool(threads)?;
    let progress = Progress::new(data.len() as u64, "answering");
    let start = Instant::now();
    let answers = pool.install(|| {
        solve_each(
            net,
            &player.loaded.params,
            (data.questions(), data.identifiers()),
            micro_batch,
            options,
            |n| progress.add(n as u64),
        )
    });
    judgement.seconds = start.elapsed().as_secs_f64();
    progress.finish();
    judgement.count(&data, &names, &answers)?;
    if limit.is_some() {
        judgement.leave_out_what_was_not_asked();
    }
    Ok(judgement)
}

/// Fails unless the embeddings of the weights are those of the names.
fn check(player: &Player, names: &[String], folder: &Path) -> anyhow::Result<()> {
    let own = player.loaded.net.config().puzzle_identifiers;
    let known = player.loaded.metadata.get("identifiers");
    let same = known.is_none_or(|known| *known == dataset::arc::digest(names));
    ensure!(
        own == names.len() && same,
        "{} knows {own} other puzzles than the {} of {}: give the data set that it was trained on, or adapt it to \
         this one with trm arc --init-from",
        player.path.display(),
        names.len(),
        folder.display()
    );
    Ok(())
}

impl Judgement {
    fn count(
        &mut self,
        data: &Dataset,
        names: &[String],
        answers: &[Answer],
    ) -> anyhow::Result<()> {
        let cells = data.task().cells();
        let boards = data.questions().chunks_exact(cells);
        let boards = boards.zip(data.answers().chunks_exact(cells));
        let (mut right, mut steps) = (0.0, 0);
        let known = self.tasks.iter().flat_map(|task| {
            let known = task.test.iter().filter(|pair| pair.output.is_some());
            known.map(|pair| (&*task.name, &pair.input))
        });
        let known: HashSet<(&str, &Grid)> = known.collect();
        for (((question, expected), &id), answer) in boards.zip(data.identifiers()).zip(answers) {
            let name = &names[id as usize];
            let (task, variant) = Variant::of_name(name)
                .with_context(|| format!("identifiers.json: {name:?} is no variant of a task"))?;
            let [input, output] =
                [question, &answer.tokens].map(|tokens| variant.undo(&Grid::crop(tokens)));
            self.votes.add(task, &input, output, answer.q_halt);
            steps += answer.steps;
            if !known.contains(&(task, &input)) {
                continue;
            }
            let labelled = expected.iter().zip(&answer.tokens);
            let labelled = labelled.filter(|(label, _)| **label != IGNORE);
            let agreeing = labelled.clone().filter(|(a, b)| a == b).count();
            let count = labelled.count();
            self.judged += 1;
            self.exact += usize::from(agreeing == count);
            right += agreeing as f64 / count.max(1) as f64;
        }
        self.steps = steps as f64 / answers.len() as f64;
        self.cells = right / self.judged as f64;
        Ok(())
    }

    /// Where there is a limit, what is not asked is neither right nor wrong.
    fn leave_out_what_was_not_asked(&mut self) {
        for task in &mut self.tasks {
            let asked = |pair: &Pair| !self.votes.ranked(&task.name, &pair.input).is_empty();
            task.test.retain(asked);
        }
        self.tasks.retain(|task| !task.test.is_empty());
    }

    /// pass@k; none where no output is known.
    fn pass_at(&self, k: usize) -> Option<f64> {
        let tasks = self.tasks.iter();
        let tasks = tasks.map(|task| (task.name.as_str(), &task.test[..]));
        self.votes.pass_at(k, tasks)
    }

    /// Two attempts at every input, as the competition takes them.
    ///
    /// # Errors
    /// When the file cannot be written; an old one stays as it was.
    pub fn write_submission(&self, path: &Path) -> anyhow::Result<()> {
        let entry = |task: &Task| {
            let inputs = task.test.iter().map(|pair| &pair.input);
            let attempts = self.votes.submission(&task.name, inputs);
            (task.name.clone(), json!(attempts))
        };
        let all: Map<String, Value> = self.tasks.iter().map(entry).collect();
        replace(path, &Value::Object(all).to_string())
    }

    /// Inputs, outputs and attempts, drawn beside each other.
    ///
    /// # Errors
    /// When the file cannot be written; an old one stays as it was.
    pub fn write_pictures(&self, path: &Path) -> anyhow::Result<()> {
        replace(path, &picture::draw(&self.tasks, &self.votes))
    }

    /// The figures, for programs or for people.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write, json: bool) -> std::io::Result<()> {
        match json {
            true => writeln!(out, "{}", self.report()),
            false => write!(out, "{}", table(&self.lines())),
        }
    }

    /// A share of what was judged; none where nothing was.
    fn of_judged(&self, share: f64) -> Option<f64> {
        (self.judged > 0).then_some(share)
    }

    fn report(&self) -> Value {
        let pass = RANKS.map(|k| (k.to_string(), json!(self.pass_at(k))));
        json!({
            "tasks": self.tasks.len(),
            "pass_at": pass.into_iter().collect::<Map<_, _>>(),
            "examples": self.examples,
            "judged": self.judged,
            "exact_accuracy": self.of_judged(self.exact as f64 / self.judged as f64),
            "cell_accuracy": self.of_judged(self.cells),
            "mean_steps": self.steps,
            "seconds": self.seconds,
            "puzzles_per_second": self.examples as f64 / self.seconds,
        })
    }

    fn lines(&self) -> Vec<[String; 2]> {
        let percent = |part: Option<f64>| match part {
            Some(part) => format!("{:.2} %", 100.0 * part),
            None => "the outputs are not known".to_owned(),
        };
        let mut rows = vec![["tasks".to_owned(), self.tasks.len().to_string()]];
        rows.extend(RANKS.map(|k| [format!("pass@{k}"), percent(self.pass_at(k))]));
        let exact = self.of_judged(self.exact as f64 / self.judged as f64);
        let cells = self.of_judged(self.cells);
        let rate = self.examples as f64 / self.seconds;
        rows.extend([
            ["variants asked".to_owned(), self.examples.to_string()],
            ["  exact accuracy".to_owned(), percent(exact)],
            ["  cell accuracy".to_owned(), percent(cells)],
            ["mean steps".to_owned(), format!("{:.2}", self.steps)],
            [
                "seconds".to_owned(),
                format!("{:.1} ({rate:.1} puzzles/s)", self.seconds),
            ],
        ]);
        rows
    }
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    trm_tensor::file::replace(path, |out| out.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
