//! What nodes answer: which bytes of it reach a client, over HTTP/1.1.
//!
//! A node may be taken over, or may put what a stranger sent into its fields. A client gets one response,
//! and nothing of what is behind it becomes the response of the next request.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ENOUGH, from_latin1};
use crate::support::node::Reply;
use crate::support::{FakeNode, Proxy, ok};

/// Behind each answer: what a client must never see.
const BEHIND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nX-Smuggled: 1\r\n\r\nanother";

/// All bytes that a client gets for a request with these lines, without the fields of the proxy.
async fn bytes_for(proxy: &Proxy, lines: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let request = format!("{lines}\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(ENOUGH, stream.read_to_end(&mut bytes)).await.expect("the response has an end");
    let text = bytes.escape_ascii().to_string().replace("\\r\\n", "\r\n");
    let is_ours = |line: &&str| {
        let line = line.to_lowercase();
        !["date: ", "x-request-id: ", "connection: close"].iter().any(|ours| line.starts_with(ours))
    };
    text.split_inclusive("\r\n").filter(is_ours).collect()
}

/// What a client gets for this answer of a node to a request of `method`. The next client gets its own.
async fn told_for(method: &str, answer: &str) -> String {
    let bytes = from_latin1(&format!("{answer}{BEHIND}"));
    let node = FakeNode::start(move |request| match &*request.head.target {
        "/first" => Reply::Bytes(bytes.clone()),
        _ => ok("clean"),
    })
    .await;
    let proxy = Proxy::before(&[&node], "health: off", "");
    let told = bytes_for(&proxy, &format!("{method} /first HTTP/1.1")).await;
    for _ in 0..2 {
        let second = bytes_for(&proxy, "GET /second HTTP/1.1").await;
        assert_eq!(
            second.to_lowercase(),
            "http/1.1 200 ok\r\ncontent-length: 5\r\n\r\nclean",
            "{answer:?}"
        );
    }
    assert!(!told.contains("Smuggled") || answer.is_empty(), "{answer:?}: {told:?}");
    told
}

async fn told(answer: &str) -> String {
    told_for("GET", answer).await
}

/// The node's answer is no response: the client gets one of the proxy, with nothing of it.
async fn refused(answer: &str) {
    let told = told(answer).await;
    assert!(told.starts_with("HTTP/1.1 502 "), "{answer:?}: {told:?}");
    assert!(!told.contains("evil"), "{answer:?}: {told:?}");
}

/// The client gets these bytes; the case of field names does not matter.
async fn passed(answer: &str, expected: &str) {
    assert_eq!(told(answer).await.to_lowercase(), expected.to_lowercase(), "{answer:?}");
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn status_lines() {
    let rest = "Content-Length: 4\r\n\r\nevil";
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 0200 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 200\tOK",
        "HTTP/2 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1",
        "",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 OK\r",
        "HTTP/1.1 200 OK\nevil: 1",
        "\nHTTP/1.1 200 OK",
    ] {
        refused(&format!("{line}\r\n{rest}")).await;
    }
}

#[tokio::test]
async fn fields() {
    for field in [
        "X: a\rb",
        "X: a\0b",
        ": b",
        "X y: b",
        "Xyz",
        "X\0: b",
        "\u{e4}: b",
        "X: \u{1}",
        "X: a\r\r\nevil: 1",
        "X: a\nevil: 1",
        "X: a\n evil",
        "X: a\n",
    ] {
        refused(&format!("{OK}{field}\r\nContent-Length: 2\r\n\r\nok")).await;
    }
    for kept in ["X: %0d%0aSet-Cookie: evil=1", "X: \u{80}"] {
        let shown = kept.replace('\u{80}', "\\x80");
        let answer = format!("{OK}{kept}\r\nContent-Length: 2\r\n\r\nok");
        passed(&answer, &format!("{OK}{shown}\r\nContent-Length: 2\r\n\r\nok")).await;
    }
    // What RFC 9112 lets a recipient read is written as one sure form (sections 5.1 and 5.2).
    for (sloppy, sure) in [("X: a\r\n Y: b", "X: a   Y: b"), ("X : b", "X: b")] {
        let answer = format!("{OK}{sloppy}\r\nContent-Length: 2\r\n\r\nok");
        passed(&answer, &format!("{OK}{sure}\r\nContent-Length: 2\r\n\r\nok")).await;
    }
    let hop = "Connection: keep-alive, X-Inner\r\nX-Inner: evil\r\nKeep-Alive: timeout=5\r\n\
               Proxy-Connection: x\r\nUpgrade: h2c\r\n";
    let answer = format!("{OK}{hop}Content-Length: 2\r\n\r\nok");
    passed(&answer, &format!("{OK}Content-Length: 2\r\n\r\nok")).await;
}

#[tokio::test]
async fn lengths_and_codings() {
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 2, 3",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length: ",
        "Content-Length: 18446744073709551618",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \u{b}chunked",
    ] {
        refused(&format!("{OK}{fields}\r\n\r\n2\r\nok\r\n0\r\n\r\n")).await;
    }
    let length = format!("{OK}Content-Length: 2\r\n\r\nok");
    for same in ["2", "2, 2", "02", "2\r\nContent-Length: 2"] {
        passed(&format!("{OK}Content-Length: {same}\r\n\r\nok"), &length).await;
    }
    // The coding counts, and the connection is not used again (RFC 9112, section 6.3).
    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    passed(&format!("{OK}{both}\r\n\r\n2\r\nok\r\n0\r\n\r\n"), &chunked).await;
}

