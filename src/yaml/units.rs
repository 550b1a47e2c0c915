//! Durations and sizes as the operator writes them: `30s`, `1m30s`, `64KiB`.
//!
//! A number without a unit is refused: proxies differ in whether `10` means seconds or
//! milliseconds, and operators have been hurt by that.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::problem::Diagnostic;

/// The duration in `text`, if it is in `range`.
pub(crate) fn duration(
    text: &str,
    range: &RangeInclusive<Duration>,
) -> Result<Duration, Diagnostic> {
    let (least, most) = (render_duration(*range.start()), render_duration(*range.end()));
    let range_help = format!("write {least} to {most}");
    if let Some(number) = bare_number(text) {
        let fits = |text: &str| parse_duration(text).is_ok_and(|found| range.contains(&found));
        return Err(no_unit(number, &DURATION_UNIT_NAMES, fits, range_help));
    }
    let duration = parse_duration(text)?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let side = if duration < *range.start() { "short" } else { "long" };
    Err(Diagnostic::new(format!("is too {side}")).help(range_help))
}

/// The number of bytes in `text`, if it is in `range`.
pub(crate) fn size(text: &str, range: &RangeInclusive<u64>) -> Result<u64, Diagnostic> {
    let (least, most) = (render_size(*range.start()), render_size(*range.end()));
    let range_help = format!("write {least} to {most}");
    if let Some(number) = bare_number(text) {
        let fits = |text: &str| parse_size(text).is_ok_and(|found| range.contains(&found));
        return Err(no_unit(number, &SIZE_UNIT_NAMES, fits, range_help));
    }
    let bytes = parse_size(text)?;
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    let side = if bytes < *range.start() { "small" } else { "large" };
    Err(Diagnostic::new(format!("is too {side}")).help(range_help))
}

/// As [`size`], for sizes in memory.
pub(crate) fn size_in_memory(text: &str, range: &RangeInclusive<u64>) -> Result<usize, Diagnostic> {
    size(text, range).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// The whole number in `text`, if it is in `range`.
pub(crate) fn number(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Diagnostic> {
    let number = whole(text).filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        Diagnostic::new("is out of range")
            .help(format!("write a whole number from {least} to {most}"))
    })
}

/// The percentage in `text`, such as `10%`, if it is in `range`.
pub(crate) fn percent(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Diagnostic> {
    let digits = text.strip_suffix('%');
    let number = digits.and_then(whole);
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let fits = |text: &str| percent(text, range).is_ok();
        let range_help = format!("write {}% to {}%", range.start(), range.end());
        match bare_number(text) {
            Some(number) => no_unit(number, &[("%", "percent")], fits, range_help),
            None => Diagnostic::new("is not a percentage in range").help(range_help),
        }
    })
}

/// The value that `parse` reads from `text`, or `None` for `off`.
pub(crate) fn off_or<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Diagnostic>,
) -> Result<Option<T>, Diagnostic> {
    match text {
        "off" => Ok(None),
        text => refuse_other_off(text)
            .and_then(|()| parse(text).map_err(|diagnostic| diagnostic.or_write("off")))
            .map(Some),
    }
}

/// Refuses other words for `off`. YAML 1.1 reads it as `false`, and Helm and Ansible write that.
pub(crate) fn refuse_other_off(text: &str) -> Result<(), Diagnostic> {
    let is_off = ["false", "no", "n", "none", "never"].contains(&text.to_lowercase().as_str());
    match is_off {
        true => Err(Diagnostic::new("does not turn this off").help(OFF_HELP)),
        false => Ok(()),
    }
}

/// The number in `text`, digits only: `parse` would accept a sign too.
pub(crate) fn whole<N: FromStr>(text: &str) -> Option<N> {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// Whole numbers, each with its unit, the largest unit first.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Diagnostic> {
    let mut rest = text;
    let mut total_millis: u64 = 0;
    let mut last_unit_millis = u64::MAX;
    loop {
        let (number, after) = split_number(rest);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit_millis = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, m)| *m);
        let sum = number
            .parse::<u64>()
            .ok()
            .zip(unit_millis.filter(|millis| *millis < last_unit_millis))
            .and_then(|(number, millis)| number.checked_mul(millis)?.checked_add(total_millis));
        let Some(sum) = sum else { return Err(not_a_duration()) };
        if next.is_empty() {
            return Ok(Duration::from_millis(sum));
        }
        (rest, total_millis) = (next, sum);
        last_unit_millis = unit_millis.unwrap_or(0);
    }
}

