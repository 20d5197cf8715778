//! Shortest ways by breadth-first search.

use super::Maze;

/// A cell that no way reaches.
pub(super) const FAR: u32 = u32::MAX;

/// All shortest paths from start to goal of one maze.
#[derive(Clone, Debug)]
pub struct Ways {
    side: usize,
    goal: usize,
    /// Steps from the start to each cell, [`FAR`] where no way leads; (side, side).
    from_start: Vec<u32>,
    /// Steps from each cell to the goal, likewise.
    to_goal: Vec<u32>,
}

impl Ways {
    /// The ways that keep off walls; none unless the maze has one start and one goal.
    pub fn through(maze: &Maze) -> Option<Ways> {
        Ways::within(maze, |c| c != b'#')
    }

    /// The ways over cells that `may` be entered.
    pub(super) fn within(maze: &Maze, may: impl Fn(u8) -> bool) -> Option<Ways> {
        let (start, goal) = maze.ends().ok()?;
        let open: Vec<bool> = maze.cells.iter().map(|&c| may(c)).collect();
        Some(Ways {
            side: maze.side,
            goal,
            from_start: distances(&open, maze.side, start),
            to_goal: distances(&open, maze.side, goal),
        })
    }

    /// Steps from start to goal.
    pub fn steps(&self) -> Option<u32> {
        Some(self.from_start[self.goal]).filter(|&steps| steps != FAR)
    }

    /// Whether some shortest path leads over `cell`.
    fn on_one(&self, cell: usize) -> bool {
        let (a, b) = (self.from_start[cell], self.to_goal[cell]);
        a != FAR && b != FAR && Some(a + b) == self.steps()
    }

    /// Cells that some but not all shortest paths lead over, in order; none where there is only one way.
    ///
    /// A shortest path has one cell at each distance from the start: where several are on such ways at the same
    /// distance, each of them is on some and not on all.
    pub fn of_some(&self) -> Vec<usize> {
        let on: Vec<usize> = (0..self.from_start.len())
            .filter(|&c| self.on_one(c))
            .collect();
        let mut at_distance = vec![0; self.steps().map_or(0, |steps| steps as usize + 1)];
        for &cell in &on {
            at_distance[self.from_start[cell] as usize] += 1;
        }
        let shared = |&cell: &usize| at_distance[self.from_start[cell] as usize] > 1;
        on.into_iter().filter(shared).collect()
    }

    /// The cells between start and goal of one shortest path; `choose(n)` says which of n next cells.
    pub fn one(&self, mut choose: impl FnMut(usize) -> usize) -> Vec<usize> {
        let Some(steps) = self.steps() else {
            return Vec::new();
        };
        let mut way = Vec::new();
        let mut cell = self.from_start.iter().position(|&d| d == 0);
        for left in (1..steps).rev() {
            let Some(at) = cell else { break };
            let next = neighbours(at, self.side).filter(|&c| self.to_goal[c] == left);
            let next: Vec<usize> = next.collect();
            cell = next.get(choose(next.len())).copied();
            way.extend(cell);
        }
        way
    }
}

/// Cells above, below, left and right.
fn neighbours(cell: usize, side: usize) -> impl Iterator<Item = usize> {
    let (row, col) = (cell / side, cell % side);
    [
        (row > 0).then(|| cell - side),
        (row + 1 < side).then(|| cell + side),
        (col > 0).then(|| cell - 1),
        (col + 1 < side).then(|| cell + 1),
    ]
    .into_iter()
    .flatten()
}

/// Steps from `from` to every cell over open ones, [`FAR`] where no way leads; `open` is (side, side).
pub(super) fn distances(open: &[bool], side: usize, from: usize) -> Vec<u32> {
    let mut steps = vec![FAR; open.len()];
    let mut queue = Vec::with_capacity(open.len());
    steps[from] = 0;
    queue.push(from);
    let mut next = 0;
    while next < queue.len() {
        let cell = queue[next];
        next += 1;
        for other in neighbours(cell, side) {
            if open[other] && steps[other] == FAR {
                steps[other] = steps[cell] + 1;
                queue.push(other);
            }
        }
    }
    steps
}