#[tokio::test]
async fn chunks_and_trailers() {
    let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let whole = format!("{head}2\r\nok\r\n0\r\n\r\n");
    for body in [
        "2\r\nok\r\n0\r\n\r\n",
        "2;evil=1\r\nok\r\n0;x\r\n\r\n",
        "0002\r\nok\r\n00\r\n\r\n",
        "2\r\nok\r\n0\r\nSet-Cookie: evil=1\r\nContent-Length: 9\r\n\r\n",
    ] {
        passed(&format!("{head}{body}"), &whole).await;
    }
    // The client sees that it is not whole: its connection ends before the last chunk.
    for body in [
        "0x2\r\nok\r\n0\r\n\r\n",
        "+2\r\nok\r\n0\r\n\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "2\nok\r\n0\r\n\r\n",
        "2\r\nokevil\r\n0\r\n\r\n",
        "2\r\nok\n0\r\n\r\n",
        "2\r\nok0\r\n\r\n",
        "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
        "g\r\nok\r\n0\r\n\r\n",
        "\r\nok\r\n0\r\n\r\n",
        "2\r\nok\r\n0\r\nevil\r\n\r\n",
        "2\r\nok\r\n0\r\nA: b\r\n evil\r\n\r\n",
    ] {
        let told = told(&format!("{head}{body}")).await;
        assert!(!told.ends_with("0\r\n\r\n") && !told.contains("evil"), "{body:?}: {told:?}");
    }
}

#[tokio::test]
async fn interim_responses() {
    let ok = format!("{OK}Content-Length: 2\r\n\r\nok");
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n";
    passed(&format!("{hint}HTTP/1.1 100 Continue\r\n\r\n{ok}"), &ok).await;
    let flood = hint.repeat(10_000);
    refused(&flood).await;
    for upgrade in ["", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "Content-Length: 4\r\n"] {
        refused(&format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\nevil")).await;
    }
}

#[tokio::test]
async fn responses_without_a_body_have_none() {
    let mut fields = String::new();
    for (status, length) in
        [("204 No Content", 4), ("304 Not Modified", 4), ("304 Not Modified", 0)]
    {
        fields.clear();
        write!(fields, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").unwrap();
        let told = told(&fields).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{told:?}");
        assert!(told.ends_with("\r\n\r\n"), "{told:?}");
    }
    let told = told_for("HEAD", &format!("{OK}Content-Length: 4\r\n\r\n")).await;
    assert_eq!(told.to_lowercase(), format!("{OK}Content-Length: 4\r\n\r\n").to_lowercase());
}
