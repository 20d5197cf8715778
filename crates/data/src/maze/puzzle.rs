//! Mazes with their answers, and the files that hold them.

use super::Maze;
use crate::dihedral::Dihedral;
use crate::fault::{Invalid, ReadError};
use crate::grid::fnv;
use crate::read::{Fields, Reader, Row, RowFault, text};
use std::path::Path;
use std::sync::Arc;

/// A question together with what is known about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MazePuzzle {
    /// Where it comes from.
    pub source: Arc<str>,
    /// One start, one goal, no way drawn.
    pub question: Maze,
    /// The question with a way drawn into it, if the file gives it.
    pub answer: Option<Maze>,
    /// How hard it is; for generated ones the steps from start to goal.
    pub rating: Option<u64>,
}

impl MazePuzzle {
    /// Checks question and answer, as far as the file gives it.
    ///
    /// # Errors
    /// The column, `question` or `answer`, and its first fault.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        self.question
            .check_question()
            .map_err(|e| ("question", e))?;
        let answer = self.answer.as_ref();
        answer.map_or(Ok(()), |answer| {
            answer
                .check_answer(&self.question)
                .map_err(|e| ("answer", e))
        })
    }
}

impl Row for MazePuzzle {
    const COMMENTS: bool = false;

    type Format = ();

    fn from_fields(fields: Fields<'_>, (): &()) -> Result<MazePuzzle, RowFault> {
        let maze = |column, field| {
            let maze = text(field).and_then(str::parse);
            maze.map_err(|why| RowFault::new(column, why))
        };
        let puzzle = MazePuzzle {
            source: fields.source,
            question: maze("question", fields.question)?,
            answer: fields
                .answer
                .map(|field| maze("answer", field))
                .transpose()?,
            rating: fields.rating,
        };
        match puzzle.check() {
            Ok(()) => Ok(puzzle),
            Err((column, why)) => Err(RowFault::unsound(column, why)),
        }
    }

    fn size(&self) -> (usize, usize) {
        (self.question.side, self.question.side)
    }

    fn source(&self) -> &Arc<str> {
        &self.source
    }

    fn tokens(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let tokens = |maze: &Maze| {
            let mut tokens = vec![0; maze.cells.len()];
            maze.tokens_into(&mut tokens);
            tokens
        };
        (tokens(&self.question), self.answer.as_ref().map(tokens))
    }

    /// Turned or mirrored mazes share it, and those with start and goal exchanged.
    fn fingerprint(&self) -> u64 {
        let mut exchanged = self.question.clone();
        for cell in &mut exchanged.cells {
            *cell = match *cell {
                b'S' => b'G',
                b'G' => b'S',
                other => other,
            };
        }
        let images = Dihedral::ALL.into_iter().flat_map(|symmetry| {
            [&self.question, &exchanged].map(|maze| maze.image(symmetry).cells)
        });
        fnv(&images.min().expect("sixteen images"))
    }

    fn record(&self) -> [String; 4] {
        let answer = self.answer.as_ref().map(Maze::to_string);
        let rating = self.rating.map(|rating| rating.to_string());
        [
            self.source.to_string(),
            self.question.to_string(),
            answer.unwrap_or_default(),
            rating.unwrap_or_default(),
        ]
    }
}

/// Reads all mazes of a file: CSV, or plain lines of one maze each with every space kept.
///
/// # Errors
/// The first fault, with its place.
pub fn read_path(path: impl AsRef<Path>) -> Result<Vec<MazePuzzle>, ReadError> {
    Reader::open(path)?.collect()
}

/// Reads all mazes of a text; `name` stands for the file in errors.
///
/// # Errors
/// As [`read_path`].
pub fn read_str(text: &str, name: &str) -> Result<Vec<MazePuzzle>, ReadError> {
    Reader::new(text.as_bytes(), name)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maze(text: &str) -> Maze {
        text.parse().unwrap()
    }

    #[test]
    fn images_share_the_fingerprint_and_others_do_not() {
        let puzzle = |question: &str| MazePuzzle {
            source: "".into(),
            question: maze(question),
            answer: None,
            rating: None,
        };
        let print = |question: &str| puzzle(question).fingerprint();
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
        let error = read_str(rows, "f").unwrap_err().to_string();
        assert_eq!(
            error,
            "f, line 3: a question of 2x2 cells, but the file began with 3x3 at line 2; put each size into a file of \
             its own"
        );
        let read = read_str(
            "source,question,answer,rating\nx,S  ## #G ,Soo##o#Go,5",
            "f",
        )
        .unwrap();
        assert_eq!(read[0].record(), ["x", "S  ## #G ", "Soo##o#Go", "5"]);
        // A plain line may begin with a wall, and end in free cells.
        let plain = read_str("##S   G  \n\n#S#  #G  \r\n", "f").unwrap();
        assert_eq!(plain[1].question.to_string(), "#S#  #G  ");
        for (text, expected) in [
            ("S # #   ", "f, line 1: 8 characters; expected a square"),
            ("S # # # #", "f, line 1: 0 of 'G'"),
            (
                "question,source,answer,rating\nS  ## #G ,,S  ##o#Go,",
                "f, line 2, column answer: the cells 'o' of the answer are no shortest way",
            ),
        ] {
            let error = read_str(text, "f").unwrap_err().to_string();
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
            if let Ok(reader) = Reader::<_, MazePuzzle>::new(&bytes[..], "f") {
                for puzzle in reader.flatten() {
                    proptest::prop_assert_eq!(puzzle.check(), Ok(()));
                }
            }
        }
    }
}
