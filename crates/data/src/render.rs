//! Boards drawn for people.

use crate::board::{Board, character};

impl Board {
    /// The grid for people, several lines drawn with `+`, `-` and `|` so that any terminal shows them.
    pub fn render(&self) -> String {
        let g = self.geometry();
        let over_box = format!("{}+", "-".repeat(2 * g.box_cols() + 1));
        let rule = format!("+{}\n", over_box.repeat(g.side() / g.box_cols()));
        let mut out = String::new();
        for (row, digits) in self.digits().chunks(g.side()).enumerate() {
            if row % g.box_rows() == 0 {
                out += &rule;
            }
            for box_digits in digits.chunks(g.box_cols()) {
                out.push('|');
                box_digits
                    .iter()
                    .for_each(|&digit| out.extend([' ', character(digit)]));
                out.push(' ');
            }
            out += "|\n";
        }
        out + &rule
    }
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
    fn six_has_boxes_of_two_rows() {
        let row = "| . . . | . . . |\n".repeat(2);
        let rule = "+-------+-------+\n";
        let expected = format!("{rule}{row}{rule}{row}{rule}{row}{rule}");
        assert_eq!(Board::blank(Geometry::Six).render(), expected);
    }
}
