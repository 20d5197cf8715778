//! The picture: loss, cell accuracy and exact accuracy, against samples and against hours.

use super::Run;
use crate::experiment::Experiment;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::ComposedElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// A corner of a marker, seen from its middle.
type Corner = (i32, i32);

/// How a run is drawn: no two share a colour, and no two a marker.
pub(super) struct Look {
    colour: RGBColor,
    marker: &'static [Corner],
}

/// The colours of Okabe and Ito, which the colour-blind can tell apart, with grey instead of yellow.
pub(super) static LOOKS: [Look; 8] = [
    Look {
        colour: RGBColor(0, 114, 178),
        marker: &CIRCLE,
    },
    Look {
        colour: RGBColor(213, 94, 0),
        marker: &SQUARE,
    },
    Look {
        colour: RGBColor(0, 158, 115),
        marker: &UP,
    },
    Look {
        colour: RGBColor(204, 121, 167),
        marker: &DIAMOND,
    },
    Look {
        colour: RGBColor(0, 0, 0),
        marker: &CROSS,
    },
    Look {
        colour: RGBColor(230, 159, 0),
        marker: &DOWN,
    },
    Look {
        colour: RGBColor(86, 180, 233),
        marker: &STAR,
    },
    Look {
        colour: RGBColor(128, 128, 128),
        marker: &PLUS,
    },
];

#[rustfmt::skip]
const CIRCLE: [Corner; 16] = [
    (10, 0), (9, 4), (7, 7), (4, 9), (0, 10), (-4, 9), (-7, 7), (-9, 4),
    (-10, 0), (-9, -4), (-7, -7), (-4, -9), (0, -10), (4, -9), (7, -7), (9, -4),
];
const SQUARE: [Corner; 4] = [(-9, -9), (9, -9), (9, 9), (-9, 9)];
const UP: [Corner; 3] = [(0, -13), (12, 9), (-12, 9)];
const DOWN: [Corner; 3] = [(0, 13), (12, -9), (-12, -9)];
const DIAMOND: [Corner; 4] = [(0, -13), (11, 0), (0, 13), (-11, 0)];
#[rustfmt::skip]
const CROSS: [Corner; 12] = [
    (-5, 11), (0, 6), (5, 11), (11, 5), (6, 0), (11, -5),
    (5, -11), (0, -6), (-5, -11), (-11, -5), (-6, 0), (-11, 5),
];
#[rustfmt::skip]
const PLUS: [Corner; 12] = [
    (4, 12), (4, 4), (12, 4), (12, -4), (4, -4), (4, -12),
    (-4, -12), (-4, -4), (-12, -4), (-12, 4), (-4, 4), (-4, 12),
];
#[rustfmt::skip]
const STAR: [Corner; 10] = [
    (0, -15), (4, -5), (14, -5), (6, 2), (9, 12), (0, 6),
    (-9, 12), (-6, 2), (-14, -5), (-4, -5),
];

/// What a column of panels is drawn against.
struct Across {
    label: &'static str,
    training: fn(&Experiment) -> Vec<f64>,
    validation: fn(&Experiment) -> Vec<f64>,
    format: fn(f64) -> String,
}

const COLUMNS: [Across; 2] = [
    Across {
        label: "training samples",
        training: |run| run.curve.samples.iter().map(|&n| n as f64).collect(),
        validation: |run| run.validation.samples.iter().map(|&n| n as f64).collect(),
        format: thousands,
    },
    Across {
        label: "training time (hours)",
        training: |run| run.curve.hours.clone(),
        validation: |run| run.validation.hours.clone(),
        format: plain,
    },
];

/// What a row of panels shows.
struct Up {
    label: &'static str,
    training: fn(&Experiment) -> &[f64],
    validation: fn(&Experiment) -> &[f64],
    /// The highest value that there can be.
    top: Option<f64>,
}

const ROWS: [Up; 3] = [
    Up {
        label: "loss (nats a cell)",
        training: |run| &run.curve.loss,
        validation: |_| &[],
        top: None,
    },
    Up {
        label: "cell accuracy (share of cells)",
        training: |run| &run.curve.cell_accuracy,
        validation: |run| &run.validation.cell_accuracy,
        top: Some(1.0),
    },
    Up {
        label: "exact accuracy (share of boards)",
        training: |run| &run.curve.exact_accuracy,
        validation: |run| &run.validation.exact_accuracy,
        top: Some(1.0),
    },
];

