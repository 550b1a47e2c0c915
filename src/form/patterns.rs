//! The values that the parser accepts, as regular expressions for the JSON Schema.
//!
//! They use only what every validator supports: no look-around, no named classes. A test compares
//! them with the parser. They do not express limits of lengths, the inner form of an IPv6 address,
//! and the sum of a duration with several units.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::ops::RangeInclusive;

/// The pattern of a text that is `form` from its beginning to its end.
pub(crate) fn whole(form: &str) -> String {
    format!("^({form})$")
}

/// An address to listen on: `0.0.0.0:80`, `:80`, `[::]:80`.
pub(crate) fn bind() -> String {
    format!("({IPV4}|{IPV6})?:{}", port(0))
}

/// The address of a server, which has a port.
pub(crate) fn server() -> String {
    format!("({IPV4}|{IPV6})?:{}", port(1))
}

/// A node's host and port, or the path of its Unix socket.
pub(crate) fn node() -> String {
    format!("({IPV6}|({IPV4}|{NAME})\\.?):{}|unix:(/[!-.0-~]+)+", port(1))
}

/// A host name, not an IP address, and a port.
pub(crate) fn named_node() -> String {
    format!("{NAME}\\.?:{}", port(1))
}

/// The host of a route.
pub(crate) fn host() -> String {
    format!("\\*|(\\*\\.)?({IPV4}|{NAME})|{IPV6}")
}

/// The name that a node is asked for.
pub(crate) fn server_name() -> String {
    format!("{IPV6}|({IPV4}|{NAME})\\.?")
}

/// A network, or an address.
pub(crate) fn network() -> String {
    let (prefix_v4, prefix_v6) = (number(0..=32), number(0..=128));
    format!("{IPV4}(/{prefix_v4})?|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/{prefix_v6})?")
}

/// A duration in `range`.
pub(crate) fn duration(units: &[(&str, u64)], range: RangeInclusive<u64>) -> String {
    let (least, most) = (*range.start(), *range.end());
    let mut forms: Vec<String> = of_one_unit(units, range);
    for (index, (unit, amount)) in units.iter().enumerate() {
        let smaller = units.get(index + 1..).unwrap_or_default();
        // The smaller units would exceed the limit.
        let first = (most / amount).saturating_sub(u64::from(most.is_multiple_of(*amount)));
        if smaller.is_empty() || first == 0 {
            continue;
        }
        let from = u64::from(least > *amount);
        let first = format!("0*{}{unit}", number(from..=first));
        for (index, (unit, _)) in smaller.iter().enumerate() {
            let behind = smaller.get(index + 1..).unwrap_or_default();
            let rest: String = behind.iter().map(|(unit, _)| format!("([0-9]+{unit})?")).collect();
            forms.push(format!("{first}[0-9]+{unit}{rest}"));
        }
    }
    forms.join("|")
}

/// A size in `range`.
pub(crate) fn size(units: &[(&str, u64)], range: RangeInclusive<u64>) -> String {
    of_one_unit(units, range).join("|")
}

/// The whole numbers in `range`, in digits; the caller adds leading zeros.
pub(crate) fn number(range: RangeInclusive<u64>) -> String {
    let (first, last) = range.into_inner();
    let mut forms = Vec::new();
    let mut from = first;
    while from <= last {
        let to = last_of_form(from, last);
        forms.push(digits(&from.to_string(), &to.to_string()));
        let Some(next) = to.checked_add(1) else { break };
        from = next;
    }
    format!("({})", forms.join("|"))
}

/// One expression for each unit, for the numbers with which the amount is in `range`.
fn of_one_unit(units: &[(&str, u64)], range: RangeInclusive<u64>) -> Vec<String> {
    let (least, most) = range.into_inner();
    let form = |(unit, amount): &(&str, u64)| {
        let (from, to) = (least.div_ceil(*amount), most / amount);
        (from <= to).then(|| format!("0*{}{unit}", number(from..=to)))
    };
    units.iter().filter_map(form).collect()
}

