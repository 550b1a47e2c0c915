//! Which coding a client accepts (RFC 9110, section 12.5.3).
//!
//! Pure. Runs for every request.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How a response is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 7932.
    Br,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// All, by their names.
    pub(crate) const NAMED: [(&str, Self); 3] =
        [("br", Self::Br), ("gzip", Self::Gzip), ("zstd", Self::Zstd)];

    /// Its name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The coding of `known` that a client with these fields likes best; of equals the first.
pub(super) fn preferred(headers: &HeaderMap, known: &[Coding]) -> Option<Coding> {
    let mut best: Option<(u16, Coding)> = None;
    for coding in known {
        let weight = weight(headers, coding.name());
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, *coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// The weight of `name` in thousandths; 0 is not acceptable.
fn weight(headers: &HeaderMap, name: &str) -> u16 {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|it| it.to_str().ok());
    let mut of_all = 0;
    for member in values.flat_map(|value| value.split(',')) {
        let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
        let coding = coding.trim();
        if coding.eq_ignore_ascii_case(name) {
            return quality(parameters);
        }
        if coding == "*" {
            of_all = quality(parameters);
        }
    }
    of_all
}

/// `q=0.5` is 500. What cannot be read is not acceptable.
fn quality(parameters: &str) -> u16 {
    let text = parameters.trim();
    if text.is_empty() {
        return 1000;
    }
    let value = text.strip_prefix(['q', 'Q']).and_then(|rest| rest.trim_start().strip_prefix('='));
    let number = value.and_then(|value| value.trim().parse::<f32>().ok());
    match number {
        Some(number) if (0.0..=1.0).contains(&number) => (number * 1000.0) as u16,
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_chooses_and_we_break_a_tie() {
        use Coding::{Br, Gzip, Zstd};
        let check = |fields: &[&'static str], expected: Option<Coding>| {
            let mut headers = HeaderMap::new();
            for value in fields {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(preferred(&headers, &[Zstd, Br, Gzip]), expected, "{fields:?}");
        };
        check(&[], None);
        check(&[""], None);
        check(&["identity"], None);
        check(&["gzip, deflate, br, zstd"], Some(Zstd));
        check(&["gzip, deflate, br"], Some(Br));
        check(&["GZIP"], Some(Gzip));
        check(&["gzip;q=1.0, br;q=0.5"], Some(Gzip));
        check(&["gzip", "br ; q = 0.9"], Some(Gzip));
        check(&["*"], Some(Zstd));
        check(&["*;q=0"], None);
        check(&["zstd;q=0, *"], Some(Br));
        check(&["gzip;q=0"], None);
        check(&["gzip;q=much, br;q=NaN, zstd;q=2"], None);
        check(&["gzip;q=0.001"], Some(Gzip));
    }
}
