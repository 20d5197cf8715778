//! New mazes.
//!
//! The plain procedure (Lehnert et al. 2024, arXiv 2402.14083): between 30 and 50 % of the cells become walls,
//! placed at random; of up to 100 pairs of free cells the first that are far enough from each other become
//! start and goal. In such a maze there are often very many shortest paths, and one of them, drawn step by step,
//! is the answer.
//!
//! Where the answer is to be the only one, two things are done about it. *Thinning*: one cell of every open
//! 2 x 2 block becomes a wall, since around a block there are always two ways. *Repair*: while several
//! shortest paths are left, a cell that some but not all of them lead over becomes a wall.

use super::path::{FAR, distances};
use super::{MAX_SIDE, Maze, Ways};
use crate::fault::Invalid;
use crate::puzzle::Puzzle;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MazeOptions {
    /// Cells along one side, 3 to [`MAX_SIDE`].
    pub side: usize,
    /// Fewest steps from start to goal.
    pub min_steps: u32,
    /// Whether there may be only one shortest path.
    pub unique: bool,
}

/// Layouts tried before [`generate`] gives up, about a minute of one core: for larger mazes fewer. Of side 30 and 111
/// steps a maze takes about 6,000.
fn layouts(side: usize) -> usize {
    300_000 * 900 / (side * side).max(900)
}

/// Pairs of start and goal tried in one layout.
const PAIRS: usize = 100;

/// A new maze with its answer; the rating is the number of steps, the source `generated_maze<side>`, with
/// `_plain` behind it where several shortest paths may exist.
///
/// # Errors
/// When the side is out of range, or no layout has a way of so many steps.
pub fn generate(options: MazeOptions, rng: &mut impl Rng) -> Result<Puzzle<Maze>, Invalid> {
    let MazeOptions {
        side,
        min_steps,
        unique,
    } = options;
    if !(3..=MAX_SIDE).contains(&side) {
        return Err(Invalid(format!(
            "a maze of side {side}; expected 3 to {MAX_SIDE}"
        )));
    }
    for _ in 0..layouts(side) {
        let mut maze = layout(side, rng);
        if unique {
            thin(&mut maze, rng);
        }
        if !place_ends(&mut maze, min_steps.max(1), rng) {
            continue;
        }
        if unique {
            repair(&mut maze, rng);
        }
        return Ok(answered(maze, unique, rng));
    }
    Err(Invalid(format!(
        "no maze of side {side} with {min_steps} steps or more in {} layouts; ask for fewer steps",
        layouts(side)
    )))
}

/// Between 30 and 50 % walls.
fn layout(side: usize, rng: &mut impl Rng) -> Maze {
    let count = side * side;
    let walls = rng.random_range(3 * count / 10..=count / 2);
    let mut cells = vec![b' '; count];
    cells[..walls].fill(b'#');
    cells.shuffle(rng);
    Maze { side, cells }
}

/// Makes a wall of one cell of every open 2 x 2 block.
fn thin(maze: &mut Maze, rng: &mut impl Rng) {
    let side = maze.side;
    for corner in (0..side * (side - 1)).filter(|cell| cell % side + 1 < side) {
        let block = [corner, corner + 1, corner + side, corner + side + 1];
        if block.iter().all(|&cell| maze.cells[cell] == b' ') {
            maze.cells[block[rng.random_range(0..4)]] = b'#';
        }
    }
}

/// Puts start and goal on free cells so far apart; false when no pair of those tried is.
fn place_ends(maze: &mut Maze, min_steps: u32, rng: &mut impl Rng) -> bool {
    let open: Vec<bool> = maze.cells.iter().map(|&c| c == b' ').collect();
    let mut free: Vec<usize> = (0..open.len()).filter(|&c| open[c]).collect();
    if free.len() <= min_steps as usize {
        return false;
    }
    for _ in 0..PAIRS {
        let (ends, _) = free.partial_shuffle(rng, 2);
        let (start, goal) = (ends[0], ends[1]);
        let steps = distances(&open, maze.side, start)[goal];
        if steps != FAR && steps >= min_steps {
            (maze.cells[start], maze.cells[goal]) = (b'S', b'G');
            return true;
        }
    }
    false
}

