//! Sids and cookies as clients send them: a tag of either form is read back with the session's
//! bounds, nothing else is taken for one, and our cookie is found among all others.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sockeye::Scheme;
use sockeye::internal::affinity::{Affinity, Placement, Remembered, RequestView, Settings};
use sockeye::internal::affinity::{CookieSettings, SidSettings, TagForm};
use sockeye::internal::engineio::{Call, OpenPacket, Scan, SessionBounds, Sid, Transport};
use sockeye::internal::upstream::{self, NodeAddress, NodeSettings, Upstream};
use tokio::time::Instant;

fuzz_target!(|bytes: &[u8]| {
    if let Some(sid) = std::str::from_utf8(bytes).ok().and_then(Sid::new) {
        let code = bytes.iter().fold(0_u32, |code, byte| code.rotate_left(7) ^ u32::from(*byte));
        a_tag_is_read_back(&sid, None);
        a_tag_is_read_back(&sid, Some(SessionBounds::from_code(code)));
        what_is_bound_was_tagged(&sid);
    }
    if let Ok(others) = HeaderValue::from_bytes(bytes) {
        our_cookie_is_found(&others);
    }
});

fn a_tag_is_read_back(sid: &Sid, bounds: Option<SessionBounds>) {
    let Some(tag) = tag(sid, bounds) else { return };
    let tagged = Sid::new(&format!("{}{tag}", sid.as_str())).expect("a tag fits");
    match placement_of(&tagged) {
        Placement::Bound { node, sid: Some(bare), bounds: read } => {
            assert!(bare == *sid && **node.name() == *NODE && read == bounds);
        }
        other => panic!("{other:?}"),
    }
}

fn what_is_bound_was_tagged(sid: &Sid) {
    if let Placement::Bound { sid: Some(bare), bounds, .. } = placement_of(sid) {
        let tag = tag(&bare, bounds).expect("it had one");
        assert_eq!(format!("{}{tag}", bare.as_str()), sid.as_str());
    }
}

fn our_cookie_is_found(others: &HeaderValue) {
    let mut headers = HeaderMap::from_iter([(COOKIE, others.clone())]);
    BY_COOKIE.locate(&view(None, &headers), Instant::now());

    let upstream = nodes();
    let node = upstream.nodes().first().expect("there is one");
    let cookie = BY_COOKIE.set_cookie(node, Scheme::Http).expect("cookies are the rule");
    let cookie = cookie.as_bytes().split(|byte| *byte == b';').next().expect("a first part");
    let joined = [others.as_bytes(), b"; ", cookie].concat();
    headers.insert(COOKIE, HeaderValue::from_bytes(&joined).expect("of valid parts"));
    match BY_COOKIE.locate(&view(None, &headers), Instant::now()) {
        Placement::Preferred(found) => assert_eq!(found.len(), 1),
        other => panic!("{other:?}"),
    }
}

/// The tag for a session of these bounds on our node, which says them or is a short one; none if the
/// sid would become too long.
fn tag(sid: &Sid, bounds: Option<SessionBounds>) -> Option<String> {
    let text = serde_json::to_string(sid.as_str()).expect("text");
    let told = bounds.map(|bounds| {
        let millis = (bounds.silence_max() - MARGIN).as_millis();
        let payload = bounds.payload_bytes_max();
        format!(",\"pingInterval\":{millis},\"pingTimeout\":0,\"maxPayload\":{payload}")
    });
    let told = told.unwrap_or_default();
    let Scan::Open(open) = OpenPacket::scan(format!("0{{\"sid\":{text}{told}}}").as_bytes()) else {
        panic!("no open packet of {text}");
    };
    assert!(open.sid == *sid);
    assert_eq!(open.timings.as_ref().map(SessionBounds::new), bounds);
    let by_sid = if bounds.is_some() { &BY_SID } else { &BY_SHORT_SID };
    let tag_bytes = if bounds.is_some() { LONG_TAG_BYTES } else { SHORT_TAG_BYTES };
    // Longer ones go into the table, which is not looked at here.
    if sid.as_str().len() > Sid::BYTES_MAX - tag_bytes {
        return None;
    }
    let upstream = nodes();
    let node = upstream.nodes().first().expect("there is one");
    match by_sid.remember(&call(None), &open, node, Instant::now()) {
        Remembered::Tag(tag) => Some(tag),
        other => panic!("{other:?}"),
    }
}

fn placement_of(sid: &Sid) -> Placement {
    let call = call(Some(sid.clone()));
    BY_SID.locate(&view(Some(&call), &HeaderMap::new()), Instant::now())
}

fn call(sid: Option<Sid>) -> Call {
    Call { transport: Transport::Polling, sid }
}

fn view<'a>(call: Option<&'a Call>, headers: &'a HeaderMap) -> RequestView<'a> {
    RequestView { call, headers, path: "/", query: None, address: [10, 0, 0, 1].into() }
}

fn nodes() -> &'static Upstream {
    &UPSTREAM
}

static UPSTREAM: LazyLock<Upstream> = LazyLock::new(|| {
    let address = NodeAddress { host: "127.0.0.1".into(), port: 3000 };
    let settings = upstream::Settings::new("chat", vec![NodeSettings::new(NODE, address)]);
    Upstream::new(&settings, None)
});

static BY_SID: LazyLock<Affinity> = LazyLock::new(|| by_sid(TagForm::Long));

static BY_SHORT_SID: LazyLock<Affinity> = LazyLock::new(|| by_sid(TagForm::Short));

fn by_sid(tag: TagForm) -> Affinity {
    let settings = Settings::Sid(SidSettings { tag, ..SidSettings::default() });
    Affinity::new(&settings, nodes(), None).expect("one node does not clash")
}

static BY_COOKIE: LazyLock<Affinity> = LazyLock::new(|| {
    let settings = CookieSettings { name: CookieSettings::NAME.into(), keys: Vec::new() };
    Affinity::new(&Settings::Cookie(settings), nodes(), None).expect("one node does not clash")
});

const NODE: &str = "n1";

/// A dot and eight characters.
const SHORT_TAG_BYTES: usize = 9;

/// And three for the bounds.
const LONG_TAG_BYTES: usize = 12;

/// On top of the heartbeat, a session's silence has this.
const MARGIN: Duration = Duration::from_secs(5);
