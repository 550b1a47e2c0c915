//! `traceparent`, by which the programs that handle a request know that it is the same one (W3C Trace
//! Context, level 1).
//!
//! Runs for every request.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::settings::Sample;

/// The trace that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    is_sampled: bool,
}

impl TraceContext {
    /// The trace of a request with these fields, and whether it begins here: without a valid one and with a
    /// `sample`, the fields get that of a new trace.
    pub(super) fn of_request(
        headers: &mut HeaderMap,
        sample: Option<Sample>,
    ) -> Option<(Self, bool)> {
        let mut values = headers.get_all(TRACEPARENT).into_iter();
        let known = match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            (Some(_) | None, _) => None,
        };
        if let Some(known) = known {
            return Some((known, false));
        }
        let new = Self::new(sample?.takes(fastrand::u32(..Sample::ALL)));
        // It belongs to the traceparent that was not valid (section 3.3).
        headers.remove(TRACESTATE);
        new.put(headers);
        Some((new, true))
    }

    /// The same trace with a new span.
    pub(super) fn child(self) -> Self {
        Self { parent_id: fastrand::u64(1..), ..self }
    }

    /// Gives the fields this trace.
    pub(super) fn put(self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.value());
    }

    /// The trace.
    pub(super) fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The span.
    pub(super) fn parent_id(self) -> u64 {
        self.parent_id
    }

    /// Whether its spans are kept.
    pub(super) fn is_sampled(self) -> bool {
        self.is_sampled
    }

    /// The trace in a field; `None` if it is not valid, as section 3.2 says.
    fn parse(value: &[u8]) -> Option<Self> {
        let (own, rest) = value.split_at_checked(LENGTH)?;
        let text = std::str::from_utf8(own).ok()?;
        let mut parts = text.split('-');
        let [version, trace_id, parent_id, flags] = [2, 32, 16, 2]
            .map(|digits| parts.next().filter(|part| part.len() == digits).and_then(hexadecimal));
        let is_whole = match version? {
            0 => rest.is_empty(),
            0xff => false,
            // Later versions may have more behind.
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let (trace_id, parent_id) = (trace_id?, u64::try_from(parent_id?).ok()?);
        let context = Self { trace_id, parent_id, is_sampled: flags? & 1 == 1 };
        (is_whole && parts.next().is_none() && trace_id != 0 && parent_id != 0).then_some(context)
    }

    /// A new trace.
    fn new(is_sampled: bool) -> Self {
        let (trace_id, parent_id) = (fastrand::u128(1..), fastrand::u64(1..));
        Self { trace_id, parent_id, is_sampled }
    }

    fn value(self) -> HeaderValue {
        let Self { trace_id, parent_id, is_sampled } = self;
        let text = format!("00-{trace_id:032x}-{parent_id:016x}-{:02x}", u8::from(is_sampled));
        HeaderValue::try_from(text).expect("digits and hyphens are valid in a field")
    }
}

/// The id of the trace.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.trace_id)
    }
}

/// Digits in lower case.
fn hexadecimal(text: &str) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.bytes().all(is_digit).then(|| u128::from_str_radix(text, 16).ok())?
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Of version 00.
const LENGTH: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        headers
    }

    #[test]
    fn a_valid_trace_is_passed_on_as_it_is() {
        for (value, is_sampled) in [
            (VALID, true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", true),
        ] {
            for sample in [None, Some(Sample::of_millionths(0))] {
                let mut fields = headers(&[value]);
                let (context, is_new) = TraceContext::of_request(&mut fields, sample).unwrap();
                assert!(!is_new);
                assert_eq!(context.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736", "{value}");
                assert_eq!(context.is_sampled, is_sampled, "{value}");
                assert_eq!(fields, headers(&[value]));
            }
        }
    }

    #[test]
    fn one_that_is_not_valid_is_replaced_if_traces_are_made() {
        let invalid = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473+-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6-00f067aa0ba902b7a3ce929d0e0e4736-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ];
        let lists = invalid.iter().map(|value| vec![*value]).chain([vec![], vec![VALID, VALID]]);
        for values in lists {
            let mut fields = headers(&values);
            assert_eq!(TraceContext::of_request(&mut fields, None), None, "{values:?}");
            assert_eq!(fields, headers(&values), "{values:?}");

            let all = Some(Sample::of_millionths(Sample::ALL));
            let (context, is_new) = TraceContext::of_request(&mut fields, all).unwrap();
            assert!(is_new && context.is_sampled && !fields.contains_key(TRACESTATE), "{values:?}");
            let again = TraceContext::of_request(&mut fields, None);
            assert_eq!(again, Some((context, false)), "what nodes get is valid");
        }
    }

    #[test]
    fn so_many_new_traces_are_sampled_as_configured() {
        let sampled = |millionths: u32| {
            let sample = Some(Sample::of_millionths(millionths));
            let one = |_| TraceContext::of_request(&mut HeaderMap::new(), sample).unwrap().0;
            (0..10_000).map(one).filter(|context| context.is_sampled).count()
        };
        assert_eq!(sampled(0), 0);
        assert_eq!(sampled(Sample::ALL), 10_000);
        assert!((2_000..3_000).contains(&sampled(250_000)));
    }
}