// The picture is drawn in half pixels, because plotters knows whole coordinates alone.
const WIDTH: u32 = 2400;
const PANEL_HEIGHT: u32 = 680;
const LEGEND_TOP: i32 = 124;
const LEGEND_STEP: i32 = 50;
const LEGEND_COLUMNS: usize = 2;
const THIN: u32 = 2;
const THICK: u32 = 5;
/// Letters of a label that the legend has room for.
const LABEL_ROOM: usize = 56;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture as SVG; the same for the same runs.
pub(super) fn draw(runs: &[Run]) -> anyhow::Result<String> {
    let legend_rows = runs.len().div_ceil(LEGEND_COLUMNS) as i32;
    let header = LEGEND_TOP + LEGEND_STEP * (legend_rows + 1) - 15;
    let height = header as u32 + PANEL_HEIGHT * ROWS.len() as u32;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let (top, panels) = root.split_vertically(header);
        draw_header(&top, runs)?;
        let panels = panels.split_evenly((ROWS.len(), COLUMNS.len()));
        let kinds = ROWS
            .iter()
            .flat_map(|up| COLUMNS.iter().map(move |across| (across, up)));
        for (area, (across, up)) in panels.iter().zip(kinds) {
            draw_panel(area, runs, across, up)?;
        }
        root.present()?;
    }
    let size = |width, height| format!("width=\"{width}\" height=\"{height}\"");
    Ok(svg.replacen(
        &size(WIDTH, height),
        &size(WIDTH / 2, height.div_ceil(2)),
        1,
    ))
}

/// Black text of `size` whose middle, or left end, stands at a place.
fn text(size: i32, at: HPos) -> TextStyle<'static> {
    let style = ("sans-serif", size).into_font().color(&BLACK);
    style.pos(Pos::new(at, VPos::Center))
}

/// The title, and one legend for all panels.
fn draw_header(area: &Area<'_>, runs: &[Run]) -> anyhow::Result<()> {
    let (middle, bottom) = (WIDTH as i32 / 2, area.dim_in_pixel().1 as i32);
    let title = match runs {
        [run] => format!("Training of {}", cut(&run.label)),
        _ => format!("Training of {} runs", runs.len()),
    };
    area.draw_text(&title, &text(52, HPos::Center), (middle, 60))?;
    for (i, (run, look)) in runs.iter().zip(&LOOKS).enumerate() {
        let x = 60 + (i % LEGEND_COLUMNS) as i32 * WIDTH as i32 / LEGEND_COLUMNS as i32;
        let y = LEGEND_TOP + LEGEND_STEP * (i / LEGEND_COLUMNS) as i32;
        let held_out = !run.experiment.validation.samples.is_empty();
        let keys = [(x, THIN, false), (x + 110, THICK, true)];
        for (x, width, filled) in keys.into_iter().take(1 + usize::from(held_out)) {
            let line = vec![(x, y), (x + 90, y)];
            area.draw(&PathElement::new(line, look.colour.stroke_width(width)))?;
            area.draw(&marker((x + 45, y), look, filled))?;
        }
        area.draw_text(&cut(&run.label), &text(34, HPos::Left), (x + 220, y))?;
    }
    let key = "thin line, open markers: training, mean since the point before; \
               thick line, filled markers: held-out puzzles";
    let at = (middle, bottom - 35);
    area.draw_text(key, &text(30, HPos::Center), at)?;
    Ok(())
}

/// As much of a label as the legend has room for; letters outside ASCII may be twice as wide.
fn cut(label: &str) -> String {
    let mut room = LABEL_ROOM;
    let mut fits = |c: char| {
        let left = room.checked_sub(if c.is_ascii() { 1 } else { 2 });
        room = left.unwrap_or(0);
        left.is_some()
    };
    let short: String = label.chars().take_while(|&c| fits(c)).collect();
    match short.len() == label.len() {
        true => short,
        false => short + "\u{2026}",
    }
}

/// The marker of a run at a point: filled with its colour, or open.
fn marker<C, DB: DrawingBackend>(
    at: C,
    look: &Look,
    filled: bool,
) -> ComposedElement<C, DB, Polygon<Corner>, PathElement<Corner>> {
    let fill = if filled { look.colour } else { WHITE };
    let corners = look.marker.to_vec();
    let outline: Vec<_> = corners.iter().chain(&corners[..1]).copied().collect();
    EmptyElement::at(at)
        + Polygon::new(corners, fill)
        + PathElement::new(outline, look.colour.stroke_width(THIN))
}

