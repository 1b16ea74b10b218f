//! Writing SVG: axes, lines, bars. No colours that only some can tell apart, no script.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
/// Of the plotting area alone.
const HEIGHT: f64 = 260.0;
/// Okabe and Ito's palette, which colour-blind people can tell apart.
const COLOURS: [&str; 7] =
    ["#000000", "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00"];
/// More points than this in a line cannot be seen and only make the file large.
const MOST_POINTS: usize = 400;

/// One line of a plot.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) marks: &'a [f64],
    pub(super) points: &'a [(f64, f64)],
}

/// A plot of lines over seconds.
pub(super) struct Lines<'a> {
    pub(super) title: &'a str,
    pub(super) unit: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// One bar, with its spread.
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// Draws lines.
pub(super) fn lines(plot: &Lines<'_>) -> String {
    let points = || plot.lines.iter().flat_map(|line| line.points);
    let end_x = nice(points().map(|p| p.0).fold(0.0, f64::max));
    let end_y = nice(points().map(|p| p.1).fold(0.0, f64::max));
    let x = |value: f64| LEFT + value / end_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + HEIGHT - value / end_y * HEIGHT;
    let legend = 20.0 * plot.lines.len() as f64;
    let mut out = begin(TOP + HEIGHT + 50.0 + legend, plot.title);
    for step in 0..=4 {
        let (at_x, at_y) = (end_x * f64::from(step) / 4.0, end_y * f64::from(step) / 4.0);
        rule(&mut out, (LEFT, y(at_y)), (WIDTH - RIGHT, y(at_y)), "#ddd", "");
        text(&mut out, (LEFT - 6.0, y(at_y) + 4.0), "end", &short(at_y));
        text(&mut out, (x(at_x), TOP + HEIGHT + 18.0), "middle", &short(at_x));
    }
    text(&mut out, (LEFT - 6.0, TOP - 14.0), "end", plot.unit);
    text(&mut out, (WIDTH - RIGHT, TOP + HEIGHT + 34.0), "end", "seconds");
    for (n, line) in plot.lines.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        for &mark in line.marks {
            rule(&mut out, (x(mark), TOP), (x(mark), TOP + HEIGHT), colour, "4 3");
        }
        let every = line.points.len().div_ceil(MOST_POINTS).max(1);
        let mut path = String::new();
        for group in line.points.chunks(every) {
            // The highest of those that share a place: a pause must not vanish.
            let top = group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((at, value)) = top {
                write!(path, "{:.1},{:.1} ", x(at), y(value)).expect("a string takes it");
            }
        }
        writeln!(
            out,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{}"/>"#,
            path.trim_end()
        )
        .expect("a string takes it");
        let at = TOP + HEIGHT + 52.0 + 20.0 * n as f64;
        rule(&mut out, (LEFT, at - 4.0), (LEFT + 24.0, at - 4.0), colour, "");
        text(&mut out, (LEFT + 32.0, at), "start", line.name);
    }
    out + "</svg>\n"
}

/// Draws bars from left to right, with whiskers for the spread.
pub(super) fn bars(title: &str, bars: &[Bar<'_>]) -> String {
    const NAMES: f64 = 230.0;
    const STEP: f64 = 28.0;
    let end = nice(bars.iter().map(|bar| bar.most).fold(1.0, f64::max));
    let x = |value: f64| NAMES + value / end * (WIDTH - NAMES - 70.0);
    let height = TOP + STEP * bars.len() as f64;
    let mut out = begin(height + 20.0, title);
    for (n, bar) in bars.iter().enumerate() {
        let (at, colour) = (TOP + STEP * n as f64, COLOURS[n % COLOURS.len()]);
        let width = x(bar.value) - NAMES;
        writeln!(
            out,
            r#"<rect x="{NAMES}" y="{at:.1}" width="{width:.1}" height="18" fill="{colour}" fill-opacity="0.75"/>"#
        )
        .expect("a string takes it");
        rule(&mut out, (x(bar.least), at + 9.0), (x(bar.most), at + 9.0), "#444", "");
        text(&mut out, (NAMES - 8.0, at + 14.0), "end", bar.name);
        text(&mut out, (x(bar.most) + 6.0, at + 14.0), "start", &format!("{:.2}", bar.value));
    }
    rule(&mut out, (x(1.0), TOP - 6.0), (x(1.0), height), "#888", "4 3");
    out + "</svg>\n"
}

fn begin(height: f64, title: &str) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut out, (WIDTH / 2.0, 18.0), "middle", title);
    out
}

fn rule(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, dashes: &str) {
    writeln!(
        out,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-dasharray="{dashes}"/>"#,
        from.0, from.1, to.0, to.1
    )
    .expect("a string takes it");
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(out, r#"<text x="{:.1}" y="{:.1}" text-anchor="{anchor}">{words}</text>"#, at.0, at.1)
        .expect("a string takes it");
}

/// The end of an axis: the next of 1, 2, 4, 6, 8 times a power of ten.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(most.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|end| *end >= most).unwrap_or(most)
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_above_what_it_shows() {
        for (most, end) in [(0.0, 1.0), (0.9, 1.0), (1.1, 1.2), (73.0, 80.0), (1000.0, 1000.0)] {
            assert_eq!(nice(most), end, "{most}");
        }
    }

    #[test]
    fn a_pause_in_thousands_of_points_is_drawn() {
        let mut points: Vec<(f64, f64)> = (0..5000).map(|n| (f64::from(n), 1.0)).collect();
        points[2345].1 = 100.0;
        let line = Line { name: "a < b", marks: &[10.0], points: &points };
        let drawn = lines(&Lines { title: "t", unit: "ms", lines: vec![line] });
        assert!(drawn.contains(&format!(",{TOP:.1} ")), "the highest point is at the top");
        assert!(drawn.contains("a &lt; b"));
        assert!(drawn.len() < 40_000, "{}", drawn.len());
    }
}
