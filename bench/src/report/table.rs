//! The report as Markdown: one table of what is compared, one of rates and latencies. Pure.

use super::Report;
use super::summary::Summary;
use crate::compare::Peer;
use crate::scenario::{Figure, ROUTES, Scenario};

impl Report {
    /// Two tables, what their marks mean, and where the figures come from.
    pub(crate) fn markdown(&self) -> String {
        let peers: Vec<Peer> = self.versions.iter().map(|(peer, _)| *peer).collect();
        let mut lines = vec![
            "CPU time of the proxy for each unit of work, and its memory: medians, and half of the \
             distance between the rounds that lie farthest apart. Less is better."
                .to_owned(),
            String::new(),
        ];
        let proxies: Vec<Peer> =
            peers.iter().copied().filter(|peer| *peer != Peer::Direct).collect();
        let title =
            |scenario: Scenario| format!("{}, {}", scenario.name(), scenario.figure().unit());
        lines.extend(self.table(&proxies, &title, |_, summary| Some(figure_cell(summary))));
        lines.push(String::new());
        lines.push("Units each second; latency in µs, median and 99th percentile.".to_owned());
        lines.push(String::new());
        let title = |scenario: Scenario| scenario.name().to_owned();
        lines.extend(self.table(&peers, &title, |scenario, summary| match scenario.figure() {
            Figure::CpuPer(_) => Some(rate_cell(summary)),
            Figure::BytesPer(_) | Figure::Growth => None,
        }));
        lines.push(String::new());
        lines.extend(self.notes());
        lines.push(String::new());
        lines.join("\n")
    }

    /// A row for each scenario, a column for each of `peers`; a scenario without cells is left
    /// out.
    fn table(
        &self,
        peers: &[Peer],
        title: &dyn Fn(Scenario) -> String,
        cell: impl Fn(Scenario, &Summary) -> Option<String>,
    ) -> Vec<String> {
        let titles: Vec<&str> = peers.iter().map(|peer| peer.title()).collect();
        let mut lines = vec![
            format!("|  | {} |", titles.join(" | ")),
            format!("|---|{}", "---|".repeat(peers.len())),
        ];
        for scenario in self.scenarios() {
            let summaries = self.summaries(scenario);
            let cells: Vec<Option<String>> = peers
                .iter()
                .map(|peer| summaries.iter().find(|it| it.peer == *peer))
                .map(|summary| cell(scenario, summary?))
                .collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let cells: Vec<String> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
            lines.push(format!("| {} | {} |", title(scenario), cells.join(" | ")));
        }
        lines
    }

    fn notes(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let all: Vec<(Scenario, Summary)> = self
            .scenarios()
            .flat_map(|it| self.summaries(it).into_iter().map(move |summary| (it, summary)))
            .collect();
        if all.iter().any(|(_, it)| it.noisy_runs > 0) {
            lines.push("\\* Other processes disturbed some of the rounds.".to_owned());
        }
        if all.iter().any(|(_, it)| it.load_bound_runs > 0) {
            let advice =
                "† Load and nodes were the bottleneck: the rate is theirs, not the proxy's.";
            lines.push(advice.to_owned());
        }
        for (scenario, it) in &all {
            if let Some(error) = it.first_error.as_ref().filter(|_| !it.is_sound()) {
                let (name, title) = (scenario.name(), it.peer.title());
                let (errors, failed, runs) = (it.errors, it.failed_runs, it.runs);
                lines.push(format!(
                    "{name}, {title}: {errors} errors, {failed} of {runs} runs failed: {error}"
                ));
            }
        }
        let used: Vec<String> = all
            .iter()
            .filter(|(scenario, _)| *scenario == Scenario::Idle)
            .filter_map(|(_, it)| Some(format!("{} {}", it.peer.title(), number(it.used_bytes?))))
            .collect();
        if !used.is_empty() {
            let used = used.join(", ");
            lines.push(format!("Bytes for each tunnel once it has carried a message: {used}."));
        }
        let idle: Vec<String> = all
            .iter()
            .filter(|(scenario, _)| *scenario == Scenario::Routes)
            .filter_map(|(_, it)| Some((it.peer.title(), it.cores? * 100.0)))
            .map(|(title, percent)| format!("{title} {percent:.2} %"))
            .collect();
        if !idle.is_empty() {
            let (routes, idle) = (grouped(ROUTES as f64), idle.join(", "));
            lines.push(format!("Of a core, with {routes} routes and no request: {idle}."));
        }
        lines.push(self.origin());
        separated(lines)
    }

    fn origin(&self) -> String {
        let versions = self
            .versions
            .iter()
            .filter(|(peer, _)| matches!(peer, Peer::Sockeye | Peer::Nginx | Peer::Haproxy));
        let versions = versions.map(|(peer, version)| format!("{} {version}", peer.title()));
        let placement = if self.placement.is_pinned() {
            "the proxy alone on one core with one worker, load and nodes on the others"
        } else {
            "all on the same cores"
        };
        let (machine, rounds, seconds) = (&self.machine, self.rounds, self.seconds);
        format!(
            "{} cores of {}, Linux {}; {placement}; {rounds} interleaved rounds of {seconds} s. {}.",
            machine.cores,
            machine.processor,
            machine.kernel,
            versions.collect::<Vec<_>>().join(", ")
        )
    }
}