pub(crate) fn parse_size(text: &str) -> Result<u64, Diagnostic> {
    let (number, unit) = split_number(text);
    let unit_bytes = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    number
        .parse::<u64>()
        .ok()
        .zip(unit_bytes)
        .and_then(|(number, bytes)| number.checked_mul(bytes))
        .ok_or_else(not_a_size)
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn not_a_duration() -> Diagnostic {
    Diagnostic::new("is not a duration")
        .help("write a whole number and its unit: 500ms, 30s, 10m, 1h or 1m30s")
}

fn not_a_size() -> Diagnostic {
    Diagnostic::new("is not a size")
        .help("write a whole number and its unit: 512B, 64KiB, 1MiB, 1GiB or 1MB")
}

/// The problem of a number without unit. Proposes the first of `units` with which it `fits`.
fn no_unit(
    number: &str,
    units: &[(&str, &str)],
    fits: impl Fn(&str) -> bool,
    range_help: String,
) -> Diagnostic {
    let with_unit = |(unit, name): &(&str, &str)| (format!("{number}{unit}"), name.to_string());
    let fitting = units.iter().map(with_unit).find(|(text, _)| fits(text));
    let help = fitting.map_or(range_help, |(text, name)| format!("write {text} for {name}"));
    Diagnostic::new("has no unit").help(help)
}

fn bare_number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() < 20 && text.bytes().all(|b| b.is_ascii_digit()))
        .then_some(text)
}

/// `duration` in the largest unit in which it is a whole number.
pub(crate) fn render_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, &DURATION_UNITS, "s")
}

/// `bytes` in the largest unit in which they are a whole number.
pub(crate) fn render_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS, "B")
}

/// `amount` in the first of `units` in which it is a whole number; zero in `unit_of_0`, because it
/// is a whole number in all of them.
fn show(amount: u64, units: &[(&str, u64)], unit_of_0: &str) -> String {
    units
        .iter()
        .find(|(_, unit)| amount >= *unit && amount.is_multiple_of(*unit))
        .map_or_else(|| format!("0{unit_of_0}"), |(name, unit)| format!("{}{name}", amount / unit))
}

const OFF_HELP: &str = "write off, or \"off\" in quotes if another tool writes the file";

/// What a number without unit may mean, the likeliest first.
const DURATION_UNIT_NAMES: [(&str, &str); 4] =
    [("s", "seconds"), ("ms", "milliseconds"), ("m", "minutes"), ("h", "hours")];
const SIZE_UNIT_NAMES: [(&str, &str); 3] =
    [("B", "bytes"), ("KiB", "units of 1024 bytes"), ("MiB", "units of 1024 KiB")];

