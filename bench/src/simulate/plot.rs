//! The course of two storms as an SVG picture: handshakes at the nodes above, clients back below.
//! Readable on light and dark pages. Pure.

use std::fmt::Write as _;

use super::storm::{Course, Second};

/// `off` and `on` with one time axis.
pub(super) fn plot(off: &Course, on: &Course, clients: u32) -> String {
    let seconds = off.seconds.len().max(on.seconds.len()).max(1);
    let most = |courses: [&Course; 2], of: fn(&Second) -> u32| {
        courses.iter().flat_map(|course| &course.seconds).map(of).max().unwrap_or(1).max(1)
    };
    let mut body = String::new();
    let rates = Panel {
        title: "Handshakes that arrive at the nodes, each second",
        top: 0.0,
        most: most([off, on], |second| second.at_nodes),
        seconds,
    };
    let back = Panel { title: "Clients that are back", top: PANEL, most: clients, seconds };
    rates.put(&mut body, [off, on], |second| second.at_nodes);
    back.put(&mut body, [off, on], |second| second.back);
    let height = 2.0 * PANEL + 24.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>A storm of reconnects, with admission off and on</title>\n\
         <style>{STYLE}</style>\n{body}\
         <text x=\"{LEFT}\" y=\"{legend}\" class=\"off\">admission off</text>\n\
         <text x=\"{on_at}\" y=\"{legend}\" class=\"on\">admission on</text>\n</svg>\n",
        legend = height - 6.0,
        on_at = LEFT + 120.0,
    )
}

/// One of the two diagrams.
struct Panel {
    title: &'static str,
    top: f64,
    most: u32,
    seconds: usize,
}

impl Panel {
    fn put(&self, body: &mut String, [off, on]: [&Course; 2], of: fn(&Second) -> u32) {
        let bottom = self.y(0);
        let right = WIDTH - RIGHT;
        put(
            body,
            format_args!(
                "<text class=\"title\" x=\"0\" y=\"{}\">{}</text>",
                self.top + 16.0,
                self.title
            ),
        );
        for (value, label) in [(0, "0".to_owned()), (self.most, thousands(self.most))] {
            let y = self.y(value);
            put(
                body,
                format_args!("<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"),
            );
            put(
                body,
                format_args!(
                    "<text class=\"number\" x=\"{}\" y=\"{:.1}\">{label}</text>",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        let step = self.seconds.div_ceil(6).next_multiple_of(5);
        for second in (0..=self.seconds).step_by(step) {
            put(
                body,
                format_args!(
                    "<text class=\"tick\" x=\"{:.1}\" y=\"{}\">{second} s</text>",
                    self.x(second),
                    bottom + 16.0
                ),
            );
        }
        for (class, course) in [("off", off), ("on", on)] {
            let at = |(second, it): (usize, &Second)| {
                format!("{:.1},{:.1}", self.x(second + 1), self.y(of(it)))
            };
            let begin = format!("{:.1},{:.1}", self.x(0), bottom);
            let points: Vec<String> =
                [begin].into_iter().chain(course.seconds.iter().enumerate().map(at)).collect();
            put(
                body,
                format_args!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")),
            );
        }
    }

    fn x(&self, second: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * second as f64 / self.seconds as f64
    }

    fn y(&self, value: u32) -> f64 {
        let height = PANEL - TITLE - TICKS;
        self.top + TITLE + height * (1.0 - f64::from(value) / f64::from(self.most))
    }
}

fn put(body: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(body, "{line}").expect("a string takes what is written");
}

/// 200000 as 200,000.
pub(super) fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}\
    .number{text-anchor:end}.tick{text-anchor:middle}line{stroke:#b8c0c8}\
    polyline{fill:none;stroke-width:2}polyline.off{stroke:#6e8ca8}polyline.on{stroke:#d1495b}\
    text.off{fill:#6e8ca8;font-weight:600}text.on{fill:#d1495b;font-weight:600}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}line{stroke:#57606a}}";

const WIDTH: f64 = 680.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 200.0;
const TITLE: f64 = 30.0;
const TICKS: f64 = 24.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_course_has_a_line_in_each_panel() {
        let second = |at_nodes, back| Second { at_nodes, back, ..Second::default() };
        let course = |seconds| Course { seconds, all_back_after: None };
        let off = course(vec![second(200, 0), second(100, 50)]);
        let on = course(vec![second(20, 20)]);
        let picture = plot(&off, &on, 100);
        assert_eq!(picture.matches("<polyline").count(), 4, "{picture}");
        // 200 of 200 is the top of the first panel, and 50 of 100 the middle of the second.
        assert!(picture.contains("365.0,30.0") && picture.contains("660.0,303.0"), "{picture}");
        assert!(!picture.contains("NaN"), "{picture}");
    }

    #[test]
    fn large_numbers_are_readable() {
        let check = |number, shown: &str| assert_eq!(thousands(number), shown);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(200_000, "200,000");
    }
}
