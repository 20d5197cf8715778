//! Standard output: answers, and tables of them. Standard error: everything else that is said.

use std::fmt;
use std::io::{ErrorKind, Write};

/// Says a line on standard error; that nobody listens there (`2>&1 | head`) is no error.
macro_rules! say {
    ($($words:tt)*) => { $crate::output::say(format_args!($($words)*)) };
}

/// [`say!`], once its words are put together.
pub fn say(words: fmt::Arguments<'_>) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&words.to_string()));
}

/// What would steer a terminal, as a file's words may, made visible.
fn harmless(text: &str) -> String {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.replace(steers, "\u{fffd}")
}

/// Writes the answer to standard output. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written for any other reason.
pub fn print(answer: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match answer(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
        Ok(()) => Ok(()),
    }
}

/// One line of what both a terminal and XML can show.
pub fn printable(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let strange = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    words.join(" ").replace(strange, "\u{fffd}")
}

/// Lines of columns: every column as wide as its widest cell, flush left. What would steer a terminal
/// is made visible.
pub fn table<R: AsRef<[String]>>(rows: &[R]) -> String {
    let mut widths = Vec::new();
    for row in rows.iter().map(AsRef::as_ref) {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows.iter().map(AsRef::as_ref) {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells.map(|(cell, &w)| format!("{cell:<w$}")).collect();
        text.push_str(&harmless(line.join("  ").trim_end()));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "b"], ["longer", "c"]].map(|row| row.map(String::from));
        assert_eq!(table(&rows), "a       b\nlonger  c\n");
        assert_eq!(table::<[String; 0]>(&[]), "");
        assert_eq!(table(&[["\x1b[2J".to_owned()]]), "\u{fffd}[2J\n");
    }
}
