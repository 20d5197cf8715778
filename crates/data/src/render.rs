//! Boards drawn for people.

use crate::board::{Board, character};

/// The characters of a drawing.
struct Style {
    dash: &'static str,
    bar: char,
    rules: [[char; 3]; 3], // left end, crossing, right end: of the top, the inner and the bottom lines
}

const ASCII: Style = Style {
    dash: "-",
    bar: '|',
    rules: [['+', '+', '+']; 3],
};

const UNICODE: Style = Style {
    dash: "─",
    bar: '│',
    rules: [['┌', '┬', '┐'], ['├', '┼', '┤'], ['└', '┴', '┘']],
};

impl Board {
    /// The grid for people, several lines drawn with `+`, `-` and `|` so that any terminal shows them.
    pub fn render(&self) -> String {
        draw(self, &ASCII)
    }

    /// The grid for people, several lines drawn with Unicode box characters.
    pub fn render_unicode(&self) -> String {
        draw(self, &UNICODE)
    }
}

fn draw(board: &Board, style: &Style) -> String {
    let g = board.geometry();
    let dashes = style.dash.repeat(2 * g.box_cols() + 1);
    let boxes = vec![dashes.as_str(); g.side() / g.box_cols()];
    let [top, inner, bottom] = style.rules.map(|[left, crossing, right]| {
        let dashes = boxes.join(&crossing.to_string());
        format!("{left}{dashes}{right}\n")
    });
    let mut out = top;
    for (row, digits) in board.digits().chunks(g.side()).enumerate() {
        if row > 0 && row % g.box_rows() == 0 {
            out += &inner;
        }
        for box_digits in digits.chunks(g.box_cols()) {
            out.push(style.bar);
            box_digits
                .iter()
                .for_each(|&digit| out.extend([' ', character(digit)]));
            out.push(' ');
        }
        out.extend([style.bar, '\n']);
    }
    out + &bottom
}

#[cfg(test)]
mod tests {
    use crate::board::Board;
    use crate::geometry::Geometry;

    #[test]
    fn four_in_ascii() {
        let four: Board = "1.2..231..12.1..".parse().unwrap();
        let expected = "+-----+-----+\n| 1 . | 2 . |\n| . 2 | 3 1 |\n+-----+-----+\n\
                        | . . | 1 2 |\n| . 1 | . . |\n+-----+-----+\n";
        assert_eq!(four.render(), expected);
    }

    #[test]
    fn six_in_unicode() {
        let six = Board::blank(Geometry::Six).render_unicode();
        let row = "│ . . . │ . . . │\n".repeat(2);
        let inner = "├───────┼───────┤\n";
        let expected =
            format!("┌───────┬───────┐\n{row}{inner}{row}{inner}{row}└───────┴───────┘\n");
        assert_eq!(six, expected);
    }
}
