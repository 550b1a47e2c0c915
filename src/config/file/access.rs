//! The keys that say who may use a route.
//!
//! Pure. Runs at start, at reload, or on a timer.

/// What the manual calls the type of `origins`.
pub(crate) const ORIGINS_TYPE: &str = "list of origins";

/// One of `origins`.
pub(crate) fn origin() -> String {
    let name = r"(\*\.)?[A-Za-z0-9_-][A-Za-z0-9._-]*";
    let literal = r"\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]";
    format!("any|same-host|null|[A-Za-z][A-Za-z0-9+.-]*://({name}|{literal})(:[0-9]+)?")
}
