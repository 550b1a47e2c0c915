//! Which sessions are asked for.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model::Session;
use super::query::parameters;

/// What a session has to be like to be listed.
#[derive(Clone, Debug)]
pub(super) struct SessionFilter {
    client: Option<IpNet>,
    user: Option<String>,
    route: Option<String>,
    node: Option<String>,
    transport: Option<String>,
    min_age: f64,
    max_age: f64,
    min_rate: f64,
    sort: Sort,
    limit: usize,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Age,
    Idle,
    Bytes,
    Messages,
    Rate,
    Waiting,
}

impl Default for SessionFilter {
    fn default() -> Self {
        Self {
            client: None,
            user: None,
            route: None,
            node: None,
            transport: None,
            min_age: 0.0,
            max_age: f64::INFINITY,
            min_rate: 0.0,
            sort: Sort::Age,
            limit: LIMIT_DEFAULT,
        }
    }
}

impl SessionFilter {
    /// The filter that `query` writes, such as `node=n1&sort=rate`.
    ///
    /// # Errors
    ///
    /// A sentence on the parameter that is wrong.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in parameters(query) {
            if !value.is_empty() {
                filter.set(name, value)?;
            }
        }
        Ok(filter)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "client" => self.client = Some(network(&value)?),
            "user" => self.user = Some(value),
            "route" => self.route = Some(value),
            "node" => self.node = Some(value),
            "transport" => self.transport = Some(value),
            "min_age_seconds" => self.min_age = number(name, &value)?,
            "max_age_seconds" => self.max_age = number(name, &value)?,
            "min_rate" => self.min_rate = number(name, &value)?,
            "sort" => self.sort = Sort::parse(&value)?,
            "limit" => self.limit = (number(name, &value)? as usize).clamp(1, LIMIT_MAX),
            _ => return Err(format!("there is no parameter `{name}`: write {PARAMETERS}")),
        }
        Ok(())
    }

    /// Whether `session` is one of those that are asked for.
    pub(super) fn fits(&self, session: &Session) -> bool {
        let contains = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| value.contains(&**wanted))
        };
        let node = || format!("{}/{}", session.upstream, session.node);
        let is_node = |wanted: &String| *wanted == session.node || *wanted == node();
        let is_client = |network: &IpNet| {
            session.client.parse::<IpAddr>().is_ok_and(|client| network.contains(&client))
        };
        self.client.as_ref().is_none_or(is_client)
            && contains(&self.user, session.user.as_deref().unwrap_or_default())
            && contains(&self.route, &session.route)
            && self.node.as_ref().is_none_or(is_node)
            && self.transport.as_ref().is_none_or(|wanted| *wanted == session.transport)
            && (self.min_age..=self.max_age).contains(&session.age_seconds)
            && rate(session) >= self.min_rate
    }

    /// Sorts the sessions that fit, and leaves the first of them.
    pub(super) fn select(&self, sessions: &mut Vec<Session>) {
        let by = |one: &Session, other: &Session| self.sort.compare(one, other);
        if sessions.len() > self.limit {
            sessions.select_nth_unstable_by(self.limit, by);
            sessions.truncate(self.limit);
        }
        sessions.sort_by(by);
    }

    /// How many are listed at most.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

impl Sort {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "age" => Self::Age,
            "idle" => Self::Idle,
            "bytes" => Self::Bytes,
            "messages" => Self::Messages,
            "rate" => Self::Rate,
            "waiting" => Self::Waiting,
            _ => {
                let known = "age, idle, bytes, messages, rate or waiting";
                return Err(format!("sort is `{text}`: write {known}"));
            }
        })
    }

    /// The largest first; by age the youngest first.
    fn compare(self, one: &Session, other: &Session) -> Ordering {
        let bytes = |session: &Session| session.bytes_from_client + session.bytes_from_node;
        let by = match self {
            Self::Age => one.age_seconds.total_cmp(&other.age_seconds),
            Self::Idle => other.idle_seconds.total_cmp(&one.idle_seconds),
            Self::Bytes => bytes(other).cmp(&bytes(one)),
            Self::Messages => messages(other).cmp(&messages(one)),
            Self::Rate => rate(other).total_cmp(&rate(one)),
            Self::Waiting => other.waiting.cmp(&one.waiting),
        };
        by.then_with(|| one.id.cmp(&other.id))
    }
}

fn messages(session: &Session) -> u64 {
    session.messages_from_client + session.messages_from_node
}

/// Messages a second since the session began.
fn rate(session: &Session) -> f64 {
    messages(session) as f64 / session.age_seconds.max(1.0)
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        format!("client is `{text}`: write an address such as 203.0.113.7, or a network such as 10.0.0.0/8")
    })
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok().filter(|number: &f64| *number >= 0.0);
    number.ok_or_else(|| format!("{name} is `{text}`: write a number"))
}

const PARAMETERS: &str = "client, user, route, node, transport, min_age_seconds, max_age_seconds, min_rate, \
                          sort or limit";

const LIMIT_DEFAULT: usize = 100;

const LIMIT_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, age_seconds: f64, messages_from_node: u64) -> Session {
        Session {
            id: id.into(),
            client: "203.0.113.7".into(),
            user: Some("ann@example.com".into()),
            route: "*/socket.io/".into(),
            upstream: "chat".into(),
            node: "n1".into(),
            transport: "websocket".into(),
            age_seconds,
            messages_from_node,
            ..Session::default()
        }
    }

    #[test]
    fn a_filter_finds_by_each_of_its_parameters() {
        let check = |query: &str, expected: bool| {
            let filter = SessionFilter::parse(Some(query)).unwrap();
            assert_eq!(filter.fits(&session("1", 60.0, 120)), expected, "{query}");
        };
        for fits in [
            "",
            "client=203.0.113.7",
            "client=203.0.113.0%2F24",
            "user=ann",
            "route=socket.io",
            "node=n1",
            "node=chat/n1",
            "transport=websocket&min_age_seconds=60&max_age_seconds=60",
            "min_rate=2",
            "user=&node=",
        ] {
            check(fits, true);
        }
        for misses in [
            "client=203.0.113.8",
            "user=bob",
            "route=/api",
            "node=n2",
            "node=n",
            "transport=polling",
            "min_age_seconds=61",
            "max_age_seconds=59",
            "min_rate=2.1",
            "node=n1&user=bob",
        ] {
            check(misses, false);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |query: &str, expected: &str| {
            let error = SessionFilter::parse(Some(query)).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check("client=x", "client is `x`: write an address");
        check("sort=size", "sort is `size`: write age");
        check("min_rate=-1", "min_rate is `-1`: write a number");
        check("nodes=n1", "there is no parameter `nodes`: write client");
    }

    #[test]
    fn the_first_in_order_are_left() {
        let check = |query: &str, expected: &[&str]| {
            let filter = SessionFilter::parse(Some(query)).unwrap();
            let mut sessions =
                vec![session("1", 60.0, 10), session("2", 5.0, 9), session("3", 99.0, 11)];
            filter.select(&mut sessions);
            let ids: Vec<_> = sessions.iter().map(|session| &*session.id).collect();
            assert_eq!(ids, expected, "{query}");
        };
        check("", &["2", "1", "3"]);
        check("sort=messages", &["3", "1", "2"]);
        check("sort=rate&limit=1", &["2"]);
        check("sort=messages&limit=2", &["3", "1"]);
    }
}
