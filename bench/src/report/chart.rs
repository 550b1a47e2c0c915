//! The report as a bar chart: one group for each scenario, with a scale of its own, for their
//! units differ. Pure.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Report;
use super::summary::Summary;
use super::table::number;
use crate::compare::Peer;
use crate::scenario::Scenario;

impl Report {
    /// An SVG picture. What had errors has no bar.
    pub(crate) fn chart(&self) -> String {
        let bars = |scenario| {
            let mut bars = self.summaries(scenario);
            bars.retain(|bar| bar.peer != Peer::Direct);
            (scenario, bars)
        };
        let groups: Vec<(Scenario, Vec<Summary>)> =
            self.scenarios().map(bars).filter(|(_, bars)| !bars.is_empty()).collect();
        let heights = groups.iter().map(|(_, bars)| TITLE_HEIGHT + BAR_PITCH * bars.len() as u32);
        let height = heights.clone().sum::<u32>().max(TITLE_HEIGHT);
        let mut picture = String::new();
        {
            let root = SVGBackend::with_string(&mut picture, (WIDTH, height)).into_drawing_area();
            root.fill(&WHITE).expect(WRITTEN);
            let mut rest = root;
            for ((scenario, bars), height) in groups.iter().zip(heights) {
                let (area, below) = rest.split_vertically(height);
                put_group(&area, *scenario, bars);
                rest = below;
            }
            rest.present().expect(WRITTEN);
        }
        picture
    }
}

fn put_group(area: &Area<'_>, scenario: Scenario, bars: &[Summary]) {
    let sound = |bar: &Summary| bar.figure.filter(|_| bar.is_sound()).map(|figure| figure.median);
    let longest = bars.iter().filter_map(sound).fold(f64::MIN_POSITIVE, f64::max);
    let title = format!("{}, {}", scenario.name(), scenario.figure().unit());
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15).into_font().style(FontStyle::Bold))
        .margin_left(NAMES_WIDTH)
        .margin_right(LABELS_WIDTH)
        .build_cartesian_2d(0.0..longest, 0.0..bars.len() as f64)
        .expect(WRITTEN);
    let font = || ("sans-serif", 13).into_font();
    for (place, bar) in bars.iter().enumerate() {
        let bottom = (bars.len() - 1 - place) as f64;
        let middle = bottom + TEXT_AT;
        let name = EmptyElement::at((0.0, middle))
            + Text::new(bar.peer.title(), (-(NAMES_WIDTH as i32), 0), font());
        chart.draw_series([name]).expect(WRITTEN);
        let (length, label) = match sound(bar) {
            Some(figure) => (figure.max(0.0), number(figure)),
            None => (0.0, "failed".to_owned()),
        };
        if sound(bar).is_some() {
            let corners = [(0.0, bottom + BAR_GAP), (length, bottom + 1.0 - BAR_GAP)];
            let rectangle = Rectangle::new(corners, color_of(bar.peer).filled());
            chart.draw_series([rectangle]).expect(WRITTEN);
        }
        let label = EmptyElement::at((length, middle)) + Text::new(label, (6, 0), font());
        chart.draw_series([label]).expect(WRITTEN);
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Ours stands out, the yardstick steps back.
fn color_of(peer: Peer) -> RGBColor {
    match peer {
        Peer::Sockeye => RGBColor(0xd1, 0x49, 0x5b),
        Peer::Direct | Peer::Relay => RGBColor(0xb8, 0xc0, 0xc8),
        Peer::Nginx | Peer::Haproxy => RGBColor(0x6e, 0x8c, 0xa8),
    }
}

/// Why no call fails.
const WRITTEN: &str = "a string takes what is written";

const WIDTH: u32 = 680;
const NAMES_WIDTH: u32 = 90;
/// Behind the longest bar.
const LABELS_WIDTH: u32 = 90;
const BAR_PITCH: u32 = 22;
const TITLE_HEIGHT: u32 = 34;
/// In parts of a bar's pitch.
const BAR_GAP: f64 = 0.1;
const TEXT_AT: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::tests::report;

    fn bars(chart: &str, color: &str) -> usize {
        chart.lines().filter(|line| line.contains("<rect") && line.contains(color)).count()
    }

    #[test]
    fn each_proxy_has_a_bar_in_each_group() {
        let chart = report().chart();
        assert_eq!(bars(&chart, "#D1495B"), 2, "{chart}");
        assert_eq!(bars(&chart, "#B8C0C8"), 2, "{chart}");
        assert!(chart.contains("echo64, µs/message") && chart.contains("20,000"), "{chart}");
        assert!(!chart.contains("direct") && !chart.contains("NaN"), "{chart}");
    }

    #[test]
    fn what_had_errors_has_no_bar() {
        let mut report = report();
        for run in report.runs.iter_mut().filter(|run| run.peer == Peer::Sockeye) {
            run.measurement.as_mut().unwrap().errors = 1;
        }
        let chart = report.chart();
        assert_eq!(bars(&chart, "#D1495B"), 0, "{chart}");
        assert_eq!(chart.matches("failed").count(), 2, "{chart}");
    }
}
