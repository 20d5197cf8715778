//! Every fault with its place, and no panic whatever the bytes.

use super::*;
use crate::testing;
use proptest::prelude::*;

const HEADER: &str = "source,question,answer,rating\n";
const ROW: &str = "a,1.2..231..12.1..,1324423134122143,0\n";

fn read_str(text: &str) -> Result<Vec<Puzzle>, ReadError> {
    testing::read_str(text, ())
}

/// The first error in a text, as people see it.
fn error(text: impl AsRef<[u8]>) -> String {
    match Reader::<_, Board>::new(text.as_ref(), "f", ()) {
        Ok(reader) => reader
            .collect::<Result<Vec<_>, _>>()
            .unwrap_err()
            .to_string(),
        Err(error) => error.to_string(),
    }
}

/// The error of a CSV file with one good row, a blank line, and this row on line 4.
fn row_error(row: &str) -> String {
    error(format!("{HEADER}{ROW}\n{row}\n"))
}

#[test]
fn a_header_that_is_no_utf_8_is_told_so() {
    let utf_16: Vec<u8> = "\u{feff}source,question,answer,rating\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let error = Reader::<_, Board>::new(&utf_16[..], "excel.txt", ())
        .map(|_| ())
        .unwrap_err();
    let expected = "excel.txt, line 1: byte 1 is not UTF-8 text; save the file as UTF-8";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_header_without_a_row_is_a_fault() {
    let mut rows =
        Reader::<_, Board>::new(&b"source,question,answer,rating\n\n"[..], "f", ()).unwrap();
    let error = rows.next().expect("a fault").unwrap_err();
    assert!(
        error.to_string().starts_with("f: no puzzles here"),
        "{error}"
    );
    assert!(rows.next().is_none());
}

#[test]
fn csv_rows_are_read_field_by_field() {
    let text = format!("{HEADER}{ROW}\"b, c\",................,,\r\n\n# d,0000000000000000,,12");
    let puzzles = read_str(&text).unwrap();
    let of = |i: usize| {
        (
            &*puzzles[i].source,
            puzzles[i].question.givens(),
            puzzles[i].rating,
        )
    };
    assert_eq!(puzzles.len(), 3);
    assert_eq!(
        [of(0), of(1), of(2)],
        [("a", 8, Some(0)), ("b, c", 0, None), ("# d", 0, Some(12))]
    );
    assert_eq!(puzzles[0].answer.unwrap().to_string(), "1324423134122143");
    assert_eq!(puzzles[1].answer, None);
}

#[test]
fn columns_are_found_by_name() {
    let text = "# kept by a tool\nrating,extra,answer,question,source\n7,x,,1.2..231..12.1..,s\n";
    let puzzle = &read_str(text).unwrap()[0];
    assert_eq!(
        (&*puzzle.source, puzzle.rating, puzzle.question.givens()),
        ("s", Some(7), 8)
    );
}

#[test]
fn plain_lines_skip_comments_and_blank_lines() {
    let text = "\u{feff}# two puzzles\r\n\r\n1.2..231..12.1..\r\n  \n#\n0000000000000000";
    let puzzles = read_str(text).unwrap();
    assert_eq!(
        puzzles
            .iter()
            .map(|p| p.question.givens())
            .collect::<Vec<_>>(),
        [8, 0]
    );
    assert_eq!(
        (&*puzzles[0].source, puzzles[0].answer, puzzles[0].rating),
        ("", None, None)
    );
}

#[test]
fn files_without_puzzles() {
    let empty = "f: no puzzles here; expected CSV with the header";
    assert!(error("").starts_with(empty));
    assert!(error("\n# nothing\n\n").starts_with(empty));
    let absent = read_path::<Board>("absent/puzzles.csv", ()).unwrap_err();
    assert!(matches!(absent.fault, Fault::Open(_)));
    let absent = absent.to_string();
    assert!(
        absent.starts_with("absent/puzzles.csv: cannot open this file: "),
        "{absent}"
    );
    assert!(
        absent.ends_with("check the path and the permissions"),
        "{absent}"
    );
}

#[test]
fn a_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let told = read_path::<Board>(folder.path(), ())
        .unwrap_err()
        .to_string();
    assert!(
        told.ends_with(": this is a folder; expected a file of puzzles"),
        "{told}"
    );
}