/// One panel: axes, then every run's training, then every run's held-out puzzles above.
fn draw_panel(area: &Area<'_>, runs: &[Run], across: &Across, up: &Up) -> anyhow::Result<()> {
    let experiments = || runs.iter().map(|run| &run.experiment);
    let training = experiments().map(|run| points((across.training)(run), (up.training)(run)));
    let training: Vec<_> = training.collect();
    let held_out = experiments().map(|run| points((across.validation)(run), (up.validation)(run)));
    let held_out: Vec<_> = held_out.collect();
    let all = || training.iter().chain(&held_out).flatten();
    let right = end(all().map(|p| p.0));
    let top = end(all().map(|p| p.1).chain(up.top));
    // A bit below 0, so that markers there do not cover the labels of the axis.
    let bottom = all().map(|p| p.1).fold(-0.03 * top, f64::min);

    let mut chart = ChartBuilder::on(area)
        .margin(24)
        .margin_right(60)
        .x_label_area_size(86)
        .y_label_area_size(130)
        .build_cartesian_2d(Scale(0.0..right), Scale(bottom..top))?;
    chart
        .configure_mesh()
        .x_desc(across.label)
        .y_desc(up.label)
        .x_label_formatter(&|&x| (across.format)(x))
        .y_label_formatter(&|&y| plain(y))
        .label_style(("sans-serif", 30))
        .axis_desc_style(("sans-serif", 34))
        .axis_style(BLACK.stroke_width(THIN))
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (i, (points, look)) in training.iter().zip(&LOOKS).enumerate() {
        let style = look.colour.mix(0.8).stroke_width(THIN);
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        // Each run begins a bit later than the one before: markers of like curves do not hide each other.
        let apart = right / 6.0;
        let first = apart * (i as f64 + 0.5) / LOOKS.len() as f64;
        let marked = spaced(points, first, apart);
        chart.draw_series(marked.map(|at| marker(at, look, false)))?;
    }
    for (points, look) in held_out.iter().zip(&LOOKS) {
        let style = look.colour.stroke_width(THICK);
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        let marked = spaced(points, 0.0, right / 40.0);
        chart.draw_series(marked.map(|at| marker(at, look, true)))?;
    }
    Ok(())
}

fn points(across: Vec<f64>, up: &[f64]) -> Vec<(f64, f64)> {
    across.into_iter().zip(up.iter().copied()).collect()
}

/// Where an axis ends whose greatest value is that of `values`.
fn end(values: impl Iterator<Item = f64>) -> f64 {
    match values.fold(0.0, f64::max) {
        0.0 => 1.0,
        most => (1.03 * most).min(f64::MAX),
    }
}

/// An axis with few, round ticks: finding its own, plotters may not come to an end where values are extreme.
struct Scale(Range<f64>);

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.0.start) / (self.0.end - self.0.start);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        ticks(self.0.start, self.0.end)
    }

    fn range(&self) -> Range<f64> {
        self.0.clone()
    }
}

/// Round numbers from `from` to `to`, seven at most.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let least = (to - from) / 6.0;
    let scale = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|step| step * scale);
    let step = steps.into_iter().find(|&step| step >= least);
    let step = step.unwrap_or(10.0 * scale);
    let first = (from / step).ceil();
    let ticks = (0..7).map(|i| (first + f64::from(i)) * step + 0.0); // + 0.0: no -0
    let last = to + 1e-9 * step; // for what rounding adds
    ticks.take_while(|&tick| tick <= last).collect()
}

/// Points that lie at least `apart` from each other, from `first` on; the last point when none lies there.
fn spaced(points: &[(f64, f64)], first: f64, apart: f64) -> impl Iterator<Item = (f64, f64)> {
    let mut next = first;
    let mut chosen: Vec<_> = points
        .iter()
        .copied()
        .filter(|&(x, _)| {
            let far = x >= next;
            next = if far { x + apart } else { next };
            far
        })
        .collect();
    if chosen.is_empty() {
        chosen.extend(points.last());
    }
    chosen.into_iter()
}

/// `120000` as `120 k`.
fn thousands(n: f64) -> String {
    match n {
        1e6.. => format!("{} M", plain(n / 1e6)),
        1e3.. => format!("{} k", plain(n / 1e3)),
        _ => plain(n),
    }
}

