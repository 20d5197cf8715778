//! Which rows of A share a register tile.

use std::ops::Range;

/// The rows of A, cut into panels for a tile of `mr` rows: `tall` panels of `mr` rows, then some of one row fewer.
///
/// So 97 rows for a tile of 6 are 12 panels of 6 and 5 of 5, where 16 of 6 would leave one row to fill a tile of its
/// own. Below `mr (mr - 1)` rows there may be no such cut; then the last panel has what is left.
///
/// A range of whole panels is cut as it would be by itself, since fewer than `mr` panels are short.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    rows: usize,
    mr: usize,
    tall: usize,
}

impl Cut {
    #[inline(always)]
    pub fn new(rows: usize, mr: usize) -> Self {
        let panels = rows.div_ceil(mr);
        let missing = panels * mr - rows;
        let short = if missing <= panels { missing } else { 0 };
        let tall = panels - short;
        Cut { rows, mr, tall }
    }

    /// How many panels there are.
    #[inline(always)]
    pub fn panels(self) -> usize {
        self.rows.div_ceil(self.mr)
    }

    /// How many panels have all `mr` rows, or, the last of all, what is left.
    #[inline(always)]
    pub fn tall(self) -> usize {
        self.tall
    }

    /// The first row of a panel; all rows, for the one after the last.
    #[inline(always)]
    pub fn first_row(self, panel: usize) -> usize {
        let missing = panel.saturating_sub(self.tall);
        (panel * self.mr - missing).min(self.rows)
    }

    /// The panel that begins with row `row`.
    #[inline(always)]
    pub fn panel_at(row: usize, mr: usize) -> usize {
        row.div_ceil(mr)
    }

    /// The rows of a panel.
    #[inline(always)]
    pub fn rows(self, panel: usize) -> Range<usize> {
        self.first_row(panel)..self.first_row(panel + 1)
    }

    /// The rows of `panels` panels, of the next as many, and so on.
    #[inline(always)]
    pub fn blocks(self, panels: usize) -> impl Iterator<Item = Range<usize>> {
        let last = self.panels();
        (0..last)
            .step_by(panels)
            .map(move |first| self.first_row(first)..self.first_row(last.min(first + panels)))
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn panels_cover_all_rows_and_a_range_of_them_is_cut_alike() {
        for mr in [4, 6, 12, 14] {
            for rows in 1..=3 * mr * mr {
                let cut = Cut::new(rows, mr);
                let heights: Vec<_> = (0..cut.panels()).map(|i| cut.rows(i).len()).collect();
                assert_eq!(heights.iter().sum::<usize>(), rows);
                assert!(heights.iter().all(|&height| 0 < height && height <= mr));
                if rows >= mr * (mr - 1) {
                    assert!(heights.iter().all(|&height| height >= mr - 1));
                }
                for (first, height) in heights.iter().enumerate() {
                    assert_eq!(Cut::panel_at(cut.first_row(first), mr), first, "{height}");
                    let rest = Cut::new(rows - cut.first_row(first), mr);
                    let alone: Vec<_> = (0..rest.panels()).map(|i| rest.rows(i).len()).collect();
                    assert_eq!(alone, heights[first..], "{rows} rows from panel {first}");
                    let before = Cut::new(cut.first_row(first), mr);
                    let alone: Vec<_> =
                        (0..before.panels()).map(|i| before.rows(i).len()).collect();
                    assert_eq!(alone, heights[..first], "{rows} rows before panel {first}");
                }
            }
        }
    }
}
