//! The Grafana dashboard and the alert rules of `configs`: what they ask for exists in `/metrics`.

use std::collections::BTreeSet;

use serde_json::Value;
use sockeye::internal::metrics::{ALL, Metric};

const DASHBOARD: &str = include_str!("../../configs/grafana/dashboard.json");
const ALERTS: &str = include_str!("../../configs/prometheus/alerts.yaml");

/// Labels that Prometheus adds, and that of histograms' buckets.
const FOREIGN: [&str; 3] = ["instance", "job", "le"];

/// The metric of a series; a histogram has several.
fn metric(series: &str) -> Metric {
    let ends = ["", "_bucket", "_sum", "_count"];
    let named = |metric: &Metric| ends.iter().any(|end| format!("{}{end}", metric.name) == series);
    ALL.into_iter().find(named).unwrap_or_else(|| panic!("there is no metric {series}"))
}

/// The series in an expression of PromQL, each with the labels in its braces.
fn series(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("sockeye_") {
        let rest = &expression[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let braces = behind.strip_prefix('{').and_then(|braces| braces.split('}').next());
        let matchers = braces.unwrap_or_default().split(',').filter(|one| !one.is_empty());
        let labels = matchers.map(|matcher| {
            let end = matcher.find(['=', '!']).expect("a matcher compares");
            matcher[..end].trim().to_owned()
        });
        found.push((name.to_owned(), labels.collect()));
    }
    found
}

/// The labels in `by (…)`.
fn grouped_by(expression: &str) -> Vec<String> {
    let lists = expression.split("by (").skip(1).filter_map(|behind| behind.split(')').next());
    lists.flat_map(|list| list.split(',')).map(|label| label.trim().to_owned()).collect()
}

/// The labels that a text shows, between these two marks.
fn shown<'a>(text: &'a str, mark: &str, end: &str) -> Vec<&'a str> {
    text.split(mark).skip(1).filter_map(|behind| behind.split(end).next()).map(str::trim).collect()
}

/// Checks an expression, and the labels that its texts show.
fn check(expression: &str, texts: &[&str]) {
    let series = series(expression);
    assert!(!series.is_empty(), "{expression} asks for nothing of ours");
    let mut known: BTreeSet<&str> = FOREIGN.into();
    for (name, labels) in &series {
        let metric = metric(name);
        for label in labels {
            let is_known = FOREIGN.contains(&&**label) || metric.labels.contains(&&**label);
            assert!(is_known, "{name} has no label {label}: {expression}");
        }
        known.extend(metric.labels);
    }
    let groups = grouped_by(expression);
    for label in &groups {
        assert!(known.contains(&**label), "no metric has {label}: {expression}");
    }
    for label in texts {
        let is_left = groups.is_empty() || groups.iter().any(|group| group == label);
        assert!(known.contains(label) && is_left, "{label} is not in the result of {expression}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_exist() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut panels = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            check(expression, &shown(target["legendFormat"].as_str().unwrap(), "{{", "}}"));
            panels += 1;
        }
    }
    assert!(panels > 30, "{panels}");
    for list in ["annotations", "templating"] {
        for item in dashboard[list]["list"].as_array().unwrap() {
            for key in ["expr", "definition"] {
                let expression = item[key].as_str().unwrap_or_default();
                series(expression).iter().for_each(|(name, _)| _ = metric(name));
            }
        }
    }
}

#[test]
fn the_alert_rules_ask_for_metrics_and_labels_that_exist() {
    let rules: serde_yaml::Value = serde_yaml::from_str(ALERTS).unwrap();
    let rules = rules["groups"][0]["rules"].as_sequence().unwrap();
    assert!(rules.len() > 10, "{}", rules.len());
    for rule in rules {
        let text = |key: &str| rule["annotations"][key].as_str().unwrap_or_default();
        let labels = ["summary", "description"].map(|key| shown(text(key), "$labels.", " "));
        check(rule["expr"].as_str().unwrap(), &labels.concat());
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{rule:?}");
    }
}