/// Struck out if anything went wrong.
fn figure_cell(summary: &Summary) -> String {
    let Some(figure) = summary.figure else { return "failed".to_owned() };
    let noisy = if summary.noisy_runs > 0 { " \\*" } else { "" };
    let mut text = number(figure.median);
    // What is about zero has no spread worth to be told.
    if summary.runs > 1 && figure.median.abs() >= 1.0 {
        text = format!("{text} ±{:.0} %", figure.spread * 50.0);
    }
    if summary.is_sound() { format!("{text}{noisy}") } else { format!("~~{text}~~") }
}

fn rate_cell(summary: &Summary) -> String {
    let (Some(rate), Some(p50), Some(p99)) = (summary.per_second, summary.p50, summary.p99) else {
        return "failed".to_owned();
    };
    let bound = if summary.load_bound_runs > 0 { " †" } else { "" };
    let text = format!("{}/s, {} / {}", number(rate), number(p50), number(p99));
    if summary.is_sound() { format!("{text}{bound}") } else { format!("~~{text}~~") }
}

/// Three digits and no more than are worth it.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

/// A whole number with commas between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Paragraphs of Markdown.
fn separated(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().flat_map(|line| [line, String::new()]).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::Measurement;
    use crate::machine::Machine;
    use crate::report::run::tests::measurement;
    use crate::report::{Placement, Run};

    /// Two proxies, two scenarios, two rounds.
    pub(in crate::report) fn report() -> Report {
        let mut runs = Vec::new();
        for (round, drift) in [(0, 0.0), (1, 0.002)] {
            for scenario in [Scenario::Echo64, Scenario::Idle] {
                for (peer, cost) in [(Peer::Relay, 0.019), (Peer::Sockeye, 0.020)] {
                    runs.push(Run::new(round, scenario, peer, Ok(measurement(cost + drift))));
                }
                let direct = Measurement { proxy: None, memory: None, ..measurement(0.0) };
                runs.push(Run::new(round, scenario, Peer::Direct, Ok(direct)));
            }
        }
        Report {
            machine: Machine { processor: "Abacus".into(), cores: 2, kernel: "6.1".into() },
            placement: Placement::new(&[0, 1], Some(0)).unwrap(),
            seconds: 1.0,
            rounds: 2,
            versions: [Peer::Direct, Peer::Relay, Peer::Sockeye]
                .map(|it| (it, "1.0".into()))
                .into(),
            runs,
        }
    }

    #[test]
    fn what_many_routes_cost_an_idle_proxy_is_told() {
        let mut report = report();
        let measured = Ok(measurement(0.003));
        report.runs.push(Run::new(0, Scenario::Routes, Peer::Sockeye, measured));
        has(&report, "Of a core, with 10,000 routes and no request: Sockeye 0.30 %.");
    }

    fn has(report: &Report, line: &str) {
        let text = report.markdown();
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }

    #[test]
    fn a_table_has_medians_and_spreads() {
        let report = report();
        has(&report, "|  | bare relay | Sockeye |");
        has(&report, "| echo64, µs/message | 20.0 ±5 % | 21.0 ±5 % |");
        has(&report, "| idle, B/tunnel | 20,000 ±5 % | 21,000 ±5 % |");
        has(&report, "|  | direct | bare relay | Sockeye |");
        let used = "Bytes for each tunnel once it has carried a message: bare relay 40,000, \
                    Sockeye 42,000.";
        has(&report, used);
    }

    #[test]
    fn what_went_wrong_is_struck_out_and_told() {
        let mut report = report();
        let run = report.runs.iter_mut().find(|run| run.peer == Peer::Sockeye).unwrap();
        let measurement = run.measurement.as_mut().unwrap();
        measurement.errors = 3;
        measurement.first_error = Some("closed too early".into());
        has(&report, "| echo64, µs/message | 20.0 ±5 % | ~~21.0 ±5 %~~ |");
        has(&report, "echo64, Sockeye: 3 errors, 0 of 2 runs failed: closed too early");
    }

    #[test]
    fn noise_and_a_busy_load_side_are_marked() {
        let mut report = report();
        let run = report.runs.iter_mut().find(|run| run.peer == Peer::Relay).unwrap();
        let measurement = run.measurement.as_mut().unwrap();
        measurement.foreign_seconds = 0.2;
        measurement.load.seconds = 0.9;
        has(&report, "| echo64, µs/message | 20.0 ±5 % \\* | 21.0 ±5 % |");
        let rates = "| echo64 | 1,000/s, 100 / 900 | 1,000/s, 100 / 900 † | \
                     1,000/s, 100 / 900 |";
        has(&report, rates);
    }

    #[test]
    fn numbers_have_three_digits_and_commas() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0.00");
        check(9.876, "9.88");
        check(98.76, "98.8");
        check(987.6, "988");
        check(9876.0, "9,876");
        check(1_234_567.0, "1,234,567");
        check(-2048.4, "-2,048");
    }
}
