//! A bar chart of the ratios.

use std::fmt::Write as _;

use crate::report::Report;

const LEFT: f64 = 130.0;
const WIDTH: f64 = 460.0;
const BAR: f64 = 22.0;
const STEP: f64 = 32.0;
const TOP: f64 = 56.0;

/// One bar a row, on a logarithmic scale with "the same" in the middle.
pub fn svg(report: &Report) -> String {
    let rows = report.rows();
    let ratios: Vec<f64> = rows.iter().map(|row| row.ratio()).filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    let reach = ratios.iter().map(|ratio| ratio.log2().abs()).fold(1.0, f64::max).ceil();
    let x = |ratio: f64| LEFT + WIDTH * (ratio.log2() / reach + 1.0) / 2.0;
    let height = TOP + STEP * rows.len() as f64 + 30.0;
    let total = LEFT + WIDTH + 70.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">Proteus against QEMU: how many times better (medians)</text>\n"
    );
    let mut tick = -reach;
    while tick <= reach {
        let (at, bottom) = (x(tick.exp2()), height - 24.0);
        let stroke = if tick == 0.0 { "#333" } else { "#ddd" };
        let label = if tick < 0.0 { format!("1/{}", (-tick).exp2()) } else { format!("{}", tick.exp2()) };
        let _ = writeln!(text, "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" stroke=\"{stroke}\"/>", TOP - 14.0);
        let _ = writeln!(text, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{label}x</text>", bottom + 16.0);
        tick += 1.0;
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + STEP * index as f64;
        let ratio = row.ratio();
        let (from, to) = if ratio.is_finite() && ratio > 0.0 { (x(ratio.min(1.0)), x(ratio.max(1.0))) } else { (x(1.0), x(1.0)) };
        let colour = if ratio >= 1.0 { "#2a7d4f" } else { "#b5482e" };
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y + 15.0, row.name);
        let _ = writeln!(text, "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>", (to - from).max(1.0));
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\">{ratio:.2}x</text>", to + 5.0, y + 15.0);
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Run, Sample};

    #[test]
    fn better_goes_to_the_right_and_worse_to_the_left() {
        let mut report = Report::new("g", [String::new(), String::new()], Vec::new());
        for (side, value, wall) in [(0, 40.0, 2.0), (1, 10.0, 1.0)] {
            let samples = vec![Sample { case: "int", value, unit: "u".into(), wall, memory: 1, check: String::new() }];
            report.add(side, Run { samples, isolation: true });
        }
        let text = svg(&report);
        // The scale reaches to 4x: the middle is "the same", four times better is the right end.
        assert!(text.contains("<rect x=\"360.0\" y=\"56.0\" width=\"230.0\" height=\"22\" fill=\"#2a7d4f\"/>"), "{text}");
        assert!(text.contains("<rect x=\"245.0\" y=\"88.0\" width=\"115.0\" height=\"22\" fill=\"#b5482e\"/>"), "{text}");
    }
}
