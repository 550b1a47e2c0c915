//! The screen of `sockeye top`, as characters.
//!
//! Pure. Runs at start, at reload, or on a timer.

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Widget, Wrap};

use crate::admin::model::{EndCount, NodeGlance, Overview, PastReload};
use crate::admin::tables::duration;

/// What is shown.
#[derive(Debug)]
pub(super) struct Screen {
    overview: Overview,
    /// Why the numbers are old.
    failure: Option<String>,
    /// The nodes that were scrolled away.
    skipped: usize,
}

impl Screen {
    pub(super) fn new(overview: Overview) -> Self {
        Self { overview, failure: None, skipped: 0 }
    }

    /// Shows newer numbers.
    pub(super) fn set(&mut self, overview: Overview) {
        (self.overview, self.failure) = (overview, None);
        self.scroll(0);
    }

    /// The process does not answer.
    pub(super) fn set_failure(&mut self, failure: String) {
        self.failure = Some(failure);
    }

    /// Moves the list of nodes.
    pub(super) fn scroll(&mut self, rows: isize) {
        let last = self.overview.nodes.len().saturating_sub(1);
        self.skipped = self.skipped.saturating_add_signed(rows).min(last);
    }

    /// Draws everything into `area`.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let warnings = self.warnings();
        let warnings_height = (warnings.len() as u16).min(area.height / 5);
        let foot_height = if area.height >= 20 { 7 } else { 0 };
        let [head, sentence, figures, alarms, nodes, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(2),
            Constraint::Length(3),
            Constraint::Length(warnings_height),
            Constraint::Min(3),
            Constraint::Length(foot_height),
        ])
        .areas(area);
        self.draw_head(head, buffer);
        self.draw_sentence(sentence, buffer);
        Paragraph::new(self.figures()).render(figures, buffer);
        Paragraph::new(warnings).render(alarms, buffer);
        self.draw_nodes(nodes, buffer);
        let [ends, reloads] =
            Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)])
                .spacing(2)
                .areas(foot);
        draw_ends(&self.overview.ends, ends, buffer);
        draw_reloads(&self.overview.reloads, reloads, buffer);
    }

    fn draw_head(&self, area: Rect, buffer: &mut Buffer) {
        let process = &self.overview.process;
        let mut spans = vec![
            Span::styled("Sockeye", Style::new().add_modifier(Modifier::BOLD)),
            Span::styled(format!(" {}", printable(&process.version)), QUIET),
            Span::styled(format!("  up {}", duration(process.uptime_seconds)), QUIET),
        ];
        if let Some(memory) = process.memory_bytes {
            spans.push(Span::styled(format!("  {}", bytes(memory as f64)), QUIET));
        }
        if let Some(cpu) = process.cpu {
            spans.push(Span::styled(format!("  CPU {:.1} %", cpu * 100.0), QUIET));
        }
        Paragraph::new(Line::from(spans)).render(area, buffer);
        let state = match &self.failure {
            None => Span::styled("q quits", QUIET),
            Some(_) => Span::styled("no answer", colour(Color::Red)),
        };
        Paragraph::new(state).alignment(Alignment::Right).render(area, buffer);
    }

    fn draw_sentence(&self, area: Rect, buffer: &mut Buffer) {
        let (level, sentence) = match &self.failure {
            None => (&*self.overview.level, &self.overview.sentence),
            Some(failure) => ("bad", failure),
        };
        let (mark, mark_colour) = match level {
            "ok" => ("● ", Color::Green),
            "warn" => ("▲ ", Color::Yellow),
            _ => ("■ ", Color::Red),
        };
        let line = Line::from(vec![
            Span::styled(mark, colour(mark_colour)),
            Span::styled(printable(sentence), Style::new().add_modifier(Modifier::BOLD)),
        ]);
        Paragraph::new(line).wrap(Wrap { trim: true }).render(area, buffer);
    }

    fn figures(&self) -> Vec<Line<'static>> {
        let (sessions, rates) = (&self.overview.sessions, &self.overview.rates);
        let stuck = match sessions.stuck {
            0 => Style::new(),
            _ => colour(Color::Yellow),
        };
        let fact = |value: String, what: &str, style: Style| {
            [Span::styled(value, style.bold_value()), Span::styled(format!(" {what}  "), QUIET)]
        };
        let plain = Style::new();
        let mut open = vec![Span::styled("open      ", QUIET)];
        open.extend(fact(count(sessions.websocket), "WebSocket", plain));
        open.extend(fact(count(sessions.polling), "polling", plain));
        open.extend(fact(count(sessions.stuck), "stuck", stuck));
        open.extend(fact(count(rates.new_sessions_per_minute), "new/min", plain));
        open.extend(fact(count(rates.ends_per_minute), "ended/min", plain));
        let line = |side: &str, messages: f64, all: f64| {
            let mut spans = vec![Span::styled(format!("{side:10}"), QUIET)];
            spans.extend(fact(count(messages.round() as u64), "messages/s", plain));
            spans.extend(fact(bytes(all), "per second", plain));
            Line::from(spans)
        };
        let (clients, nodes) =
            (rates.messages_from_client_per_second, rates.messages_from_nodes_per_second);
        vec![
            Line::from(open),
            line("clients", clients, rates.bytes_from_clients_per_second),
            line("nodes", nodes, rates.bytes_from_nodes_per_second),
        ]
    }

    fn warnings(&self) -> Vec<Line<'static>> {
        let line = |text: &str, what_to_do: &str| {
            Line::from(vec![
                Span::styled("! ", colour(Color::Yellow)),
                Span::raw(printable(text)),
                Span::styled(format!("  {}", printable(what_to_do)), QUIET),
            ])
        };
        let warnings = &self.overview.warnings;
        warnings.iter().map(|advice| line(&advice.text, &advice.what_to_do)).collect()
    }

    fn draw_nodes(&self, area: Rect, buffer: &mut Buffer) {
        let titles = ["NODE", "STATE", "SESSIONS", "NEW/MIN", "LAG p50/p99"];
        let right = |text: String| Cell::new(Line::from(text).alignment(Alignment::Right));
        let header = titles.into_iter().enumerate().map(|(index, title)| match index {
            0 | 1 => Cell::new(title),
            _ => right(title.to_owned()),
        });
        let row = |node: &NodeGlance| {
            let state = Line::from(vec![
                Span::styled(printable(&node.state), state_style(&node.state)),
                Span::styled(format!(" {}", remark(node)), QUIET),
            ]);
            let lag = node.lag.as_ref().map_or_else(
                || "-".to_owned(),
                |lag| format!("{:.0}/{:.0} ms", lag.p50_ms, lag.p99_ms),
            );
            Row::new([
                Cell::new(printable(&format!("{}/{}", node.upstream, node.name))),
                Cell::new(state),
                right(count(node.sessions)),
                right(count(node.new_sessions_per_minute)),
                right(lag),
            ])
        };
        let nodes = &self.overview.nodes;
        let widest = nodes.iter().map(|node| node.upstream.len() + node.name.len() + 1).max();
        let name_width = (widest.unwrap_or(4) as u16).max(6).min(area.width / 3);
        let widths = [
            Constraint::Length(name_width),
            Constraint::Min(10),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(13),
        ];
        let rows = nodes.iter().skip(self.skipped).map(row);
        let header = Row::new(header).style(QUIET).top_margin(1);
        Widget::render(Table::new(rows, widths).header(header).column_spacing(2), area, buffer);
    }
}

