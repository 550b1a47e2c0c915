//! Which listener a client reaches that connects by a URL.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::Settings;

/// The listener that a client reaches by a URL, as far as it can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection<'a> {
    /// This one has the port.
    ByPort(&'a Settings),
    /// It is the only one with TLS, or the only one without; a balancer may be in front of it.
    Only(&'a Settings),
    /// None of several has the port, or more than one.
    Unclear,
}

/// Which of `listeners` a client reaches on `port`, with TLS if `is_tls`.
pub(crate) fn by_url(listeners: &[Settings], is_tls: bool, port: Option<u16>) -> Selection<'_> {
    let fits = |listener: &&Settings| listener.tls.is_some() == is_tls;
    let port = port.unwrap_or(if is_tls { 443 } else { 80 });
    let mut with_port = listeners.iter().filter(fits).filter(|one| one.bind.port() == port);
    if let (Some(one), None) = (with_port.next(), with_port.next()) {
        return Selection::ByPort(one);
    }
    let mut fitting = listeners.iter().filter(fits);
    match (fitting.next(), fitting.next(), listeners) {
        (Some(one), None, _) | (None, _, [one]) => Selection::Only(one),
        _ => Selection::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(bind: &str) -> Settings {
        Settings { bind: bind.parse().unwrap(), ..Settings::default() }
    }

    #[test]
    fn the_port_decides_and_else_the_only_one() {
        let two = [listener("0.0.0.0:80"), listener("0.0.0.0:81")];
        assert_eq!(by_url(&two, false, Some(81)), Selection::ByPort(&two[1]));
        assert_eq!(by_url(&two, false, None), Selection::ByPort(&two[0]));
        assert_eq!(by_url(&two, false, Some(82)), Selection::Unclear);
        assert_eq!(by_url(&two, true, None), Selection::Unclear);
        let same = [listener("10.0.0.1:80"), listener("10.0.0.2:80")];
        assert_eq!(by_url(&same, false, None), Selection::Unclear);
        let one = [listener("0.0.0.0:8080")];
        assert_eq!(by_url(&one, true, None), Selection::Only(&one[0]), "a balancer ends TLS");
    }
}
