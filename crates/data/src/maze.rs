//! Mazes: a square of walls and free cells with a start, a goal, and the shortest path between them.
//!
//! ```
//! use trm_data::maze::Maze;
//!
//! // One line, row by row: # wall, space free, S start, G goal; in an answer, o on the way.
//! let question: Maze = "S  ## #G ".parse()?;
//! let answer: Maze = "Soo##o#Go".parse()?;
//! println!("{}", question.render());
//! assert_eq!(question.steps(), Some(5));
//! assert!(answer.is_shortest_way_through(&question));
//! # Ok::<(), trm_data::Invalid>(())
//! ```
//!
//! Steps go up, down, left and right. A network reads a token for each cell (TRM_SPEC 7.3) and answers with
//! one: 1 `#`, 2 space, 3 `S`, 4 `G`, 5 `o`; 0 is left for the pad.

pub mod generate;
mod path;

use crate::dihedral::Dihedral;
use crate::fault::Invalid;
use crate::puzzle::Cells;
use crate::split::fnv;
use std::fmt;
use std::str::FromStr;

pub use path::Ways;

/// The characters of a maze in the order of their tokens, which begin at 1.
pub const CHARACTERS: [u8; 5] = *b"# SGo";

/// Tokens of mazes: the pad and [`CHARACTERS`].
pub const VOCAB: usize = CHARACTERS.len() + 1;

/// The longest side that a maze can have.
pub const MAX_SIDE: usize = 100;

/// A square of [`CHARACTERS`]: a question, an answer, or whatever a network makes of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Maze {
    side: usize,
    /// (side, side)
    cells: Vec<u8>,
}

/// Row and column of a cell, counted from 1, as people read them.
fn place(cell: usize, side: usize) -> String {
    format!("r{}c{}", cell / side + 1, cell % side + 1)
}

fn no_way() -> Invalid {
    Invalid("no way leads from S to G".to_owned())
}

/// The side of a square of `cells` cells, if a maze can be that large.
pub fn side_of(cells: usize) -> Option<usize> {
    (2..=MAX_SIDE).find(|side| side * side == cells)
}

impl FromStr for Maze {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Maze, Invalid> {
        let found = text.chars().count();
        let side = side_of(found).ok_or_else(|| {
            Invalid(format!(
                "{found} characters; expected a square of side 2 to {MAX_SIDE}, such as 100 or 900, with every space \
                 kept"
            ))
        })?;
        for (cell, found) in text.chars().enumerate() {
            if !found.is_ascii() || !CHARACTERS.contains(&(found as u8)) {
                return Err(Invalid(format!(
                    "{found:?} at {}; expected '#', ' ', 'S', 'G' or 'o'",
                    place(cell, side)
                )));
            }
        }
        let cells = text.as_bytes().to_vec();
        Ok(Maze { side, cells })
    }
}

impl fmt::Display for Maze {
    /// One line, row by row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cells
            .iter()
            .try_for_each(|&c| write!(f, "{}", char::from(c)))
    }
}

impl Maze {
    /// The maze that a network's tokens spell: the inverse of [`Maze::tokens_into`]. Tokens that mean nothing
    /// become free cells.
    ///
    /// # Panics
    /// If the number of tokens is not a square.
    pub fn from_tokens(tokens: &[u8]) -> Maze {
        let side = side_of(tokens.len()).expect("a square of tokens");
        let character = |&token: &u8| match usize::from(token).checked_sub(1) {
            Some(i) => CHARACTERS.get(i).copied().unwrap_or(b' '),
            None => b' ',
        };
        let cells = tokens.iter().map(character).collect();
        Maze { side, cells }
    }

    /// Writes the network's tokens.
    ///
    /// # Panics
    /// If there is not one for each cell.
    pub fn tokens_into(&self, tokens: &mut [u8]) {
        assert_eq!(tokens.len(), self.cells.len(), "one token for each cell");
        for (token, cell) in tokens.iter_mut().zip(&self.cells) {
            let i = CHARACTERS.iter().position(|c| c == cell);
            *token = i.expect("one of the characters") as u8 + 1;
        }
    }

    /// Cells along one side.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The characters row by row.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// The maze turned or mirrored.
    pub fn image(&self, symmetry: Dihedral) -> Maze {
        Maze {
            side: self.side,
            cells: symmetry.apply(&self.cells, self.side, self.side),
        }
    }

