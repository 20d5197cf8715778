//! Predictions beside the truth, as an SVG: for every test pair its input, its output and the two attempts.

use crate::output::printable;
use std::fmt::Write;
use trm_data::arc::Grid;
use trm_data::arc::build::Task;
use trm_data::arc::votes::Votes;

/// Side of a cell in pixels.
const CELL: usize = 9;

/// Pixels between grids, and around all.
const GAP: usize = 18;

/// Pixels for the words above a row of grids.
const WORDS: usize = 22;

/// Most pairs that are drawn.
const PAIRS: usize = 100;

/// The colours that ARC's own pages use.
const COLOURS: [&str; 10] = [
    "#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaaaaa", "#f012be", "#ff851b",
    "#7fdbff", "#870c25",
];

/// Draws the first pairs of all tasks, those of a task one below the other.
pub(super) fn draw(tasks: &[Task], votes: &Votes) -> String {
    let pairs = tasks.iter().flat_map(|task| {
        let numbered = task.test.iter().enumerate();
        numbered.map(move |(i, pair)| (task, i + 1, pair))
    });
    let (mut body, mut y, mut width) = (String::new(), GAP, 0);
    for (task, number, pair) in pairs.take(PAIRS) {
        let ranked = votes.ranked(&task.name, &pair.input);
        let right = |rank: usize| ranked.get(rank).copied() == pair.output.as_ref();
        let verdict = match (right(0), right(1)) {
            _ if pair.output.is_none() => "the output is not known",
            (true, _) => "right at the first attempt",
            (_, true) => "right at the second attempt",
            _ => "not right",
        };
        let words = format!("{}, test {number}: {verdict}", task.name);
        text(&mut body, (GAP, y + 13), &words);
        y += WORDS;
        let attempts = ranked.into_iter().take(2);
        let output = pair.output.iter().map(|output| ("output", output));
        let attempts = ["first attempt", "second attempt"]
            .into_iter()
            .zip(attempts);
        let grids = [("input", &pair.input)].into_iter();
        let (mut x, mut height) = (GAP, 0);
        for (title, grid) in grids.chain(output).chain(attempts) {
            let (rows, cols) = grid.size();
            text(&mut body, (x, y + 13), title);
            cells(&mut body, (x, y + WORDS), grid);
            height = height.max(rows * CELL + WORDS);
            // Room for the title, too, where the grid is narrow.
            x += (cols * CELL).max(8 * title.len()) + GAP;
        }
        width = width.max(x);
        y += height + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Predictions beside the truth</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// Words; a task's name comes from a file, so what would be markup is written out.
fn text(svg: &mut String, (x, y): (usize, usize), words: &str) {
    let words = printable(words).replace('&', "&amp;");
    let words = words.replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{words}</text>").expect("text can be written");
}

/// A grid with its first cell's corner at (x, y); thin lines part the cells.
fn cells(svg: &mut String, (x, y): (usize, usize), grid: &Grid) {
    let cols = grid.size().1.max(1);
    for (i, &colour) in grid.cells().iter().enumerate() {
        let (x, y) = (x + i % cols * CELL, y + i / cols * CELL);
        let fill = COLOURS[usize::from(colour)];
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{fill}\" \
             stroke=\"#555555\" stroke-width=\"0.5\"/>"
        )
        .expect("text can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trm_data::arc::Pair;

    #[test]
    fn every_pair_has_its_verdict() {
        let grid = |colour| Grid::try_from(vec![vec![colour; 2]]).expect("a grid");
        let pair = |input, output| Pair {
            input: grid(input),
            output: Some(grid(output)),
        };
        let unknown = Pair {
            input: grid(8),
            output: None,
        };
        let task = Task {
            name: "a<b]]>\u{1}".into(),
            learn: Vec::new(),
            test: vec![pair(1, 2), pair(3, 4), pair(5, 6), unknown],
        };
        let mut votes = Votes::default();
        for (input, output) in [(1, 2), (3, 7), (3, 7), (3, 4), (8, 9)] {
            votes.add(&task.name, &grid(input), grid(output), 0.0);
        }
        let svg = draw(&[task], &votes);
        for words in [
            "a&lt;b]]&gt;\u{fffd}, test 1: right at the first attempt",
            "a&lt;b]]&gt;\u{fffd}, test 2: right at the second attempt",
            "a&lt;b]]&gt;\u{fffd}, test 3: not right",
            "a&lt;b]]&gt;\u{fffd}, test 4: the output is not known",
        ] {
            assert!(svg.contains(words), "{words}\n{svg}");
        }
        // Four inputs and three outputs, one attempt at the first, two at the second and one at the last, of two cells.
        assert_eq!(svg.matches("stroke=").count(), 2 * (7 + 4));
    }
}
