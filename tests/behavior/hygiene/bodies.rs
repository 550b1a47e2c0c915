//! Lengths, codings, chunks and trailers.

use super::{Broken, Pair, Passed, Refused};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

#[tokio::test]
async fn lengths() {
    let pair = Pair::start().await;
    let wrong = [
        "+1",
        "-1",
        "1,1",
        "1, 2",
        "0x1",
        "1;",
        "1_0",
        "1e0",
        "1.0",
        "",
        "\u{b}1",
        "1\u{a0}",
        "\u{b9}",
        "99999999999999999999",
        "18446744073709551617",
    ];
    for length in wrong {
        pair.check(&format!("{HEAD}Content-Length: {length}\r\n\r\nx"), Refused(400)).await;
    }
    for fields in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length : 1\r\n",
        "Content-Length\0: 1\r\n",
        "Content-Length:\r\n 1\r\n",
    ] {
        pair.check(&format!("{HEAD}{fields}\r\nx"), Refused(400)).await;
    }
    for length in ["1", "01", " \t1\t"] {
        let passed = format!("{HEAD}Content-Length: 1\r\n\r\nx");
        pair.check(&format!("{HEAD}Content-Length: {length}\r\n\r\nx"), Passed(&passed)).await;
    }
    let passed = format!("{HEAD}Content-Length: 0\r\n\r\n");
    pair.check(&format!("{HEAD}\r\n"), Passed(&passed)).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    pair.check(get, Passed(get)).await;
}

#[tokio::test]
async fn codings() {
    let pair = Pair::start().await;
    let body = "3\r\nabc\r\n0\r\n\r\n";
    let wrong = [
        "chunked, chunked",
        "identity",
        "gzip, chunked",
        "chunked, gzip",
        "identity, chunked",
        "chunked;q=1",
        "x-chunked",
        "\u{b}chunked",
        "chunked\u{b}",
        "chunked,",
        ",chunked",
        "\"chunked\"",
        "chun\u{ff}ked",
        "chunked\0",
        "",
    ];
    for coding in wrong {
        pair.check(&format!("{HEAD}Transfer-Encoding: {coding}\r\n\r\n{body}"), Refused(400)).await;
    }
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ] {
        pair.check(&format!("{HEAD}{fields}\r\n{body}"), Refused(400)).await;
    }
    let old = format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    pair.check(&old, Refused(400)).await;
    let passed = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}");
    for coding in ["chunked", "Chunked", "\tCHUNKED "] {
        let request = format!("{HEAD}Transfer-Encoding: {coding}\r\n\r\n{body}");
        pair.check(&request, Passed(&passed)).await;
    }
}

#[tokio::test]
async fn a_field_that_a_node_may_take_for_a_framing_field_is_dropped() {
    let pair = Pair::start().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n";
    for field in ["Transfer_Encoding: chunked", "Content_Length: 9", "Connection_: x"] {
        let is_kept = field.starts_with("Connection_");
        let kept = if is_kept { format!("{field}\r\n") } else { String::new() };
        let request = format!("{get}{field}\r\n\r\n");
        pair.check(&request, Passed(&format!("{get}{kept}\r\n"))).await;
    }
}

#[tokio::test]
async fn chunks() {
    let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    // The node has got the head, and then at most what was right.
    for (body, received) in [
        ("0x3\r\nabc\r\n0\r\n\r\n", ""),
        ("+3\r\nabc\r\n0\r\n\r\n", ""),
        ("-3\r\nabc\r\n0\r\n\r\n", ""),
        ("3 \r\nabc\r\n0\r\n\r\n", ""),
        (" 3\r\nabc\r\n0\r\n\r\n", ""),
        ("3_0\r\nabc\r\n0\r\n\r\n", ""),
        ("g\r\nabc\r\n0\r\n\r\n", ""),
        ("\r\nabc\r\n0\r\n\r\n", ""),
        ("fffffffffffffffff\r\nabc\r\n", ""),
        ("ffffffffffffffff\r\nabc\r\n", ""),
        ("3\nabc\r\n0\r\n\r\n", ""),
        ("3;\nabc\r\n0\r\n\r\n", ""),
        ("3;a\rb\r\nabc\r\n0\r\n\r\n", ""),
        ("3;a\0\r\nabc\r\n0\r\n\r\n", ""),
        ("3\r\nabc\n0\r\n\r\n", "3\r\nabc\r\n"),
        ("3\r\nabcdef\r\n0\r\n\r\n", "3\r\nabc\r\n"),
        ("3\r\nabc0\r\n\r\n", "3\r\nabc\r\n"),
        ("3\r\nabc\r\n0\n\r\n", "3\r\nabc\r\n"),
        ("3\r\nabc\r\n0\r\n\n", "3\r\nabc\r\n"),
        ("0\r\nA: b\r\n c\r\n\r\n", ""),
        ("0\r\nabc\r\n\r\n", ""),
        ("0\r\nA: b\n\r\n", ""),
    ] {
        let received = format!("{head}{received}");
        // Bytes on their way to a node that is given up may arrive later than the answer.
        let pair = Pair::start().await;
        pair.check(&format!("{head}{body}"), Broken(400, &received)).await;
    }
    let pair = Pair::start().await;
    for body in [
        "3;e\r\nabc\r\n0\r\n\r\n",
        "3 ; e=\"1;2\"\r\nabc\r\n0;e\r\n\r\n",
        "0003\r\nabc\r\n000\r\n\r\n",
        "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nContent-Length: 5\r\nHost: b\r\nTransfer-Encoding: x\r\n\r\n",
    ] {
        let request = format!("{head}{body}");
        let passed = match body.starts_with("1\r\n") {
            true => format!("{head}1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
            false => format!("{head}3\r\nabc\r\n0\r\n\r\n"),
        };
        pair.check(&request, Passed(&passed)).await;
    }
}

#[tokio::test]
async fn expectations() {
    let pair = Pair::start().await;
    let request = |expect: &str| format!("{HEAD}Expect: {expect}\r\nContent-Length: 1\r\n\r\nx");
    for expect in ["200-ok", "100-continue, x"] {
        let sent = request(expect);
        pair.check(&sent, Passed(&sent)).await;
    }
}