/// Closes cells until one shortest path is left; it stays as long as it was.
fn repair(maze: &mut Maze, rng: &mut impl Rng) {
    while let Some(ways) = Ways::through(maze) {
        let of_some = ways.of_some();
        if of_some.is_empty() {
            return;
        }
        maze.cells[of_some[rng.random_range(0..of_some.len())]] = b'#';
    }
}

/// The maze with one of its shortest paths drawn.
fn answered(question: Maze, unique: bool, rng: &mut impl Rng) -> Puzzle<Maze> {
    let mut answer = question.clone();
    let ways = Ways::through(&question).expect("a start and a goal were placed");
    for cell in ways.one(|n| rng.random_range(0..n)) {
        answer.cells[cell] = b'o';
    }
    let plain = if unique { "" } else { "_plain" };
    Puzzle {
        source: format!("generated_maze{}{plain}", question.side).into(),
        rating: ways.steps().map(u64::from),
        question,
        answer: Some(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stream;

    #[test]
    fn mazes_are_right_as_long_as_asked_for_and_their_own() {
        for unique in [true, false] {
            for (side, min_steps) in [(3, 1), (10, 12), (30, 60)] {
                let options = MazeOptions {
                    side,
                    min_steps,
                    unique,
                };
                for i in 0..10 {
                    let puzzle = generate(options, &mut stream(3, i)).unwrap();
                    assert_eq!(puzzle.check(), Ok(()), "{}", puzzle.question);
                    assert!(puzzle.rating.unwrap() >= u64::from(min_steps));
                    let ways = Ways::through(&puzzle.question).unwrap();
                    if unique {
                        assert!(ways.of_some().is_empty(), "{}", puzzle.question.render());
                    }
                    assert_eq!(generate(options, &mut stream(3, i)), Ok(puzzle));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        let options = MazeOptions {
            side: 4,
            min_steps: 14,
            unique: true,
        };
        let error = generate(options, &mut stream(0, 0))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("no maze of side 4 with 14 steps"),
            "{error}"
        );
        let options = MazeOptions {
            side: 101,
            ..options
        };
        let error = generate(options, &mut stream(0, 0)).unwrap_err();
        assert_eq!(error.to_string(), "a maze of side 101; expected 3 to 100");
    }

    /// Ways counted one by one, without any distance.
    #[test]
    fn cells_of_some_ways_are_those_that_not_all_share() {
        fn ways(
            maze: &Maze,
            at: usize,
            left: u32,
            way: &mut Vec<usize>,
            all: &mut Vec<Vec<usize>>,
        ) {
            if maze.cells[at] == b'G' {
                all.push(way.clone());
            }
            if left == 0 {
                return;
            }
            let (side, row, col) = (maze.side, at / maze.side, at % maze.side);
            for (r, c) in [
                (row.wrapping_sub(1), col),
                (row + 1, col),
                (row, col.wrapping_sub(1)),
                (row, col + 1),
            ] {
                if r < side
                    && c < side
                    && maze.cells[r * side + c] != b'#'
                    && !way.contains(&(r * side + c))
                {
                    way.push(r * side + c);
                    ways(maze, r * side + c, left - 1, way, all);
                    way.pop();
                }
            }
        }
        let options = MazeOptions {
            side: 5,
            min_steps: 5,
            unique: false,
        };
        let mut several = 0;
        for i in 0..30 {
            let maze = generate(options, &mut stream(4, i)).unwrap().question;
            let (start, _) = maze.ends().unwrap();
            let mut all = Vec::new();
            ways(
                &maze,
                start,
                maze.steps().unwrap(),
                &mut vec![start],
                &mut all,
            );
            let on = |cell: usize| all.iter().filter(|way| way.contains(&cell)).count();
            let expected: Vec<usize> = (0..25)
                .filter(|&c| on(c) > 0 && on(c) < all.len())
                .collect();
            assert_eq!(
                Ways::through(&maze).unwrap().of_some(),
                expected,
                "{}",
                maze.render()
            );
            several += usize::from(all.len() > 1);
        }
        assert!(several > 5, "{several} of 30 with several ways");
    }
}