/// The screen as lines of text.
pub(super) fn text(screen: &Screen, area: Rect) -> String {
    let mut buffer = Buffer::empty(area);
    screen.draw(area, &mut buffer);
    let line = |y: u16| {
        let cells = (0..area.width).filter_map(|x| Some(buffer.cell((x, y))?.symbol()));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    (0..area.height).map(line).collect()
}

fn draw_ends(ends: &[EndCount], area: Rect, buffer: &mut Buffer) {
    let mut lines = vec![title("ENDS", "1 min  15 min", area.width)];
    let line = |end: &EndCount| {
        let cause = end.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let what = printable(&format!("{}{cause} by {}", end.end, end.by)).replace('_', " ");
        let counts = format!("{:>5}  {:>6}", count(end.last_minute), count(end.last_15_minutes));
        between(&what, &counts, area.width)
    };
    lines.extend(ends.iter().map(line).map(Line::from));
    Paragraph::new(lines).render(area, buffer);
}

fn draw_reloads(reloads: &[PastReload], area: Rect, buffer: &mut Buffer) {
    let mut lines = vec![title("RELOADS", "", area.width)];
    for reload in reloads {
        let (word, style, what) = match &reload.failure {
            None => ("reloaded ", colour(Color::Green), reload.changes.join(", ")),
            Some(failure) => ("refused ", colour(Color::Red), failure.replace('\n', " ")),
        };
        lines.push(Line::from(vec![Span::styled(word, style), Span::raw(printable(&what))]));
    }
    Paragraph::new(lines).render(area, buffer);
}

fn title(left: &str, right: &str, width: u16) -> Line<'static> {
    Line::styled(between(left, right, width), QUIET)
}

/// Both, with spaces between; the left one is cut.
fn between(left: &str, right: &str, width: u16) -> String {
    let room = usize::from(width).saturating_sub(right.chars().count() + 1);
    let left: String = left.chars().take(room).collect();
    format!("{left:room$} {right}")
}

