//! Which coding a client accepts (RFC 9110, section 12.5.3).
//!
//! Pure. Runs for every request.

use std::cmp::Reverse;

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

    /// All, the one that makes texts shortest at the least cost first.
    pub(in crate::site) const PREFERRED: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What the name of a file in it ends with.
    pub(in crate::site) fn extension(self) -> &'static str {
        match self {
            Self::Br => ".br",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// The codings of `known` that a client with these fields accepts, those that it likes best first, and of
/// equals the first. None that it likes less than no coding at all.
pub(in crate::site) fn ranked(headers: &HeaderMap, known: &[Coding]) -> Vec<Coding> {
    let least = weight(headers, &["identity"]).unwrap_or(0).max(1);
    let of_all = weight(headers, &["*"]).unwrap_or(0);
    let weighed = known.iter().map(|coding| {
        let names: &[&str] = match coding {
            Coding::Br => &["br"],
            // RFC 9110, section 8.4.1.3.
            Coding::Gzip => &["gzip", "x-gzip"],
            Coding::Zstd => &["zstd"],
        };
        (weight(headers, names).unwrap_or(of_all), *coding)
    });
    let mut accepted: Vec<_> = weighed.filter(|(weight, _)| *weight >= least).collect();
    accepted.sort_by_key(|(weight, _)| Reverse(*weight));
    accepted.into_iter().map(|(_, coding)| coding).collect()
}

/// The weight of the first of `names` that is there, in thousandths; 0 is not acceptable.
fn weight(headers: &HeaderMap, names: &[&str]) -> Option<u16> {
    let values = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|member| {
        let (coding, parameters) = member.split_once(';').unwrap_or((member, ""));
        let is_meant = names.iter().any(|name| coding.trim().eq_ignore_ascii_case(name));
        is_meant.then(|| quality(parameters))
    })
}

/// The weight among the parameters of a member, in thousandths: `q=0.5` is 500, and none is 1000. What cannot
/// be read is not acceptable.
pub(in crate::site) fn quality(parameters: &str) -> u16 {
    let weights = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(value) = weights.into_iter().next() else { return 1000 };
    match value.parse::<f32>() {
        Ok(number) if (0.0..=1.0).contains(&number) => (number * 1000.0) as u16,
        Ok(_) | Err(_) => 0,
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
            let ranked = ranked(&headers, &[Zstd, Br, Gzip]);
            assert_eq!(ranked.first().copied(), expected, "{fields:?}");
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
        check(&["x-gzip"], Some(Gzip));
        check(&["identity;q=1, gzip;q=0.5"], None);
        check(&["identity;q=0.5, gzip;q=0.5"], Some(Gzip));
        check(&["identity;q=0, gzip;q=0.1"], Some(Gzip));
        check(&["identity, *;q=0.5"], None);
        check(&["br;q=0.8, gzip;q=0.9, identity;q=0.85"], Some(Gzip));
    }
}
