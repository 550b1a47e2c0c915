//! What the importer has to say of a directive: what was wrong with it, or what becomes of it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::tree::Position;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// With nginx it cannot load, loses a transport, or splits sessions.
    Breaks,
    /// With nginx it breaks under a condition.
    BreaksWhen,
    /// With nginx it works, and could be better.
    Hint,
    /// It is not in the new file: someone has to see to it.
    ByHand,
    /// It is in the new file, in another form or with another effect.
    Note,
    /// Sockeye needs nothing for it.
    NotNeeded,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// Its kind, a short name that stays the same in later versions.
    pub id: &'static str,
    /// The directive; `None` if it is the whole file.
    pub at: Option<Position>,
    /// What it is about: `fastcgi_pass 127.0.0.1:9000 is not carried over`.
    pub what: String,
    /// What people see of it, in their words; empty if it is nothing.
    pub symptom: String,
    /// Why Sockeye does not have it, or what to do.
    pub remedy: String,
}

impl Finding {
    /// A finding of this kind.
    pub fn new(
        level: Level,
        id: &'static str,
        at: Option<&Position>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, remedy) = (what.into(), remedy.into());
        Self { level, id, at: at.cloned(), what, symptom: String::new(), remedy }
    }

    /// The same with what people see of it.
    pub fn with_symptom(self, symptom: impl Into<String>) -> Self {
        Self { symptom: symptom.into(), ..self }
    }
}

impl Level {
    /// All levels with their titles, the most important first.
    pub const TITLES: [(Self, &'static str); 6] = [
        (Self::Breaks, "broken in nginx"),
        (Self::BreaksWhen, "breaks in nginx when"),
        (Self::ByHand, "to do by hand"),
        (Self::Hint, "could be better in nginx"),
        (Self::Note, "carried over with a difference"),
        (Self::NotNeeded, "not needed"),
    ];
}

/// All findings for people, grouped by level; those of one kind that say the same share an entry.
pub fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for (level, title) in Level::TITLES {
        let mut same: Vec<(&Finding, Vec<String>)> = Vec::new();
        let mut index = BTreeMap::new();
        for finding in findings.iter().filter(|finding| finding.level == level) {
            let key = (finding.id, &*finding.what, &*finding.symptom, &*finding.remedy);
            let entry = *index.entry(key).or_insert_with(|| {
                same.push((finding, Vec::new()));
                same.len() - 1
            });
            if let Some((_, places)) = same.get_mut(entry) {
                places.extend(finding.at.iter().map(ToString::to_string));
            }
        }
        if same.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{title}:");
        for (finding, places) in same {
            write_entry(finding, places, &mut text);
        }
    }
    text
}

fn write_entry(finding: &Finding, mut places: Vec<String>, text: &mut String) {
    places.dedup();
    let more = places.len().saturating_sub(PLACES_SHOWN_MAX);
    places.truncate(PLACES_SHOWN_MAX);
    let mut at = places.join(", ");
    if more > 0 {
        let _ = write!(at, " and {more} more");
    }
    let separator = if at.is_empty() { "" } else { ": " };
    // Writing to a String does not fail.
    let _ = writeln!(text, "  {at}{separator}{} [{}]", finding.what, finding.id);
    for line in [&finding.symptom, &finding.remedy] {
        if !line.is_empty() {
            let _ = writeln!(text, "      {line}");
        }
    }
}

/// All findings as one JSON array.
pub fn as_json(findings: &[Finding]) -> serde_json::Value {
    let item = |finding: &Finding| {
        serde_json::json!({
            "level": finding.level,
            "id": finding.id,
            "file": finding.at.as_ref().map(|at| &*at.file),
            "line": finding.at.as_ref().map(|at| at.line),
            "column": finding.at.as_ref().map(|at| at.column),
            "what": finding.what,
            "symptom": finding.symptom,
            "remedy": finding.remedy,
        })
    };
    findings.iter().map(item).collect()
}

/// How many places of the same finding are written out.
const PLACES_SHOWN_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Position {
        Position { file: "a.conf".into(), line, column: 2 }
    }

    #[test]
    fn findings_of_a_level_stand_together_and_the_same_ones_share_an_entry() {
        let note = |line| Finding::new(Level::Note, "n", Some(&at(line)), "it", "so");
        let by_hand = Finding::new(Level::ByHand, "h", None, "all", "do").with_symptom("seen");
        let findings = [note(3), by_hand, note(4), note(4)];
        let expected = "to do by hand:\n  all [h]\n      seen\n      do\n\
                        carried over with a difference:\n  a.conf:3, a.conf:4: it [n]\n      so\n";
        assert_eq!(as_text(&findings), expected);
        let many: Vec<Finding> = (1..=8).map(note).collect();
        assert!(as_text(&many).contains("a.conf:6 and 2 more: it"), "{}", as_text(&many));
    }

    #[test]
    fn programs_get_the_level_and_the_place() {
        let finding = Finding::new(Level::BreaksWhen, "b", Some(&at(7)), "w", "r");
        let expected = serde_json::json!([{
            "level": "breaks-when", "id": "b", "file": "a.conf", "line": 7, "column": 2,
            "what": "w", "symptom": "", "remedy": "r",
        }]);
        assert_eq!(as_json(&[finding]), expected);
    }
}