/// Why a node is in its state, or how far its drain is.
fn remark(node: &NodeGlance) -> String {
    let Some(draining) = &node.draining else {
        return printable(node.reason.as_deref().unwrap_or_default());
    };
    let seconds = |left: f64| duration(left.ceil() as u64);
    match (draining.empty, draining.closing_in_seconds, draining.given_up_in_seconds) {
        (true, ..) => "empty: it can be stopped".to_owned(),
        (false, closing, _) if closing > 0.0 => format!("closes in {}", seconds(closing)),
        (false, _, given_up) => format!("given up in {}", seconds(given_up)),
    }
}

fn state_style(state: &str) -> Style {
    match state {
        "up" | "starting" => colour(Color::Green),
        "draining" | "drained" => colour(Color::Blue),
        "full" => colour(Color::Yellow),
        _ => colour(Color::Red),
    }
}

fn colour(colour: Color) -> Style {
    Style::new().fg(colour)
}

trait BoldValue {
    fn bold_value(self) -> Style;
}

impl BoldValue for Style {
    fn bold_value(self) -> Style {
        self.add_modifier(Modifier::BOLD)
    }
}

/// Without characters that a terminal would interpret.
fn printable(text: &str) -> String {
    super::super::printable(text).replace('\n', " ")
}

fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn bytes(value: f64) -> String {
    let (mut value, mut unit) = (value, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let decimals = usize::from(value < 10.0 && unit > 0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::model::{Advice, Draining, OpenSessions, ProcessGlance, Rates};

    fn overview() -> Overview {
        let node = |name: &str, state: &str, sessions| NodeGlance {
            upstream: "chat".to_owned(),
            name: name.to_owned(),
            state: state.to_owned(),
            sessions,
            new_sessions_per_minute: 53,
            ..NodeGlance::default()
        };
        let reason = Some("it answered 503\u{1b}[2J".to_owned());
        let draining = Draining { closing_in_seconds: 12.5, ..Draining::default() };
        Overview {
            sentence: "1 of 3 nodes takes no new sessions.".to_owned(),
            level: "warn".to_owned(),
            process: ProcessGlance {
                version: "0.1.0".to_owned(),
                uptime_seconds: 93_784,
                memory_bytes: Some(91_300_000),
                cpu: Some(0.042),
                ..ProcessGlance::default()
            },
            sessions: OpenSessions { websocket: 4531, polling: 281, stuck: 12, stuck_cause: None },
            rates: Rates {
                new_sessions_per_minute: 212,
                ends_per_minute: 198,
                messages_from_client_per_second: 4211.4,
                bytes_from_nodes_per_second: 1_902_311.0,
                ..Rates::default()
            },
            ends: vec![EndCount {
                end: "client_left".to_owned(),
                by: "client".to_owned(),
                cause: None,
                last_minute: 92,
                last_15_minutes: 1380,
            }],
            nodes: vec![
                node("n1", "up", 1612),
                NodeGlance { reason, ..node("n2", "unhealthy", 820) },
                NodeGlance { draining: Some(draining), ..node("n3", "draining", 519) },
            ],
            reloads: vec![PastReload {
                ok: true,
                changes: vec!["+route */".to_owned()],
                ..PastReload::default()
            }],
            warnings: vec![Advice {
                text: "n2 is unhealthy".into(),
                what_to_do: "See its log.".into(),
            }],
            ..Overview::default()
        }
    }

    #[test]
    fn all_of_it_fits_into_80_by_24() {
        let shown = text(&Screen::new(overview()), Rect::new(0, 0, 80, 24));
        let expected = "\
Sockeye 0.1.0  up 1d2h  91 MB  CPU 4.2 %                                 q quits
▲ 1 of 3 nodes takes no new sessions.

open      4,531 WebSocket  281 polling  12 stuck  212 new/min  198 ended/min
clients   4,211 messages/s  0 B per second
nodes     0 messages/s  1.9 MB per second
! n2 is unhealthy  See its log.

NODE     STATE                                  SESSIONS  NEW/MIN    LAG p50/p99
chat/n1  up                                        1,612       53              -
chat/n2  unhealthy it answered 503\\u{1b}[2J          820       53              -
chat/n3  draining closes in 13s                      519       53              -
";
        assert!(shown.starts_with(expected), "{shown}");
        assert_eq!(shown.lines().count(), 24);
        let foot = "ENDS                      1 min  15 min  RELOADS\nclient left by client        92   1,380  reloaded +route */\n";
        assert!(shown.contains(foot), "{shown}");
    }

    #[test]
    fn any_size_can_be_drawn() {
        let mut screen = Screen::new(overview());
        screen.scroll(99);
        for (width, height) in [(1, 1), (20, 5), (40, 12), (300, 100), (80, 3)] {
            assert_eq!(
                text(&screen, Rect::new(0, 0, width, height)).lines().count(),
                usize::from(height)
            );
        }
        screen.set_failure("cannot connect".to_owned());
        assert!(text(&screen, Rect::new(0, 0, 80, 24)).contains("■ cannot connect"));
    }
}
