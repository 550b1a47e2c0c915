//! Affinity as the exchange uses it: recall, remember, reload.

use std::time::Duration;

use http::header::{COOKIE, HeaderName};

use super::settings::{CookieSettings, SidSettings, TagForm};
use super::*;
use crate::engineio::Scan;
use crate::upstream::{self, NodeAddress, NodeSettings};

const SID: &str = "lv_VI97HAXpY6yYWAAAC";
const V4_ANSWER: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC"}"#;
const V3_ANSWER: &str = r#"31:0{"sid":"lv_VI97HAXpY6yYWAAAC"}2:40"#;

fn upstream(names: &[&str]) -> Upstream {
    Upstream::new(&upstream_settings(names), None)
}

fn upstream_settings(names: &[&str]) -> upstream::Settings {
    let address = NodeAddress { host: "127.0.0.1".into(), port: 3000 };
    let node = |name: &&str| NodeSettings::new(name, address.clone());
    upstream::Settings::new("chat", names.iter().map(node).collect())
}

fn affinity(settings: Settings, names: &[&str]) -> Affinity {
    Affinity::new(&settings, &upstream(names), None).expect("no clash")
}

fn by_sid(names: &[&str]) -> Affinity {
    affinity(Settings::default(), names)
}

fn sid(text: &str) -> Sid {
    Sid::new(text).expect("a sid")
}

fn call(query: &str) -> Call {
    Call::parse(Some(query)).expect("clear").expect("Engine.IO's")
}

fn open(answer: &str) -> OpenPacket {
    match OpenPacket::scan(answer.as_bytes()) {
        Scan::Open(open) => open,
        other => panic!("{other:?}"),
    }
}

/// A request, as an operator would tell it.
#[derive(Default)]
struct Request<'a> {
    sid: Option<&'a str>,
    cookie: Option<&'a str>,
    room: Option<&'a str>,
}

impl Request<'_> {
    /// What `affinity` recalls of it, in short.
    fn locate(&self, affinity: &Affinity, now: Instant) -> String {
        self.ask(|view| match affinity.locate(view, now) {
            Placement::Anywhere => "anywhere".to_owned(),
            Placement::Preferred(nodes) => {
                let names: Vec<&str> = nodes.iter().map(|node| &**node.name()).collect();
                format!("prefers {}", names.join(" "))
            }
            Placement::Bound { node, sid, bounds } => {
                let silence = bounds.map(|bounds| format!(" for {:?}", bounds.silence_max()));
                let sid = sid.map(|sid| format!(" as {}", sid.as_str()));
                let parts = [sid, silence].map(Option::unwrap_or_default).concat();
                format!("bound to {}{parts}", node.name())
            }
            Placement::Gone { sid } => format!("gone {}", sid.as_str()),
            Placement::Unknown { sid, order } => {
                let order: Vec<&str> = order.iter().map(|node| &**node.name()).collect();
                format!("unknown {} {}", sid.as_str(), order.join(" ")).trim_end().to_owned()
            }
        })
    }

    fn ask<T>(&self, then: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let mut query = "EIO=4&transport=polling".to_owned();
        let mut headers = HeaderMap::new();
        if let Some(sid) = self.sid {
            query += &format!("&sid={sid}");
        }
        if let Some(cookie) = self.cookie {
            headers.insert(COOKIE, HeaderValue::from_str(cookie).expect("valid"));
        }
        if let Some(room) = self.room {
            query += &format!("&room={room}");
            headers.insert("x-room", HeaderValue::from_str(room).expect("valid"));
        }
        let call = call(&query);
        let address = [10, 0, 0, 1].into();
        then(&RequestView {
            call: Some(&call),
            headers: &headers,
            path: "/socket.io/",
            query: Some(&query),
            address,
        })
    }
}

fn session(sid: &str) -> Request<'_> {
    Request { sid: Some(sid), ..Request::default() }
}

fn handshake() -> Call {
    call("EIO=4&transport=polling")
}

