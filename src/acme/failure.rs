//! What went wrong with an order, in words, and what an operator can do about it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::io;
use std::path::Path;
use std::time::Duration;

use instant_acme::{Error, Problem};

use super::retry::Cause;
use super::settings::ChallengeKind;
use crate::logging::error_chain;

/// Why an order failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// Whether the orders of other names would fail in the same way.
    pub(super) concerns_all: bool,
    /// What went wrong.
    pub(super) what: String,
    /// What to do about it.
    pub(super) advice: String,
    /// How long the authority wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of one name.
    pub(super) fn new(cause: Cause, what: impl Into<String>, advice: impl Into<String>) -> Self {
        let (what, advice) = (what.into(), advice.into());
        Self { cause, concerns_all: false, what, advice, retry_after: None }
    }

    /// The store does not work.
    pub(super) fn of_store(path: &Path, error: &io::Error) -> Self {
        let what = format!("{}: {error}", path.display());
        let advice = "make acme.store a directory that the user of this process can write to";
        Self::new(Cause::Local, what, advice).of_all()
    }

    /// The authority's answer to a request; `account` is the file of the account.
    pub(super) fn of_request(error: &Error, account: &Path) -> Self {
        // A name that is not ours is a verdict on its challenge, and not on a request.
        if let Some("unauthorized") = problem_of(error).and_then(kind) {
            let advice = format!(
                "the account is deactivated or was refused: ask the authority, or move {} away to \
                 register a new one",
                account.display()
            );
            return Self::new(Cause::Refused, error.to_string(), advice).of_all();
        }
        Self::of_order(error)
    }

    /// What the authority says of an order.
    pub(super) fn of_order(error: &Error) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(problem),
            Error::Timeout(_) => Self::new(
                Cause::Unreachable,
                "the authority did not decide in time",
                "nothing: it is asked again",
            ),
            other => Self::unreachable(other),
        }
    }

    /// The authority's verdict on a challenge.
    pub(super) fn of_challenge(problem: &Problem, name: &str, challenge: ChallengeKind) -> Self {
        let port = challenge.port();
        let advice = match (kind(problem), challenge) {
            (Some("dns"), _) => format!("give {name} an address record that leads to this proxy"),
            (Some("caa"), _) => format!("allow this authority in the CAA record of {name}"),
            (Some("connection"), _) => format!(
                "let port {port} of {name} be reached from the internet, and lead to a listener of \
                 this proxy"
            ),
            (_, ChallengeKind::Http01) => format!(
                "port {port} of {name} must lead to this proxy, or to one that shares its store, \
                 by IPv4 and IPv6"
            ),
            (_, ChallengeKind::TlsAlpn01) => format!(
                "port {port} of {name} must lead to a TLS listener of this proxy, or of one that \
                 shares its store, and nothing before it may end TLS"
            ),
        };
        Self::new(Cause::Unproven, sentence(problem), advice)
    }

    /// The same for all names.
    pub(super) fn of_all(self) -> Self {
        Self { concerns_all: true, ..self }
    }

    /// The same, and the authority wants to be left alone so long.
    pub(super) fn not_before(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    fn of_problem(problem: &Problem) -> Self {
        let (cause, advice) = match kind(problem).unwrap_or_default() {
            "rateLimited" => (
                Cause::RateLimited,
                "nothing: it is asked again when it allows; fewer names or one shared store help",
            ),
            "rejectedIdentifier" | "unsupportedIdentifier" => {
                (Cause::Refused, "take the name out of tls.acme, or use another authority")
            }
            "externalAccountRequired" => {
                (Cause::Refused, "write acme.eab with the key that the authority gave you")
            }
            "userActionRequired" => {
                (Cause::Refused, "follow the link, for instance to agree to new terms")
            }
            "invalidContact" | "unsupportedContact" => {
                (Cause::Refused, "write another acme.contact")
            }
            "caa" => (Cause::Unproven, "allow this authority in the CAA record of the name"),
            "serverInternal" | "badNonce" => (Cause::Unreachable, "nothing: it is asked again"),
            _ if problem.status.is_some_and(|status| status >= 500) => {
                (Cause::Unreachable, "nothing: it is asked again")
            }
            "unauthorized" | "connection" | "dns" | "incorrectResponse" | "tls" => {
                (Cause::Unproven, "let the name lead to this proxy")
            }
            _ => (Cause::Refused, "look the problem up in the authority's documentation"),
        };
        let failure = Self::new(cause, sentence(problem), advice);
        if cause == Cause::Unreachable { failure.of_all() } else { failure }
    }

    fn unreachable(error: &Error) -> Self {
        let what = match error {
            // What a dead server's load balancer answers.
            Error::Json(_) => "the answer is not one of an ACME server".to_owned(),
            error => error_chain(error),
        };
        let advice = "see whether acme.directory is right and this host may connect to it; it is \
                      tried again";
        Self::new(Cause::Unreachable, what, advice).of_all()
    }
}

/// Whether the authority does not know the account.
pub(super) fn is_unknown_account(error: &Error) -> bool {
    problem_of(error).and_then(kind) == Some("accountDoesNotExist")
}

/// Whether the authority did not accept the nonce of a request, which is to be repeated (RFC 8555,
/// section 6.5).
pub(super) fn is_bad_nonce(error: &Error) -> bool {
    problem_of(error).and_then(kind) == Some("badNonce")
}

/// Whether an order cannot name the certificate that it replaces: it was replaced already, or the
/// authority does not know it (RFC 9773, section 5).
pub(super) fn is_about_replacing(error: &Error) -> bool {
    match error {
        Error::Unsupported(_) => true,
        Error::Api(problem) => {
            let detail = problem.detail.as_deref().unwrap_or_default().to_lowercase();
            kind(problem) == Some("alreadyReplaced") || detail.contains("replace")
        }
        _ => false,
    }
}

fn problem_of(error: &Error) -> Option<&Problem> {
    match error {
        Error::Api(problem) => Some(problem),
        _ => None,
    }
}

/// The last word of the problem's type (RFC 8555, section 6.7).
fn kind(problem: &Problem) -> Option<&str> {
    problem.r#type.as_deref()?.strip_prefix("urn:ietf:params:acme:error:")
}

/// What the authority says, without line ends: it goes to the log and to tables.
fn sentence(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("the authority gives no reason");
    let details = problem.subproblems.iter().map(ToString::to_string);
    let all: Vec<String> = std::iter::once(detail.to_owned()).chain(details).collect();
    let said = match kind(problem) {
        Some(kind) => format!("{} ({kind})", all.join("; ")),
        None => all.join("; "),
    };
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SENTENCE_CHARS_MAX).collect()
}

/// More than any authority says.
const SENTENCE_CHARS_MAX: usize = 1000;