/// The largest number up to `last` for which one digit range for each digit describes all numbers from
/// `from` on.
fn last_of_form(from: u64, last: u64) -> u64 {
    let mut to = from;
    let mut power = 1_u64;
    // The digits of `from` below `power` are 0, so each of them can be 0 to 9.
    while from.is_multiple_of(power) && power <= from.max(1) {
        let digit = from / power % 10;
        let fits = |digit_to: &u64| {
            let more = (digit_to - digit).saturating_mul(power);
            from.saturating_add(more).saturating_add(power - 1) <= last
        };
        let Some(digit_to) = (digit..=9).rev().find(fits) else { break };
        to = from + (digit_to - digit) * power + (power - 1);
        let Some(next) = power.checked_mul(10) else { break };
        if digit_to < 9 {
            break;
        }
        power = next;
    }
    to
}

/// The numbers whose digits lie between those of `from` and `to`, which are equally long.
fn digits(from: &str, to: &str) -> String {
    let class = |(from, to): (char, char)| match (from, to) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("[{from}-{to}]"),
    };
    from.chars().zip(to.chars()).map(class).collect()
}

fn port(least: u64) -> String {
    format!("0*{}", number(least..=65_535))
}

/// RFC 6265, section 4.1.1: a token.
pub(crate) const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/// The name of a parameter in a query.
pub(crate) const QUERY_NAME: &str = "[!\"$%'()*+,./0-9:;<>@A-Z\\[\\\\\\]^_`a-z{|}~-]+";

/// The name of SRV records.
pub(crate) const SRV: &str = "[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*\\.?";

/// The path of a route.
pub(crate) const PATH: &str = "/[!$%&'()*+,./0-9:;=@A-Z_a-z|~-]*";

/// A segment of a path, behind other ones.
pub(crate) const PATH_KEY: &str =
    "/((\\*|[!$%&'()+,.0-9;=@A-Z\\[\\]^_`a-z|~-][!$%&'()+,.0-9:;=@A-Z\\[\\]^_`a-z|~-]*)/)*:key";

/// How the regular expression of a route begins.
pub(crate) const PATH_REGEX: &str = r"^(\(\?i\))?\^/";

/// The prefix of a path that is removed or added.
pub(crate) const PATH_PREFIX: &str = "(/[!$%&'()*+,.0-9:;=@A-Z_a-z|~-]+)+/?";

/// What the path of a route must not contain: dot segments.
pub(crate) const DOT_SEGMENTS: &str = "/\\.{1,2}(/|$)";

/// What a prefix must not contain: dot segments, and an asterisk at its end.
pub(crate) const NO_PREFIX: &str = "\\*$|/\\.{1,2}(/|$)";

/// The path of an Engine.IO health check, without query.
pub(crate) const CHECK_PATH: &str = "/[!\"$-<>=@-~]*";

/// The `Host` of an HTTP health check.
pub(crate) const CHECK_HOST: &str = r"[A-Za-z0-9._:\[\]-]{1,255}";

/// The path of an HTTP health check, with its query.
pub(crate) const CHECK_PATH_AND_QUERY: &str = "/[!\"$-~]*";

/// The URL of a server that is asked over TLS.
pub(crate) const HTTPS_URL: &str = r"https://[A-Za-z0-9._:\[\]-]+(/[!$-;=?-\[\]_a-z~]*)?";

/// An e-mail address.
pub(crate) const EMAIL: &str = "(mailto:)?[!-+.-?A-~-]+@[!-+.-?A-~-]+";

/// One status, or the first and the last.
pub(crate) const STATUSES: &str = "[1-5][0-9][0-9](-[1-5][0-9][0-9])?";

/// The name of a node or an upstream.
pub(crate) const WORD: &str = "[A-Za-z0-9_.:\\[\\]-]{1,64}";

/// A host name. Its last label is not a number: resolvers would read it as an IPv4 address.
pub(crate) const NAME: &str = "(([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\\.)*\
                    ([0-9]*[A-Za-z_]([A-Za-z0-9_-]*[A-Za-z0-9_])?|[0-9]+-[A-Za-z0-9_-]*[A-Za-z0-9_]))";

/// The SHA-256 of a certificate, as we write it or as openssl does.
pub(crate) const FINGERPRINT: &str =
    "((sha256|SHA256) Fingerprint=|sha256:)?([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}";

const IPV4: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\
                    (\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}";

const IPV6: &str = "\\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\\]";