/// A number without the noise of its last digits.
fn plain(x: f64) -> String {
    let text = format!("{x:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Curve, Validation};
    use crate::report::label;
    use std::path::PathBuf;

    /// A run with these points of training and, at some of them, held-out puzzles.
    fn run(label: &str, training: usize, every: usize) -> Run {
        let xs = |every| (1..=training).filter(move |i| i % every == 0);
        let samples = |every| xs(every).map(|i| 1600 * i as u64).collect();
        let hours = |every| xs(every).map(|i| 0.004 * i as f64).collect();
        let share = |every| xs(every).map(|i| i as f64 / training as f64).collect();
        let experiment = Experiment {
            name: label.to_owned(),
            verdict: String::new(),
            seed: 0,
            threads: 1,
            machine: String::new(),
            parameters: 1,
            training_puzzles: 1,
            samples: 1600 * training as u64,
            hours: 0.004 * training as f64,
            best_exact_accuracy: None,
            curve: Curve {
                samples: samples(1),
                hours: hours(1),
                loss: xs(1).map(|i| 2.0 / i as f64).collect(),
                cell_accuracy: share(1),
                exact_accuracy: share(1),
            },
            validation: Validation {
                samples: samples(every),
                hours: hours(every),
                cell_accuracy: share(every),
                exact_accuracy: share(every),
            },
            config: toml::Table::new(),
        };
        let label = label.to_owned();
        Run {
            label,
            experiment,
            file: "experiment.toml".into(),
        }
    }

    #[test]
    fn any_number_of_points_is_drawn() {
        for points in [0, 1, 2, 300] {
            for every in [1, 7, 1000] {
                let picture = draw(&[run("one", points, every)]).expect("a picture");
                assert!(picture.ends_with("</svg>\n"), "{points}, {every}");
                let filled = picture.matches("fill=\"#0072B2\"").count();
                // One in the legend, the others in the four panels of accuracies.
                let expected = 5 * (points / every).min(1);
                assert!(filled >= expected, "{points}, {every}: {filled} markers");
            }
        }
    }

    #[test]
    fn extreme_values_are_drawn() {
        let mut extreme = run("extreme", 2, 1);
        extreme.experiment.curve.loss = vec![f64::MAX, -1e300];
        extreme.experiment.curve.hours = vec![0.0, 1e-300];
        extreme.experiment.curve.samples = vec![0, i64::MAX as u64];
        draw(&[extreme]).expect("a picture");
        let mut still = run("still", 1, 1);
        still.experiment.curve.loss = vec![0.0];
        still.experiment.curve.hours = vec![0.0];
        still.experiment.curve.samples = vec![0];
        draw(&[still]).expect("a picture");
    }

    #[test]
    fn runs_of_one_name_are_told_apart_by_their_files() {
        let experiments =
            ["a", "b", "a", "", "c\u{1b}\n\"&"].map(|name| run(name, 1, 1).experiment);
        let files = ["1", "2", "3", "4", "5"].map(PathBuf::from);
        let runs = label(experiments.to_vec(), files.to_vec());
        let labels: Vec<_> = runs.iter().map(|run| &*run.label).collect();
        assert_eq!(labels, ["a (1)", "b", "a (3)", "(4)", "c\u{fffd} \"&"]);
        let picture = draw(&runs).expect("a picture");
        assert!(picture.contains("c\u{fffd} &quot;&amp;"));
    }

    #[test]
    fn looks_differ() {
        for (i, look) in LOOKS.iter().enumerate() {
            for other in &LOOKS[..i] {
                assert_ne!(look.colour, other.colour);
                assert_ne!(look.marker, other.marker);
            }
        }
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(56)).chars().count(), 56);
        assert_eq!(cut(&"x".repeat(57)), "x".repeat(56) + "\u{2026}");
        assert_eq!(
            cut(&"\u{6570}".repeat(40)),
            "\u{6570}".repeat(28) + "\u{2026}"
        );
    }

    #[test]
    fn axes_are_labelled_for_people() {
        let labels = |from, to| ticks(from, to).into_iter().map(plain).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(0.0, 2.26), ["0", "0.5", "1", "1.5", "2"]);
        assert_eq!(labels(-0.03, 0.3), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(labels(-3.0, 3.0), ["-3", "-2", "-1", "0", "1", "2", "3"]);
        assert_eq!(ticks(-1e308, f64::MAX).len(), 0);
        assert!(ticks(0.0, f64::MIN_POSITIVE).len() <= 7);
        let labels = [0.0, 900.0, 1600.0, 120e3, 2.5e6].map(thousands);
        assert_eq!(labels, ["0", "900", "1.6 k", "120 k", "2.5 M"]);
        assert_eq!([0.30000000000000004, 2.0].map(plain), ["0.3", "2"]);
    }

    #[test]
    fn markers_keep_apart() {
        let points: Vec<_> = (0..10).map(|i| (f64::from(i), 0.0)).collect();
        let chosen = |first, apart| {
            let chosen = spaced(&points, first, apart);
            chosen.map(|(x, _)| x as i32).collect::<Vec<_>>()
        };
        assert_eq!(chosen(0.0, 4.0), [0, 4, 8]);
        assert_eq!(chosen(2.5, 5.0), [3, 8]);
        assert_eq!(chosen(99.0, 1.0), [9]);
        assert_eq!(spaced(&[], 0.0, 1.0).count(), 0);
    }
}