    /// For people: a frame, and two characters a cell, so that squares look square.
    pub fn render(&self) -> String {
        let line = format!("+{}+\n", "-".repeat(2 * self.side));
        let mut out = line.clone();
        for row in self.cells.chunks(self.side) {
            out.push('|');
            for &cell in row {
                out += match cell {
                    b'#' => "##",
                    b'S' => "S ",
                    b'G' => "G ",
                    b'o' => "o ",
                    _ => "  ",
                };
            }
            out += "|\n";
        }
        out + &line
    }

    /// The only cell that holds `what`.
    fn only(&self, what: u8) -> Result<usize, Invalid> {
        let mut cells = (0..self.cells.len()).filter(|&i| self.cells[i] == what);
        match (cells.next(), cells.count()) {
            (Some(cell), 0) => Ok(cell),
            (first, more) => Err(Invalid(format!(
                "{} of {:?}; a maze has exactly one",
                more + usize::from(first.is_some()),
                char::from(what)
            ))),
        }
    }

    /// Start and goal.
    fn ends(&self) -> Result<(usize, usize), Invalid> {
        Ok((self.only(b'S')?, self.only(b'G')?))
    }

    /// Steps of the shortest path from start to goal; `None` without a way, or without exactly one start and one goal.
    pub fn steps(&self) -> Option<u32> {
        Ways::through(self)?.steps()
    }

    /// Whether this is `question` with a shortest path drawn into its free cells, any of them.
    pub fn is_shortest_way_through(&self, question: &Maze) -> bool {
        self.check_answer(question).is_ok()
    }
}

impl Cells for Maze {
    const COMMENTS: bool = false;

    type Format = ();

    fn parse(line: &str, (): &()) -> Result<Maze, Invalid> {
        line.parse()
    }

    /// One start, one goal, a way between them, and none drawn.
    fn check_question(&self) -> Result<(), Invalid> {
        self.ends()?;
        if let Some(cell) = self.cells.iter().position(|&c| c == b'o') {
            return Err(Invalid(format!(
                "'o' at {}; a question has no way drawn into it",
                place(cell, self.side)
            )));
        }
        self.steps().map(|_| ()).ok_or_else(no_way)
    }

    /// `question` with a shortest path drawn into its free cells, any of them.
    fn check_answer(&self, question: &Maze) -> Result<(), Invalid> {
        if self.side != question.side {
            return Err(Invalid(format!(
                "the answer has side {}, but its question has side {}",
                self.side, question.side
            )));
        }
        for (cell, (&found, &expected)) in self.cells.iter().zip(&question.cells).enumerate() {
            if found != expected && (found, expected) != (b'o', b' ') {
                return Err(Invalid(format!(
                    "the answer has {:?} at {}, where the question has {:?}",
                    char::from(found),
                    place(cell, self.side),
                    char::from(expected)
                )));
            }
        }
        let steps = question.steps().ok_or_else(no_way)?;
        let drawn = self.cells.iter().filter(|&&c| c == b'o').count();
        // So many cells, and as long a way through them alone: each of them is on it.
        let ways = Ways::within(self, |c| c != b'#' && c != b' ');
        match ways.and_then(|ways| ways.steps()) {
            Some(found) if found == steps && drawn + 1 == steps as usize => Ok(()),
            _ => Err(Invalid(format!(
                "the cells 'o' of the answer are no shortest path, which takes {steps} steps"
            ))),
        }
    }

    fn size(&self) -> (usize, usize) {
        (self.side, self.side)
    }

    fn tokens(&self) -> Vec<u8> {
        let mut tokens = vec![0; self.cells.len()];
        self.tokens_into(&mut tokens);
        tokens
    }