#[test]
fn weights_are_no_puzzles() {
    // The second length has a line break in it.
    for len in [4728u64, 2568] {
        let file = [&len.to_le_bytes()[..], b"{\"__metadata__\":{\"a\":\"b\"},"].concat();
        let told = Reader::<_, Board>::new(&file[..], "f", ())
            .err()
            .expect("a fault");
        assert_eq!(
            told.to_string(),
            "f: this looks like a weights file; expected puzzles, and weights go to --weights"
        );
    }
}

#[test]
fn headers_must_name_the_question_alone() {
    let told = error("# note\nsource,questions,answer,rating\n");
    assert!(
        told.starts_with(
            "f, line 2: the header has no column \"question\", only \"source,questions,answer,rating\"; "
        ),
        "{told}"
    );
    assert!(error(ROW).starts_with("f, line 1: the header has no column \"question\""));
    // A file of another kind may have a line of megabytes.
    let told = error(format!("{}\n", "x,".repeat(1 << 20)));
    assert!(told.len() < 250 && told.contains("x,x,\"…"), "{told}");

    for text in [
        "x,question\n1,1.2..231..12.1..\n",
        "question\r\n1.2..231..12.1..\r\n",
    ] {
        let puzzles = read_str(text).unwrap();
        assert_eq!(*puzzles, [Puzzle::of("1.2..231..12.1..".parse().unwrap())]);
    }
    // A column that is left out is one thing, one that is misspelt another.
    for (found, meant) in [
        ("anwser", "answer"),
        ("Source", "source"),
        ("ratings", "rating"),
    ] {
        let told = error(format!("question,{found}\n"));
        let expected = format!("line 1: the header has a column {found:?}; if that is {meant:?}");
        assert!(told.contains(&expected), "{told}");
    }
}

#[test]
fn fields_are_separated_by_commas() {
    for (header, separator) in [
        ("source;question;answer;rating", "';'"),
        ("question\tanswer", "'\\t'"),
    ] {
        let told = error(format!("{header}\n"));
        assert!(
            told.starts_with("f, line 1: the fields of this header are separated by ")
                && told.contains(separator)
                && told.ends_with("separate the fields of every row by commas"),
            "{told}"
        );
    }
}

