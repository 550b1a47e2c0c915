//! The report as a bar chart: one group for each scenario, with a scale of its own, for their
//! units differ. Readable on light and dark pages. Pure.

use std::fmt::Write as _;

use super::Report;
use super::summary::Summary;
use super::table::number;
use crate::compare::Peer;
use crate::scenario::Scenario;

impl Report {
    /// An SVG picture. What had errors has no bar.
    pub(crate) fn chart(&self) -> String {
        let mut body = String::new();
        let mut top = 0;
        for scenario in self.scenarios() {
            let bars = self.summaries(scenario);
            let bars: Vec<&Summary> = bars.iter().filter(|it| it.peer != Peer::Direct).collect();
            if !bars.is_empty() {
                put_group(&mut body, scenario, &bars, top);
                top += TITLE_HEIGHT + BAR_PITCH * bars.len() + GROUP_GAP;
            }
        }
        let height = top.max(TITLE_HEIGHT);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
             <title>CPU time and memory of each proxy: less is better</title>\n\
             <style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

fn put_group(body: &mut String, scenario: Scenario, bars: &[&Summary], top: usize) {
    let sound = |bar: &Summary| bar.figure.filter(|_| bar.is_sound()).map(|figure| figure.median);
    let longest = bars.iter().filter_map(|bar| sound(bar)).fold(f64::MIN_POSITIVE, f64::max);
    let title_at = top + TITLE_HEIGHT - 8;
    let (name, unit) = (scenario.name(), scenario.figure().unit());
    put(body, format_args!("<text class=\"title\" x=\"0\" y=\"{title_at}\">{name}, {unit}</text>"));
    for (place, bar) in bars.iter().enumerate() {
        let bar_at = top + TITLE_HEIGHT + BAR_PITCH * place;
        let text_at = bar_at + 14;
        let title = bar.peer.title();
        put(body, format_args!("<text x=\"0\" y=\"{text_at}\">{title}</text>"));
        let Some(figure) = sound(bar) else {
            put(body, format_args!("<text x=\"{LEFT}\" y=\"{text_at}\">failed</text>"));
            continue;
        };
        let length = (figure.max(0.0) / longest * BAR_LENGTH_MAX).max(1.0);
        let class = class_of(bar.peer);
        put(
            body,
            format_args!(
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{bar_at}\" width=\"{length:.1}\" \
                 height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
            ),
        );
        let label_at = LEFT as f64 + length + 6.0;
        let label = number(figure);
        put(body, format_args!("<text x=\"{label_at:.1}\" y=\"{text_at}\">{label}</text>"));
    }
}

fn put(body: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(body, "{line}").expect("a string takes what is written");
}

/// Ours stands out, the yardstick steps back.
fn class_of(peer: Peer) -> &'static str {
    match peer {
        Peer::Sockeye => "ours",
        Peer::Direct | Peer::Relay => "yardstick",
        Peer::Nginx | Peer::Haproxy => "other",
    }
}

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}\
    .ours{fill:#d1495b}.other{fill:#6e8ca8}.yardstick{fill:#b8c0c8}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.yardstick{fill:#57606a}}";

const WIDTH: usize = 680;
/// Where bars begin, behind the names.
const LEFT: usize = 90;
const BAR_LENGTH_MAX: f64 = 500.0;
const BAR_HEIGHT: usize = 18;
const BAR_PITCH: usize = 22;
const TITLE_HEIGHT: usize = 28;
const GROUP_GAP: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::tests::report;

    #[test]
    fn a_bar_is_as_long_as_its_figure_in_its_group() {
        let chart = report().chart();
        assert_eq!(chart.matches("<rect").count(), 4, "{chart}");
        assert_eq!(chart.matches("width=\"500.0\"").count(), 2, "{chart}");
        assert_eq!(chart.matches("width=\"476.2\"").count(), 2, "{chart}");
        assert!(chart.contains(">echo64, µs/message<") && chart.contains(">20,000<"), "{chart}");
        assert!(!chart.contains("direct"), "{chart}");
    }

    #[test]
    fn what_had_errors_has_no_bar() {
        let mut report = report();
        for run in report.runs.iter_mut().filter(|run| run.peer == Peer::Sockeye) {
            run.measurement.as_mut().unwrap().errors = 1;
        }
        let chart = report.chart();
        assert_eq!(chart.matches("<rect").count(), 2, "{chart}");
        assert_eq!(chart.matches(">failed<").count(), 2, "{chart}");
    }

    #[test]
    fn every_tag_is_closed() {
        let chart = report().chart();
        for tag in ["svg", "title", "style", "text"] {
            let opened = chart.matches(&format!("<{tag}")).count();
            assert_eq!(opened, chart.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!chart.contains("NaN") && !chart.contains("inf"), "{chart}");
    }
}