    /// Turned or mirrored mazes share it, and those with start and goal exchanged.
    fn fingerprint(&self) -> u64 {
        let mut exchanged = self.clone();
        for cell in &mut exchanged.cells {
            *cell = match *cell {
                b'S' => b'G',
                b'G' => b'S',
                other => other,
            };
        }
        let images = Dihedral::ALL
            .into_iter()
            .flat_map(|symmetry| [self, &exchanged].map(|maze| maze.image(symmetry).cells));
        fnv(&images.min().expect("sixteen images"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::Reader;
    use crate::testing::read_str;

    fn maze(text: &str) -> Maze {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_tokens_round_trip() {
        let text = "S o## #G ";
        let tokens = &mut [0; 9];
        maze(text).tokens_into(tokens);
        assert_eq!(*tokens, [3, 2, 5, 1, 1, 2, 1, 4, 2]);
        assert_eq!(Maze::from_tokens(tokens).to_string(), text);
        assert_eq!(Maze::from_tokens(&[0, 6, 255, 1]).to_string(), "   #");
        assert_eq!(maze("S#G ").render(), "+----+\n|S ##|\n|G   |\n+----+\n");
    }

    #[test]
    fn each_fault_is_told() {
        let fault = |question: &str, answer: &str| {
            let check = || {
                let question: Maze = question.parse()?;
                question.check_question()?;
                answer.parse::<Maze>()?.check_answer(&question)
            };
            check()
                .err()
                .map_or(String::new(), |e: Invalid| e.to_string())
        };
        let question = "S  ## #G ";
        for (question, answer, expected) in [
            (question, "Soo##o#Go", ""),
            ("S  ## #G", "", "8 characters; expected a square"),
            ("S  ##.#G ", "", "'.' at r2c3; expected '#', ' ',"),
            ("   ## #G ", "", "0 of 'S'; a maze has exactly one"),
            ("S  ##GGG ", "", "3 of 'G'; a maze has exactly one"),
            ("So ## #G ", "", "'o' at r1c2; a question has no way"),
            ("S  ###G  ", "", "no way leads from S to G"),
            (
                question,
                "SooG",
                "the answer has side 2, but its question has side 3",
            ),
            (
                question,
                "Sooo# #Go",
                "the answer has 'o' at r2c1, where the question has '#'",
            ),
            (
                question,
                "oS ## #G ",
                "the answer has 'o' at r1c1, where the question has 'S'",
            ),
            (
                question,
                "So ##o#Go",
                "are no shortest path, which takes 5 steps",
            ),
        ] {
            let found = fault(question, answer);
            let right = if expected.is_empty() {
                found.is_empty()
            } else {
                found.contains(expected)
            };
            assert!(
                right,
                "{question:?} {answer:?}: {found:?}, expected {expected:?}"
            );
        }
    }

    #[test]
    fn any_shortest_way_counts_and_no_detour() {
        let question = maze("S    #G  ");
        assert_eq!(question.steps(), Some(2));
        let open = maze("S       G");
        for (answer, right) in [
            ("Soo  o  G", true),
            ("So  o  oG", true),
            ("S  o  ooG", true),
            ("Sooo o  G", false), // a cell too many
            ("Sooooo ooG", false),
            ("S  o   oG", false), // a gap
        ] {
            let found = answer
                .parse()
                .is_ok_and(|a: Maze| a.is_shortest_way_through(&open));
            assert_eq!(found, right, "{answer}");
        }
    }

    #[test]
    fn images_share_the_fingerprint_and_others_do_not() {
        let print = |question: &str| maze(question).fingerprint();
        let question = "S  ## #G ";
        for symmetry in Dihedral::ALL {
            let image = maze(question).image(symmetry).to_string();
            assert_eq!(print(&image), print(question));
        }
        assert_eq!(print("G  ## #S "), print(question));
        assert_ne!(print("S  ## # G"), print(question));
    }

    #[test]
    fn files_are_read_with_every_space_and_their_faults_told() {
        let rows = "source,question,answer,rating\nx,S  ## #G ,Soo##o#Go,5\n,S G ,,\n";
        let error = read_str::<Maze>(rows, ()).unwrap_err().to_string();
        assert_eq!(
            error,
            "f, line 3: a question of 2x2 cells, but the file began with 3x3 at line 2; put each size into a file of \
             its own"
        );
        let read =
            read_str::<Maze>("source,question,answer,rating\nx,S  ## #G ,Soo##o#Go,5", ()).unwrap();
        assert_eq!(read[0].record(), ["x", "S  ## #G ", "Soo##o#Go", "5"]);
        // A plain line may begin with a wall, and end in free cells.
        let plain = read_str::<Maze>("##S   G  \n\n#S#  #G  \r\n", ()).unwrap();
        assert_eq!(plain[1].question.to_string(), "#S#  #G  ");
        for (text, expected) in [
            ("S # #   ", "f, line 1: 8 characters; expected a square"),
            ("S # # # #", "f, line 1: 0 of 'G'"),
            (
                "question,source,answer,rating\nS  ## #G ,,S  ##o#Go,",
                "f, line 2, column answer: the cells 'o' of the answer are no shortest path",
            ),
        ] {
            let error = read_str::<Maze>(text, ()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(pieces in proptest::collection::vec(proptest::sample::select(
            b"source,question,answer,rating\n|,|\n|\r\n|S G |S  ## #G |Soo##o#Go|#|o| |\xFF|5|\""
                .split(|&byte| byte == b'|').collect::<Vec<_>>()
        ), 0..30)) {
            let bytes = pieces.concat();
            if let Ok(reader) = Reader::<_, Maze>::new(&bytes[..], "f", ()) {
                for puzzle in reader.flatten() {
                    proptest::prop_assert_eq!(puzzle.check(), Ok(()));
                }
            }
        }
    }
}