#[test]
fn a_tagged_session_goes_to_its_node_wherever_it_asks() {
    let now = Instant::now();
    let first = by_sid(&["n1", "n2"]);
    let node = &first.members[1].node;
    let Remembered::Tag(tag) = first.remember(&handshake(), &open(V4_ANSWER), node, now) else {
        panic!("no tag");
    };
    let tagged = format!("{SID}{tag}");

    let expected = format!("bound to n2 as {SID}");
    assert_eq!(session(&tagged).locate(&first, now), expected);
    assert_eq!(session(&tagged.replace('.', "%2E")).locate(&first, now), expected);
    // Another proxy, or this one after a restart and with the nodes in another order.
    assert_eq!(session(&tagged).locate(&by_sid(&["n3", "n2", "n1"]), now), expected);
    assert_eq!(session(&tagged).locate(&by_sid(&["n1"]), now), format!("gone {SID}"));
    assert_eq!(Request::default().locate(&first, now), "anywhere");
}

#[test]
fn the_form_of_the_answer_decides_how_a_session_is_remembered() {
    let now = Instant::now();
    let tag_eio3 = Settings::Sid(SidSettings { tag_eio3: true, ..SidSettings::default() });
    // check(settings, query, answer, what is remembered, what a request with the bare sid is)
    let check = |settings: &Settings, query: &str, answer: &str, expected: &str, then: &str| {
        let affinity = affinity(settings.clone(), &["n1", "n2"]);
        let node = &affinity.members[1].node;
        let remembered = match affinity.remember(&call(query), &open(answer), node, now) {
            Remembered::Tag(_) => "tag",
            Remembered::Learned => "learned",
            Remembered::Nothing => "nothing",
        };
        assert_eq!(remembered, expected, "{query} {answer}");
        assert_eq!(session(SID).locate(&affinity, now), then, "{query} {answer}");
    };
    let unknown = format!("unknown {SID}");
    let sid = Settings::default();
    check(&sid, "EIO=4&transport=polling", V4_ANSWER, "tag", &unknown);
    check(&sid, "EIO=3&transport=polling", V4_ANSWER, "tag", &unknown);
    check(&sid, "EIO=3&transport=polling", V3_ANSWER, "learned", "bound to n2");
    check(&sid, "EIO=4&transport=polling", V3_ANSWER, "learned", "bound to n2");
    check(&tag_eio3, "EIO=3&transport=polling", V3_ANSWER, "tag", &unknown);
    check(&sid, "EIO=4&transport=websocket", V4_ANSWER, "nothing", &unknown);
    check(&sid, "EIO=4&transport=polling&sid=x", V4_ANSWER, "nothing", &unknown);
    check(&Settings::None, "EIO=4&transport=polling", V4_ANSWER, "nothing", "anywhere");
}

#[test]
fn a_session_brings_its_own_bounds_along() {
    let now = Instant::now();
    let timings = r#""sid":"lv_VI97HAXpY6yYWAAAC","pingInterval":90000,"pingTimeout":30000}"#;
    let (v4, v3) = (format!("0{{{timings}"), format!("{}:0{{{timings}2:40", timings.len() + 2));
    let short = Settings::Sid(SidSettings { tag: TagForm::Short, ..SidSettings::default() });
    // check(who opens it, answer, who is asked then, what it says)
    let check = |opening: &Affinity, answer: &str, view: &Affinity, expected: &str| {
        let node = &opening.members[1].node;
        let tag = match opening.remember(&handshake(), &open(answer), node, now) {
            Remembered::Tag(tag) => tag,
            Remembered::Learned | Remembered::Nothing => String::new(),
        };
        assert_eq!(session(&format!("{SID}{tag}")).locate(view, now), expected, "{answer}");
    };
    let (first, other) = (by_sid(&["n1", "n2"]), by_sid(&["n1", "n2"]));
    let by_short = affinity(short, &["n1", "n2"]);
    let tagged = format!("bound to n2 as {SID}");
    check(&first, &v4, &other, &format!("{tagged} for 126s"));
    check(&first, &v4, &by_short, &format!("{tagged} for 126s"));
    check(&by_short, &v4, &first, &tagged);
    check(&first, V4_ANSWER, &other, &tagged);
    check(&first, &v3, &first, "bound to n2 for 126s");
    check(&by_short, &v3, &by_short, "bound to n2 for 126s");
    check(&first, V3_ANSWER, &first, "bound to n2");
}