/// Units in milliseconds, the largest first.
pub(crate) const DURATION_UNITS: [(&str, u64); 4] =
    [("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// Units in bytes, in the order in which [`show`] prefers them.
pub(crate) const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY_DURATION: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;
    const ANY_SIZE: RangeInclusive<u64> = 0..=u64::MAX;

    #[test]
    fn a_duration_is_numbers_with_units_the_largest_first() {
        let check = |text: &str, millis: u64| {
            assert_eq!(duration(text, &ANY_DURATION).unwrap(), Duration::from_millis(millis));
        };
        check("0s", 0);
        check("500ms", 500);
        check("30s", 30_000);
        check("10m", 600_000);
        check("1h", 3_600_000);
        check("1m30s", 90_000);
        check("1h1m1s1ms", 3_661_001);
    }

    #[test]
    fn an_invalid_duration_is_refused_with_a_hint() {
        let check = |text: &str, what: &str| {
            assert_eq!(duration(text, &ANY_DURATION).unwrap_err().what(), what, "{text:?}");
        };
        check("30", "has no unit");
        for text in ["", "s", "-1s", "1.5s", "30 s", "30S", "1d", "30s1m", "1s1s", "1s ", "1m30"] {
            check(text, "is not a duration");
        }
        check(&format!("{}h", u64::MAX), "is not a duration");
        check(&format!("{}ms1h", u64::MAX), "is not a duration");
        check(&"9".repeat(40), "is not a duration");
    }

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        let check = |text: &str, bytes: u64| assert_eq!(size(text, &ANY_SIZE).unwrap(), bytes);
        check("0B", 0);
        check("512B", 512);
        check("1KB", 1000);
        check("64KiB", 65_536);
        check("1MB", 1_000_000);
        check("1MiB", 1_048_576);
        check("2GiB", 2_147_483_648);
        check("1GB", 1_000_000_000);
    }

    #[test]
    fn an_invalid_size_is_refused_with_a_hint() {
        let check = |text: &str, what: &str| {
            assert_eq!(size(text, &ANY_SIZE).unwrap_err().what(), what, "{text:?}");
        };
        check("100", "has no unit");
        for text in ["", "B", "-1B", "1.5MiB", "1 MiB", "1m", "1M", "1mib", "1KiB1B"] {
            check(text, "is not a size");
        }
        check(&format!("{}GiB", u64::MAX), "is not a size");
    }

    #[test]
    fn a_problem_names_the_range_in_its_own_units() {
        let range = Duration::from_millis(100)..=Duration::from_secs(90);
        let check = |text: &str, help: Option<&str>| {
            assert_eq!(duration(text, &range).err().as_ref().and_then(Diagnostic::help_text), help);
        };
        check("99ms", Some("write 100ms to 90s"));
        check("100ms", None);
        check("90s", None);
        check("90s1ms", Some("write 100ms to 90s"));
        let diagnostic = size("3KiB", &(4096..=16 << 20)).unwrap_err();
        assert_eq!(diagnostic.help_text(), Some("write 4KiB to 16MiB"));
    }

    #[test]
    fn a_number_without_unit_gets_a_proposal_that_is_in_range() {
        let help = |diagnostic: Diagnostic| diagnostic.help_text().unwrap_or_default().to_owned();
        let check = |text: &str, expected: &str| {
            let range = Duration::from_millis(100)..=Duration::from_mins(1);
            assert_eq!(help(duration(text, &range).unwrap_err()), expected, "{text}");
        };
        check("10", "write 10s for seconds");
        check("3000", "write 3000ms for milliseconds");
        check("0", "write 100ms to 1m");
        check("600000", "write 100ms to 1m");
        let long = Duration::from_hours(1)..=Duration::from_hours(24);
        assert_eq!(help(duration("90", &long).unwrap_err()), "write 90m for minutes");
        let check = |text: &str, expected: &str| {
            assert_eq!(help(size(text, &(4096..=16 << 20)).unwrap_err()), expected, "{text}");
        };
        check("65536", "write 65536B for bytes");
        check("64", "write 64KiB for units of 1024 bytes");
        check("0", "write 4KiB to 16MiB");
        assert_eq!(help(percent("10", &(1..=100)).unwrap_err()), "write 10% for percent");
        assert_eq!(help(percent("0", &(1..=100)).unwrap_err()), "write 1% to 100%");
    }

    #[test]
    fn zero_has_a_unit_too() {
        assert_eq!(render_duration(Duration::ZERO), "0s");
        assert_eq!(render_size(0), "0B");
    }

    proptest! {
        #[test]
        fn a_rendered_configuration_reads_the_same(amount: u64) {
            let wanted = Duration::from_millis(amount);
            prop_assert_eq!(duration(&render_duration(wanted), &ANY_DURATION).unwrap(), wanted);
            prop_assert_eq!(size(&render_size(amount), &ANY_SIZE).unwrap(), amount);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (duration(&text, &ANY_DURATION), size(&text, &ANY_SIZE));
        }
    }
}
