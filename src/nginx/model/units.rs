//! Times and sizes as nginx writes them.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

/// The time that `text` writes: `60`, `60s`, `1h30m`, `500ms`, `7d`.
pub fn time(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let units: [(&str, u64); 9] = [
            ("ms", 1),
            ("s", 1000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", DAY),
            ("w", 7 * DAY),
            ("M", 30 * DAY),
            ("y", 365 * DAY),
            ("", 1000),
        ];
        let (unit, millis) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        if unit.is_empty() && !rest.is_empty() && !rest.starts_with(' ') {
            return None;
        }
        total = total.checked_add(Duration::from_millis(amount.checked_mul(millis)?))?;
        rest = rest.get(unit.len()..)?.trim_start();
    }
    Some(total)
}

/// The size in bytes that `text` writes: `16k`, `10m`, `1g`, `1000`.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let amount: u64 = text.get(..digits)?.parse().ok()?;
    let factor = match text.get(digits..)? {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    amount.checked_mul(factor)
}

const DAY: u64 = 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_or_are_seconds() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(time(text), millis.map(Duration::from_millis), "{text}");
        };
        check("60", Some(60_000));
        check("86400", Some(86_400_000));
        check("7d", Some(7 * DAY));
        check("1h30m", Some(5_400_000));
        check("1h 30m", Some(5_400_000));
        check("500ms", Some(500));
        check("10m", Some(600_000));
        check("1M", Some(30 * DAY));
        for text in ["", "x", "10x", "-1", "s", "99999999999999999999", "99999999999999999y"] {
            check(text, None);
        }
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(size(text), expected, "{text}");
        check("0", Some(0));
        check("16k", Some(16 << 10));
        check("10M", Some(10 << 20));
        check("20g", Some(20 << 30));
        for text in ["", "m", "1x", "1mb", "99999999999g"] {
            check(text, None);
        }
    }
}
