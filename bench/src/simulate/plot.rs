//! The course of two storms as an SVG picture: handshakes at the nodes above, clients back below.
//! Pure.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::storm::{Course, Second};

/// `off` and `on` with one time axis.
pub(super) fn plot(off: &Course, on: &Course, clients: u32) -> String {
    let most = |of: fn(&Second) -> u32| {
        let seconds = [off, on].into_iter().flat_map(|course| &course.seconds);
        seconds.map(of).max().unwrap_or(1).max(1)
    };
    let at_nodes = |second: &Second| second.at_nodes;
    let back = |second: &Second| second.back;
    let mut picture = String::new();
    {
        let root = SVGBackend::with_string(&mut picture, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE).expect(WRITTEN);
        let (upper, lower) = root.split_vertically(HEIGHT / 2);
        let title = "Handshakes that arrive at the nodes, each second";
        put(&upper, (title, most(at_nodes)), [off, on], at_nodes);
        put(&lower, ("Clients that are back", clients), [off, on], back);
        root.present().expect(WRITTEN);
    }
    picture
}

/// One of the two diagrams.
fn put(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    (title, most): (&str, u32),
    courses: [&Course; 2],
    of: fn(&Second) -> u32,
) {
    let seconds = courses.iter().map(|course| course.seconds.len()).max().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15).into_font().style(FontStyle::Bold))
        .margin_right(20)
        .set_label_area_size(LabelAreaPosition::Left, 70)
        .set_label_area_size(LabelAreaPosition::Bottom, 24)
        .build_cartesian_2d(0..seconds as u32, 0..most)
        .expect(WRITTEN);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(7)
        .y_labels(3)
        .x_label_formatter(&|second| format!("{second} s"))
        .y_label_formatter(&|value| thousands(*value))
        .draw()
        .expect(WRITTEN);
    for (course, (label, color)) in courses.into_iter().zip(COURSES) {
        let points = (1..).zip(&course.seconds).map(|(at, second)| (at, of(second)));
        let line = LineSeries::new([(0, 0)].into_iter().chain(points), color.stroke_width(2));
        let drawn = chart.draw_series(line).expect(WRITTEN).label(label);
        drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::MiddleRight).background_style(WHITE);
    labels.draw().expect(WRITTEN);
}

const COURSES: [(&str, RGBColor); 2] =
    [("admission off", RGBColor(0x6e, 0x8c, 0xa8)), ("admission on", RGBColor(0xd1, 0x49, 0x5b))];

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

/// Why no call fails.
const WRITTEN: &str = "a string takes what is written";

const WIDTH: u32 = 680;
const HEIGHT: u32 = 440;

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
        for (_, RGBColor(red, green, blue)) in COURSES {
            let color = format!("stroke=\"#{red:02X}{green:02X}{blue:02X}\"");
            let lines = picture.lines().filter(|line| line.contains(&color));
            // One in each panel, and one next to its name in both legends.
            assert_eq!(lines.count(), 4, "{color} {picture}");
        }
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