#[test]
fn faults_in_csv_rows() {
    for (row, expected) in [
        (
            "a,1.2..231..12.1..,1324423134122143",
            "f, line 4: 3 fields, but the header has 4;",
        ),
        (
            "a,1.2..231..12.1.,,",
            "f, line 4, column question: 15 cells, but a board has 16 (4x4)",
        ),
        (
            "a,1.2.. 31..12.1..,,",
            "f, line 4, column question: character ' ' at position 6; expected a digit",
        ),
        (
            "a,1.2..231..12.15.,,",
            "f, line 4, column question: digit 5 at position 15 (r4c3); a 4x4",
        ),
        (
            "a,1.2..231..12.1..,132442313412214x,",
            "f, line 4, column answer: character 'x' at position 16",
        ),
        (
            "a,1.2..231..12.1..,,-1",
            "f, line 4, column rating: rating \"-1\"; expected a whole number",
        ),
        (
            "a,1.2..231..12.1..,, 1",
            "f, line 4, column rating: rating \" 1\"",
        ),
        (
            "a,1...1...........,,",
            "f, line 4, column question: the givens contradict each other: digit 1 stands twice in column 1: at r1c1 and at r2c1; correct or remove this row",
        ),
        (
            "a,1.2..231..12.1..,2134431212433421,",
            "f, line 4, column answer: the answer has 2 at r1c1, but the question gives 1 there",
        ),
        (
            "a,1.2..231..12.1..,1324423134122144,",
            "f, line 4, column answer: the answer is not a valid grid: digit 4 stands twice in row 4",
        ),
        (
            "a,1.2..231..12.1..,132442313412214.,",
            "f, line 4, column answer: the answer is blank at r4c4",
        ),
    ] {
        let told = row_error(row);
        assert!(told.starts_with(expected), "{row}: {told}");
    }
    let mixed = row_error(&format!("a,{},,", ".".repeat(81)));
    assert!(
        mixed.starts_with(
            "f, line 4: a question of 9x9 cells, but the file began with 4x4 at line 2;"
        ),
        "{mixed}"
    );
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_its_row_begins() {
    let rows = ROW.repeat(3);
    let told = error(format!("{HEADER}{ROW}\n\r\n\"a,.,,\n{rows}"));
    assert_eq!(
        told,
        "f, line 5: 1 fields, but the header has 4; quote fields that contain commas; this row ends in line 8: \
         is a quote in it not closed?"
    );
    let told = error(format!("{HEADER}{ROW}a,1.2..231..12.1..,,\"7\n{rows}"));
    let expected = "f, line 3, column rating: rating \"7\\na,1.2..";
    assert!(told.starts_with(expected) && told.len() < 250, "{told}");
    // A line break that belongs where it is, and the line of what follows.
    let told = error(format!("{HEADER}\"a\nb\",1.2..231..12.1..,,\na,1,,\n"));
    assert!(
        told.starts_with("f, line 4, column question: 1 cells"),
        "{told}"
    );
    assert!(!told.contains("quote"), "{told}");
}

#[test]
fn faults_in_plain_lines() {
    let good = "1.2..231..12.1..";
    let told = |line: &str| error(format!("# note\n{good}\n\n{line}"));
    assert!(told("1.2..231..12.1").starts_with("f, line 4: 14 cells"));
    assert!(told(&format!("{good} ")).starts_with("f, line 4: character ' ' at position 17"));
    assert!(told("11..............").starts_with("f, line 4: the givens contradict"));
    assert!(
        told(&".".repeat(36)).starts_with(
            "f, line 4: a question of 6x6 cells, but the file began with 4x4 at line 2"
        )
    );
}

#[test]
fn bytes_that_are_no_text() {
    assert!(error(b"1.2..\xFF31..12.1..").starts_with("f, line 1: byte 6 is not UTF-8"));
    let mut csv = format!("{HEADER}{ROW}").into_bytes();
    csv.extend(b"M\xFCller,1.2..231..12.1..,,");
    assert!(error(csv).starts_with("f, line 3, column source: byte 2 is not UTF-8"));
    let utf16: Vec<u8> = ROW.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(error(utf16).starts_with("f, line 1: "));
}

#[test]
fn rows_after_a_fault_still_come() {
    let text = format!("{HEADER}{ROW}a,b,c,d\n{ROW}a\n{ROW}");
    let rows: Vec<_> = Reader::<_, Board>::new(text.as_bytes(), "f", ())
        .unwrap()
        .collect();
    assert_eq!(
        rows.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true, false, true]
    );
    let lines: Vec<_> = rows.iter().filter_map(|r| r.as_ref().err()?.line).collect();
    assert_eq!(lines, [3, 5]);
}

#[test]
fn reading_ends_when_the_source_fails() {
    struct Broken(bool);
    impl std::io::Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("gone"));
            }
            out[..17].copy_from_slice(b"1.2..231..12.1..\n");
            Ok(17)
        }
    }
    let mut rows = Reader::<_, Board>::new(BufReader::new(Broken(false)), "f", ()).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(
        rows.next()
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("cannot read on: gone")
    );
    assert!(rows.next().is_none());
}

/// Text that gets past the first checks more often than plain noise does.
fn nearly_a_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(HEADER.as_bytes().to_vec()),
        Just(ROW.as_bytes().to_vec()),
        Just(b"1.2..231..12.1..".to_vec()),
        Just(vec![b'.'; 36]),
        prop::sample::select(b",\"\n\r.0159#\xFF ".to_vec()).prop_map(|byte| vec![byte]),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, nearly in nearly_a_file()) {
        for bytes in [bytes, nearly] {
            let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let Ok(reader) = Reader::<_, Board>::new(&bytes[..], "f", ()) else { continue };
            for row in reader {
                match row {
                    Ok(puzzle) => prop_assert_eq!(puzzle.check(), Ok(())),
                    Err(error) => prop_assert!(error.line <= Some(lines), "{} of {}", error, lines),
                }
            }
        }
    }
}