#[test]
fn a_healed_session_has_no_bounds() {
    let now = Instant::now();
    let affinity = by_sid(&["n1", "n2"]);
    affinity.learn(&sid(SID), &affinity.members[1].node, now);
    assert_eq!(session(SID).locate(&affinity, now), "bound to n2");
}

#[test]
fn a_sid_that_is_too_long_for_a_tag_is_learned() {
    let now = Instant::now();
    let affinity = by_sid(&["n1", "n2"]);
    let long = "x".repeat(Sid::BYTES_MAX);
    let open = open(&format!(r#"0{{"sid":"{long}"}}"#));
    let node = &affinity.members[0].node;
    assert_eq!(affinity.remember(&handshake(), &open, node, now), Remembered::Learned);
    assert_eq!(session(&long).locate(&affinity, now), "bound to n1");
}

#[test]
fn what_was_learned_outlives_a_reload_by_the_nodes_name() {
    let now = Instant::now();
    let before = by_sid(&["n1", "n2"]);
    before.learn(&sid("a"), &before.members[0].node, now);
    before.learn(&sid("b"), &before.members[1].node, now);
    before.missed(&sid("c"), now);

    let after = Affinity::new(&Settings::default(), &upstream(&["n2", "n3"]), Some(&before));
    let after = after.expect("no clash");
    assert_eq!(session("a").locate(&after, now), "gone a");
    assert_eq!(session("b").locate(&after, now), "bound to n2");
    assert_eq!(session("c").locate(&after, now), "unknown c");
    assert_eq!(after.search(&sid("c"), now), SearchScope::NoNode);
    assert_eq!(session("b").locate(&by_sid(&["n2"]), now), "unknown b");
}

#[test]
fn sessions_of_a_node_that_left_reach_it_for_a_while() {
    let now = Instant::now();
    let mut old = by_sid(&["n1", "n2"]);
    let open = open(V4_ANSWER);
    let Remembered::Tag(tag) = old.remember(&handshake(), &open, &old.members[0].node, now) else {
        panic!("EIO=4 sids are tagged");
    };
    let tagged = format!("{SID}{tag}");
    old.learn(&sid("learned"), &old.members[0].node, now);
    let both = upstream(&["n1", "n2"]);
    let settings = upstream_settings(&["n2"]);
    let one = Upstream::new(&settings, Some(&both));
    old = Affinity::new(&Settings::default(), &one, Some(&old)).expect("no clash");

    let left = one.retired()[0].until;
    let before = left - Duration::from_secs(1);
    assert_eq!(session(&tagged).locate(&old, before), format!("bound to n1 as {SID}"));
    assert_eq!(session("learned").locate(&old, before), "bound to n1");
    assert_eq!(session(&tagged).locate(&old, left), format!("gone {SID}"));

    let cookie = Settings::Cookie(CookieSettings { name: "at".into(), keys: Vec::new() });
    let before_it_left = Affinity::new(&cookie, &both, None).expect("no clash");
    let set = before_it_left.set_cookie(&both.nodes()[0], Scheme::Http).expect("a cookie");
    let value = set.to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let after = Affinity::new(&cookie, &one, None).expect("no clash");
    let named = |sid| Request { sid, cookie: Some(&value), room: None };
    assert_eq!(named(Some("x")).locate(&after, before), "bound to n1");
    assert_eq!(named(None).locate(&after, before), "anywhere", "no new session");
    assert_eq!(named(Some("x")).locate(&after, left), "anywhere");
}

#[test]
fn an_active_session_is_never_forgotten() {
    let mut now = Instant::now();
    let affinity = by_sid(&["n1", "n2"]);
    affinity.learn(&sid(SID), &affinity.members[1].node, now);
    for _ in 0..100 {
        now += Duration::from_secs(300);
        assert_eq!(session(SID).locate(&affinity, now), "bound to n2");
    }
}

#[test]
fn requests_pay_for_healing() {
    let now = Instant::now();
    let affinity = by_sid(&["n1", "n2"]);
    while affinity.search(&sid(SID), now) == SearchScope::AllNodes {}
    for _ in 0..10 {
        assert_eq!(affinity.search(&sid(SID), now), SearchScope::OneNode);
        Request::default().locate(&affinity, now);
    }
    assert_eq!(affinity.search(&sid(SID), now), SearchScope::AllNodes);
    assert_eq!(
        self::affinity(Settings::None, &["n1"]).search(&sid(SID), now),
        SearchScope::OneNode
    );
}

#[test]
fn a_cookie_binds_a_session_and_is_preferred_by_all_else() {
    let now = Instant::now();
    let settings = CookieSettings { name: CookieSettings::NAME.into(), keys: Vec::new() };
    let affinity = affinity(Settings::Cookie(settings), &["n1", "n2"]);
    let [Member { node: n1, .. }, Member { node: n2, .. }] = &*affinity.members else {
        panic!("two nodes")
    };

    let fresh = Request::default();
    let cookie = affinity.set_cookie(n2, Scheme::Https).expect("a cookie");
    let cookie = cookie.to_str().expect("ASCII").split(';').next();
    let returning = Request { cookie, ..Request::default() };
    let session = Request { cookie, sid: Some(SID), room: None };

    assert_eq!(fresh.locate(&affinity, now), "anywhere");
    assert_eq!(returning.locate(&affinity, now), "prefers n2");
    assert_eq!(session.locate(&affinity, now), "bound to n2");
    assert_ne!(affinity.set_cookie(n1, Scheme::Https), affinity.set_cookie(n2, Scheme::Https));
    assert_eq!(by_sid(&["n1"]).set_cookie(n1, Scheme::Http), None);
}

#[test]
fn rendezvous_orders_the_nodes_by_what_it_is_told_to_hash() {
    let now = Instant::now();
    let check = |key: RendezvousKey, request: &Request<'_>, expected: &str| {
        let affinity = affinity(Settings::Rendezvous(key.clone()), &["n1", "n2", "n3"]);
        assert_eq!(request.locate(&affinity, now), expected, "{key:?}");
    };
    let header = RendezvousKey::Header(HeaderName::from_static("x-room"));
    let query = RendezvousKey::Query("room".into());
    let room = |room| Request { room: Some(room), ..Request::default() };
    let order = "prefers n2 n3 n1";
    check(header.clone(), &room("blue"), order);
    check(query.clone(), &room("blue"), order);
    check(query.clone(), &room("%62lue"), order);
    check(query, &Request::default(), "anywhere");
    check(header, &Request::default(), "anywhere");
    check(RendezvousKey::Address, &Request::default(), "prefers n3 n2 n1");
    let session = Request { sid: Some(SID), ..room("red") };
    check(RendezvousKey::Address, &session, &format!("unknown {SID} n3 n2 n1"));
    check(RendezvousKey::Query("none".into()), &session, &format!("unknown {SID}"));
}

#[test]
fn under_rendezvous_a_session_is_bound_to_the_node_that_opened_it() {
    let now = Instant::now();
    let settings = Settings::Rendezvous(RendezvousKey::Query("room".into()));
    let affinity = affinity(settings, &["n1", "n2", "n3"]);
    // Not the node that the key prefers: that one was full, perhaps.
    let node = &affinity.members[0].node;
    let Remembered::Tag(tag) = affinity.remember(&handshake(), &open(V4_ANSWER), node, now) else {
        panic!("EIO=4 sids are tagged");
    };
    let tagged = format!("{SID}{tag}");
    let asks = |sid| Request { sid: Some(sid), room: Some("blue"), ..Request::default() };
    assert_eq!(asks(&tagged).locate(&affinity, now), format!("bound to n1 as {SID}"));
    assert_eq!(affinity.remember(&handshake(), &open(V3_ANSWER), node, now), Remembered::Learned);
    assert_eq!(asks(SID).locate(&affinity, now), "bound to n1");
    assert_eq!(asks("other").locate(&affinity, now), "unknown other n2 n3 n1");
}
