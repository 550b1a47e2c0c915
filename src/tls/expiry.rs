//! When an operator is warned that a certificate expires.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::sync::Arc;

use super::certificate::Certificate;
use super::facts::date;
use super::fault::Warning;

/// Remembers what was warned of, so that a line is not repeated every hour.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWarnings {
    /// The last stage of each certificate, by its fingerprint.
    warned: HashMap<[u8; 32], i64>,
}

impl ExpiryWarnings {
    /// A sentence for each of `certificates` of which a warning is due at `now`, in seconds since 1970.
    pub(crate) fn due<'c>(
        &mut self,
        certificates: impl Iterator<Item = &'c Arc<Certificate>>,
        now: i64,
    ) -> Vec<String> {
        let mut warned = HashMap::new();
        let mut sentences = Vec::new();
        for certificate in certificates {
            let (expires_at, key) = (certificate.expires_at(), certificate.fingerprint());
            let Some(stage) = stage(expires_at, certificate.lifetime(), now) else { continue };
            if warned.insert(key, stage).is_none() && self.warned.get(&key) != Some(&stage) {
                sentences.push(sentence(certificate, now));
            }
        }
        // Those that are no longer in use are forgotten.
        self.warned = warned;
        sentences
    }
}

/// What an operator should know of the dates of `certificate` at `now`, in seconds since 1970.
pub(crate) fn date_remark(certificate: &Certificate, now: i64) -> Option<String> {
    if let Some(warning) = certificate.date_warning(now) {
        return Some(warning.to_string());
    }
    stage(certificate.expires_at(), certificate.lifetime(), now)?;
    Some(sentence(certificate, now))
}

/// What is said of a certificate that expires, or has expired.
fn sentence(certificate: &Certificate, now: i64) -> String {
    let name = certificate.name().to_owned();
    let expires_at = certificate.expires_at();
    if expires_at < now {
        return Warning::Expired { name, date: date(expires_at) }.to_string();
    }
    let left = match (expires_at - now) / DAY {
        0 => "in less than a day".to_owned(),
        1 => "in one day".to_owned(),
        days => format!("in {days} days"),
    };
    format!("the certificate of {name} expires {left}, on {}: renew it", date(expires_at))
}

/// Another one each time that a warning is due: at 30, 14 and 7 days, and then every day. `None` if there
/// is nothing to warn of. A certificate with a short life is renewed late, so that only the days count
/// that are less than a third of its life.
fn stage(expires_at: i64, lifetime: i64, now: i64) -> Option<i64> {
    let days_left = (expires_at - now).div_euclid(DAY);
    if days_left < 1 {
        return Some(days_left);
    }
    let is_late = |days: i64| days_left < days && days * 3 * DAY < lifetime;
    match () {
        () if is_late(7) => Some(days_left),
        () if is_late(14) => Some(14),
        () if is_late(30) => Some(30),
        () => None,
    }
}

/// In seconds.
const DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, Pki, certificate};
    use super::*;

    #[test]
    fn the_stages_are_30_14_and_7_days_and_then_every_day() {
        let check = |lifetime_days: i64, days_left: f64, expected: Option<i64>| {
            let left = (days_left * DAY as f64) as i64;
            assert_eq!(stage(NOW + left, lifetime_days * DAY, NOW), expected, "{days_left}");
        };
        check(365, 31.0, None);
        check(365, 29.9, Some(30));
        check(365, 14.5, Some(30));
        check(365, 13.5, Some(14));
        check(365, 6.5, Some(6));
        check(365, 5.5, Some(5));
        check(365, 0.5, Some(0));
        check(365, -0.5, Some(-1));
        check(365, -1.5, Some(-2));
        check(90, 29.0, None);
        check(90, 13.0, Some(14));
        check(6, 5.0, None);
        check(6, 0.5, Some(0));
    }

    #[test]
    fn what_expires_soon_has_expired_or_is_not_valid_yet_has_a_remark() {
        let certificate = certificate(&Pki::new().server(&["a.example"]));
        let end = certificate.expires_at();
        let check = |now: i64, expected: Option<&str>| {
            let said = date_remark(&certificate, now);
            assert_eq!(said.is_some(), expected.is_some(), "{said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()));
        };
        check(NOW, None);
        check(end - 31 * DAY, None);
        check(end - 20 * DAY - 60, Some("the certificate of a.example expires in 20 days"));
        check(end - 60, Some("in less than a day"));
        check(end + 60, Some("expired on 2096-01-01"));
        check(0, Some("is valid from 2026-01-01 only"));
    }

    #[test]
    fn each_stage_is_said_once() {
        let certificate = certificate(&Pki::new().server(&["a.example"]));
        let mut warnings = ExpiryWarnings::default();
        let mut at = |days_left: i64| {
            let now = certificate.expires_at() - days_left * DAY - 60;
            warnings.due([&certificate].into_iter(), now)
        };
        assert!(at(40).is_empty());
        assert_eq!(
            at(20),
            ["the certificate of a.example expires in 20 days, on 2096-01-01: renew it"]
        );
        assert!(at(20).is_empty() && at(15).is_empty());
        assert_eq!(at(10).len(), 1);
        assert_eq!(at(1).len(), 1);
        assert!(at(1).is_empty());
        let expired = at(-1);
        assert!(expired[0].contains("expired on 2096-01-01"), "{expired:?}");
    }
}
