//! The same over HTTP/2, by raw frames: what the node gets is a request of HTTP/1.1, framed by the proxy.

use super::Pair;
use super::frames::{END_STREAM, Outcome, PADDED, RawClient, data, headers};

type Field<'a> = (&'a str, &'a str);

const GET: [Field<'static>; 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
const POST: [Field<'static>; 4] = [(":method", "POST"), GET[1], GET[2], GET[3]];

async fn start() -> Pair {
    Pair::start_with(", http2: on").await
}

/// A head without a body.
fn head(fields: &[Field<'_>]) -> Vec<u8> {
    headers(END_STREAM, 1, fields)
}

fn head_with(fields: &[Field<'static>]) -> Vec<u8> {
    head(&[&GET[..], fields].concat())
}

fn head_for(path: &str) -> Vec<u8> {
    head(&[GET[0], GET[1], GET[2], (":path", path)])
}

impl Pair {
    /// Sends `frames`, which are stream 1, and then a request for `/last` if the connection is still there.
    /// Returns what came of the first, and what the node has got of it.
    async fn ask_http2(&self, frames: &[u8]) -> (Outcome, String) {
        let mut client = RawClient::connect(self.proxy.address).await;
        let outcome = client.ask(1, frames).await;
        if outcome == Outcome::Ended {
            return (outcome, self.node.take());
        }
        let last = headers(END_STREAM, 3, &[GET[0], GET[1], GET[2], (":path", "/last")]);
        assert_eq!(client.ask(3, &last).await, Outcome::Answered(200), "the connection goes on");
        let received = self.node.take();
        let before = received.strip_suffix("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
        (outcome, before.unwrap_or_else(|| panic!("{received:?}")).to_owned())
    }

    async fn passes(&self, frames: &[u8], expected: &str) {
        let (outcome, received) = self.ask_http2(frames).await;
        assert_eq!((outcome, &*received), (Outcome::Answered(200), expected));
    }

    /// No byte reaches the node.
    async fn refuses(&self, frames: &[u8], expected: &[Outcome], what: &str) {
        let (outcome, received) = self.ask_http2(frames).await;
        assert!(expected.contains(&outcome), "{what:?}: {outcome:?}");
        assert_eq!(received, "", "{what:?}");
    }
}

const BAD: [Outcome; 1] = [Outcome::Answered(400)];
const BROKEN: [Outcome; 2] = [Outcome::Reset, Outcome::Ended];
const EITHER: [Outcome; 3] = [Outcome::Answered(400), Outcome::Reset, Outcome::Ended];

#[tokio::test]
async fn pseudo_header_fields() {
    let pair = start().await;
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    pair.passes(&head(&GET), plain).await;
    pair.passes(&head(&[GET[3], GET[2], GET[1], GET[0]]), plain).await;
    let without = |name| GET.into_iter().filter(|(found, _)| *found != name).collect::<Vec<_>>();
    for name in [":method", ":scheme", ":path"] {
        pair.refuses(&head(&without(name)), &EITHER, name).await;
    }
    pair.refuses(&head(&without(":authority")), &BAD, ":authority").await;
    for doubled in GET {
        pair.refuses(&head_with(&[doubled]), &BROKEN, doubled.0).await;
    }
    for added in [(":status", "200"), (":protocol", "websocket"), (":x", "y"), (":", "x")] {
        pair.refuses(&head_with(&[added]), &BROKEN, added.0).await;
    }
    for late in 0..4 {
        let mut fields = GET.to_vec();
        let field = fields.remove(late);
        fields.extend([("x", "y"), field]);
        pair.refuses(&head(&fields), &BROKEN, field.0).await;
    }
    for (method, scheme) in
        [("G T", "http"), ("", "http"), ("GET", "ftp"), ("GET", ""), ("GET", "h p")]
    {
        let fields = [(":method", method), (":scheme", scheme), GET[2], GET[3]];
        pair.refuses(&head(&fields), &EITHER, &format!("{method} {scheme}")).await;
    }
}

#[tokio::test]
async fn hosts() {
    let pair = start().await;
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    pair.passes(&head_with(&[("host", "a")]), plain).await;
    pair.passes(&head(&[GET[0], GET[1], GET[3], ("host", "a")]), plain).await;
    for host in ["b", "a:80", "", "a.", "a,b"] {
        pair.refuses(&head_with(&[("host", host)]), &BAD, host).await;
    }
    pair.refuses(&head_with(&[("host", "a"), ("host", "a")]), &BAD, "two hosts").await;
    for authority in
        ["a b", "u@a", "a/b", "a:99999", "a:x", "a\\b", "a?b", "a#b", "", "\u{e4}", "a\0"]
    {
        let fields = [GET[0], GET[1], (":authority", authority), GET[3]];
        pair.refuses(&head(&fields), &EITHER, authority).await;
    }
}

#[tokio::test]
async fn paths() {
    let pair = start().await;
    for path in ["/x", "//a/x", "/a//b", "/%", "/%zz", "/%0d%0a", "/;x", "/...", "/a?x=../%2e"] {
        let passed = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        pair.passes(&head_for(path), &passed).await;
    }
    // A fragment is dropped before anybody reads it.
    pair.passes(&head_for("/x#f"), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let wrong = "x * ?x http://b/ http://a/ a:80 /.. /a/../b /a/./b /%2e%2e/b /a/.%2E /a/%2e%2e%2fb \
                 /a%2f../b /a\\b /a%5cb /%00 /\u{1} /\u{7f} /\u{80} /\" /<x> /\0 /\r /\n /\u{b}";
    for path in wrong.split(' ').chain(["", "/a b", "/ HTTP/1.1\r\nX: y"]) {
        pair.refuses(&head_for(path), &EITHER, path).await;
    }
}

#[tokio::test]
async fn fields() {
    let pair = start().await;
    for value in
        ["a\0b", "a\rb", "a\nb", "a\r\nb: c", "\r\n", "\u{1}", "\u{7f}", " a", "a ", "\ta", "a\t"]
    {
        for name in ["x", "cookie", "te", "content-type"] {
            pair.refuses(&head_with(&[(name, value)]), &EITHER, value).await;
        }
    }
    for name in ["Upper", "a b", "", "a:b", "a\0", "a\r\nb", "\u{e4}", "a/b", "content-Length"] {
        pair.refuses(&head_with(&[(name, "1")]), &BROKEN, name).await;
    }
    for field in [
        ("connection", "close"),
        ("connection", "x"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        pair.refuses(&head_with(&[field]), &BROKEN, field.0).await;
    }
    for field in [
        ("te", "trailers"),
        ("transfer_encoding", "chunked"),
        ("content_length", "9"),
        ("trailer", "a"),
    ] {
        pair.passes(&head_with(&[field]), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    }
    let passed = "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nX: \\x80\\xff\r\n\r\n";
    let fields = [("cookie", "a=1"), ("x", "\u{80}\u{ff}"), ("cookie", "b=2")];
    pair.passes(&head_with(&fields), passed).await;
}

#[tokio::test]
async fn bodies() {
    let pair = start().await;
    let post = |fields: &[Field<'static>]| headers(0, 1, &[&POST[..], fields].concat());
    let length = [("content-length", "4")];
    let passed = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour";
    let whole = [post(&length), data(END_STREAM, 1, b"four")].concat();
    pair.passes(&whole, passed).await;
    let pieces = [post(&length), data(0, 1, b"fo"), data(0, 1, b""), data(END_STREAM, 1, b"ur")];
    pair.passes(&pieces.concat(), passed).await;
    let padded = [post(&length), data(END_STREAM | PADDED, 1, b"\x03fourpad")].concat();
    pair.passes(&padded, passed).await;
    let none = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    pair.passes(&head(&POST), none).await;
    let trailers = [("content-length", "9"), ("host", "b"), ("x", "y")];
    let trailed = [post(&length), data(0, 1, b"four"), headers(END_STREAM, 1, &trailers)].concat();
    pair.passes(&trailed, passed).await;
    let request = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let open = [post(&[]), data(END_STREAM, 1, request.as_bytes())].concat();
    let passed = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:X}\r\n{request}\r\n0\r\n\r\n",
        request.len()
    );
    pair.passes(&open, &passed).await;
}

#[tokio::test]
async fn lengths() {
    let pair = start().await;
    for length in ["x", "+1", "-1", "1, 1", "1.0", "", " 1", "0x1", "18446744073709551617"] {
        let fields = [&POST[..], &[("content-length", length)]].concat();
        let frames = [headers(0, 1, &fields), data(END_STREAM, 1, b"x")].concat();
        pair.refuses(&frames, &EITHER, length).await;
    }
    for (first, second) in [("1", "1"), ("1", "2")] {
        let lengths = [("content-length", first), ("content-length", second)];
        let head = headers(0, 1, &[&POST[..], &lengths].concat());
        pair.refuses(&[head, data(END_STREAM, 1, b"x")].concat(), &EITHER, second).await;
    }
    pair.refuses(&head_with(&[("content-length", "1")]), &BROKEN, "no body").await;
    // The node has got the head at most, and then what was right.
    for (length, body) in [("3", "four"), ("5", "four"), ("0", "x"), ("1", "xGET /smuggled")] {
        let pair = start().await;
        let head = headers(0, 1, &[&POST[..], &[("content-length", length)]].concat());
        let frames = [head, data(END_STREAM, 1, body.as_bytes())].concat();
        let outcome = RawClient::connect(pair.proxy.address).await.ask(1, &frames).await;
        assert!(EITHER.contains(&outcome), "{length}: {outcome:?}");
        let right = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
        let received = pair.node.take();
        let is_whole =
            received.len() >= right.len() - body.len() + length.parse::<usize>().unwrap();
        assert!(right.starts_with(&received) && (length == "0" || !is_whole), "{received:?}");
    }
}

#[tokio::test]
async fn trailers_that_are_none() {
    for wrong in
        [(":path", "/x"), (":status", "200"), ("Upper", "x"), ("x", "a\r\nb"), ("a b", "x")]
    {
        let pair = start().await;
        let post = headers(0, 1, &[&POST[..], &[("content-length", "4")]].concat());
        let frames = [post, data(0, 1, b"fou"), headers(END_STREAM, 1, &[wrong])].concat();
        let outcome = RawClient::connect(pair.proxy.address).await.ask(1, &frames).await;
        assert!(EITHER.contains(&outcome), "{wrong:?}: {outcome:?}");
        let part = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfou";
        let received = pair.node.take();
        assert!(part.starts_with(&received), "{wrong:?}: {received:?}");
    }
}

#[tokio::test]
async fn connects() {
    let pair = start().await;
    let connect =
        |fields: &[Field<'static>]| headers(0, 1, &[&[(":method", "CONNECT")], fields].concat());
    let classic = connect(&[(":authority", "a:1")]);
    pair.refuses(&classic, &[Outcome::Answered(501)], "a forward proxy").await;
    let websocket = (":protocol", "websocket");
    for missing in [
        &[GET[1], GET[2], GET[3]][..],
        &[GET[2], websocket],
        &[GET[1], GET[2], websocket],
        &[GET[2], GET[3], websocket],
        &[GET[1], GET[2], GET[3], websocket, websocket],
    ] {
        pair.refuses(&connect(missing), &BROKEN, &format!("{missing:?}")).await;
    }
    for protocol in ["connect-udp", "WebSocket", "websocket ", "websocket,x", ""] {
        let frames = headers(
            0,
            1,
            &[(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", protocol)],
        );
        let outcomes = [&EITHER[..], &[Outcome::Answered(501)]].concat();
        pair.refuses(&frames, &outcomes, protocol).await;
    }
    let tunnel = |path, fields: &[Field<'static>]| {
        connect(&[&[GET[1], GET[2], (":path", path), websocket], fields].concat())
    };
    for path in ["/..", "/%2e%2e/x", "*", "x", "http://b/", "/a\\b", "/%00"] {
        pair.refuses(&tunnel(path, &[]), &EITHER, path).await;
    }
    for field in [
        ("content-length", "0"),
        ("content-length", "5"),
        ("host", "b"),
        ("upgrade", "x"),
        ("connection", "upgrade"),
        ("transfer-encoding", "chunked"),
    ] {
        pair.refuses(&tunnel("/", &[field]), &EITHER, field.0).await;
    }
    let ended =
        headers(END_STREAM, 1, &[(":method", "CONNECT"), GET[1], GET[2], GET[3], websocket]);
    pair.refuses(&ended, &BAD, "no stream for a tunnel").await;
}

#[tokio::test]
async fn a_200_of_a_node_opens_no_tunnel_and_what_the_client_sent_ahead_is_no_request() {
    let pair = start().await;
    let fields = [
        (":method", "CONNECT"),
        GET[1],
        GET[2],
        GET[3],
        (":protocol", "websocket"),
        ("sec-websocket-key", "theirs"),
        ("sec-websocket-version", "13"),
    ];
    let ahead = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let frames = [headers(0, 1, &fields), data(0, 1, ahead)].concat();
    let (outcome, received) = pair.ask_http2(&frames).await;
    assert_eq!(outcome, Outcome::Answered(502));
    // The key is the proxy's, and another each time.
    let is_key = |line: &&str| line.starts_with("Sec-WebSocket-Key: ") && !line.contains("theirs");
    assert_eq!(received.split_inclusive("\r\n").filter(is_key).count(), 1);
    let received: String = received.split_inclusive("\r\n").filter(|line| !is_key(line)).collect();
    let upgrade = "Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(received, format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"));
}
