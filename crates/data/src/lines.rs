//! A reader that hands out one line at a time and counts.

use std::io::{self, BufRead, Read};

/// A text source that knows which line it handed out last.
///
/// As a [`Read`] it never gives more than one line at once. A CSV reader on top of it therefore has not
/// looked beyond the record it returned: [`Lines::began`] is the line where that record begins, however many blank
/// lines stand before it, and [`Lines::number`] the one where it ends.
pub(crate) struct Lines<R> {
    source: R,
    number: u64,
    line: Vec<u8>,
    start: usize,       // bytes of `line` before it were handed out
    began: Option<u64>, // the first line with content since `begin`
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R) -> Lines<R> {
        Lines {
            source,
            number: 0,
            line: Vec::new(),
            start: 0,
            began: None,
        }
    }

    /// Says that what is read from here on is another record.
    pub(crate) fn begin(&mut self) {
        self.began = None;
    }

    /// Number of the first line with content since [`Lines::begin`], or of the current one.
    pub(crate) fn began(&self) -> u64 {
        self.began.unwrap_or(self.number)
    }

    /// Number of the current line, counted from 1; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The current line without its line break, and without a byte order mark on the first line.
    pub(crate) fn line(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Goes to the next line; false at the end.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.start = 0;
        let found = self.source.read_until(b'\n', &mut self.line)? > 0;
        self.number += u64::from(found);
        if self.number == 1 && self.line.starts_with(b"\xEF\xBB\xBF") {
            self.line.drain(..3);
        }
        Ok(found)
    }

    /// Goes to the next line of content; false at the end. With `comments`, skips blank lines and lines that start with
    /// `#`; without, only empty lines, since spaces and `#` may be content.
    pub(crate) fn advance_to_content(&mut self, comments: bool) -> io::Result<bool> {
        while self.advance()? {
            let line = self.line();
            let skipped = match comments {
                true => line.starts_with(b"#") || line.iter().all(u8::is_ascii_whitespace),
                false => line.is_empty(),
            };
            if !skipped {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Lines<R> {
    /// Gives the rest of the current line, or goes to the next one if nothing is left of it.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start >= self.line.len() && !self.advance()? {
            return Ok(0);
        }
        if !self.line().is_empty() {
            self.began.get_or_insert(self.number);
        }
        let rest = &self.line[self.start..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_lines_are_found_and_counted() {
        let mut lines = Lines::new(&b"\xEF\xBB\xBF# note\r\n\n  \r\none\r\n#\ntwo"[..]);
        let mut seen = Vec::new();
        while lines.advance_to_content(true).unwrap() {
            seen.push((lines.number(), lines.line().to_vec()));
        }
        assert_eq!(seen, [(4, b"one".to_vec()), (6, b"two".to_vec())]);
        let mut lines = Lines::new(&b" \n# wall\n"[..]);
        assert!(lines.advance_to_content(false).unwrap());
        assert_eq!(lines.line(), b" ", "a way, where # is a wall");
        assert!(lines.advance_to_content(false).unwrap());
        assert_eq!(lines.line(), b"# wall");
    }

    #[test]
    fn reading_starts_with_the_current_line_and_stops_at_its_end() {
        let mut lines = Lines::new(&b"first\nsecond\n"[..]);
        assert!(lines.advance().unwrap());
        let mut out = [0; 100];
        assert_eq!(lines.read(&mut out[..2]).unwrap(), 2);
        assert_eq!(lines.read(&mut out[2..]).unwrap(), 4);
        assert_eq!((&out[..6], lines.number()), (&b"first\n"[..], 1));
        assert_eq!(lines.read(&mut out).unwrap(), 7);
        assert_eq!(lines.number(), 2);
        assert_eq!(lines.read(&mut out).unwrap(), 0);
    }
}
