//! Request lines, targets, hosts and fields.

use super::{Pair, Passed, Refused};

#[tokio::test]
async fn request_lines() {
    let pair = Pair::start().await;
    let wrong = [
        "GET  / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1\t",
        " GET / HTTP/1.1",
        " / HTTP/1.1",
        "G\u{1}T / HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/01.1",
        "GET / HTTP/1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / HTTP/ 1.1",
        "GET /",
        "GET / ",
        "PRI * HTTP/2.0",
        "GET / HTTP/1.1\r",
        "CONNECT / HTTP/1.1",
        "GET * HTTP/1.1",
    ];
    for line in wrong {
        pair.check(&format!("{line}\r\nHost: a\r\n\r\n"), Refused(400)).await;
    }
    pair.check("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Refused(501)).await;
    for method in ["GET", "get", "FOO"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        pair.check(&request, Passed(&request)).await;
    }
}

#[tokio::test]
async fn targets() {
    let pair = Pair::start().await;
    let wrong = "x a:80 ?x # /x#f /\u{1} /\u{7f} /\u{80} /x\u{b} /\" /<x> /` /\0 http:///x http://u:p@a/x \
                 http://a:99999/x /.. /a/../b /a/./b /%2e%2e/b /a/.%2E /a/%2e%2e%2fb /a%2f../b /a\\b \
                 /a%5cb /%00";
    for target in wrong.split(' ') {
        pair.check(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), Refused(400)).await;
    }
    pair.check("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)).await;
    for target in ["//a/x", "/a//b", "/%", "/%zz", "/%0d%0a", "/;x", "/...", "/a?x=../%2e"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        pair.check(&request, Passed(&request)).await;
    }
    for (target, host, path) in [
        ("http://b/x", "b", "/x"),
        ("HTTP://B", "B", "/"),
        ("http://b?x", "b", "/?x"),
        ("http://[::1]:80/x", "[::1]:80", "/x"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let passed = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        pair.check(&request, Passed(&passed)).await;
    }
}

#[tokio::test]
async fn hosts() {
    let pair = Pair::start().await;
    let wrong = "a/b u@a a:1:2 a:99999 a:x a:0 a:+80 [::1 ::1 a%00 a\\b a?b a#b a\u{1} \u{e4} http://a \"a\" <a>";
    for host in wrong.split(' ') {
        pair.check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Refused(400)).await;
    }
    for fields in [
        "",
        "Host: a b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\n b\r\n",
        "Host : a\r\n",
        " Host: a\r\n",
    ] {
        pair.check(&format!("GET / HTTP/1.1\r\n{fields}\r\n"), Refused(400)).await;
    }
    for host in ["a", "A", "a:80", "a.", "a_b", "[::1]", "[::1]:80", "1.2.3.4"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        pair.check(&request, Passed(&request)).await;
    }
}

#[tokio::test]
async fn fields() {
    let pair = Pair::start().await;
    let wrong = [
        "A: b\0c\r\n",
        "A: b\rc\r\n",
        "A: b\r\r\n",
        "A: b\n",
        "A: b\r\n c\r\n",
        "A: b\r\n\tc\r\n",
        "A : b\r\n",
        "A\t: b\r\n",
        ": b\r\n",
        "A b: c\r\n",
        "A\u{1}: c\r\n",
        "A\0: c\r\n",
        "Abc\r\n",
        "A: \u{7f}\r\n",
        "A: \u{1}\r\n",
        "A: \u{1b}[0m\r\n",
        "A: \u{b}b\r\n",
        "\u{e4}: b\r\n",
        "A/B: c\r\n",
        "A(: c\r\n",
        "\"A\": c\r\n",
    ];
    for field in wrong {
        pair.check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n"), Refused(400)).await;
    }
    for (sent, passed) in [
        ("A:\r\n", "A: \r\n"),
        ("A:b\r\n", "A: b\r\n"),
        ("A: \t b \t\r\n", "A: b\r\n"),
        ("A: \u{80}\u{ff}\r\n", "A: \\x80\\xff\r\n"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{sent}\r\n");
        let passed = format!("GET / HTTP/1.1\r\nHost: a\r\n{passed}\r\n");
        pair.check(&request, Passed(&passed)).await;
    }
}

#[tokio::test]
async fn line_ends_and_empty_lines() {
    let pair = Pair::start().await;
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for wrong in [
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n",
    ] {
        pair.check(wrong, Refused(400)).await;
    }
    pair.check(&format!("\r\n{plain}"), Passed(plain)).await;
}

#[tokio::test]
async fn fields_that_the_client_says_belong_to_its_connection() {
    let pair = Pair::start().await;
    for (connection, cookie) in [
        ("Cookie", ""),
        ("Host", "Cookie: c\r\n"),
        ("Content-Length", "Cookie: c\r\n"),
        ("X-Forwarded-For", "Cookie: c\r\n"),
        ("a b, \"x\", ,,", "Cookie: c\r\n"),
    ] {
        let fields = format!("Connection: {connection}\r\nCookie: c\r\nContent-Length: 1\r\n");
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\nx");
        let passed = format!("POST / HTTP/1.1\r\nHost: a\r\n{cookie}Content-Length: 1\r\n\r\nx");
        pair.check(&request, Passed(&passed)).await;
    }
    // Whether `Connection` names them or not.
    for hop in [
        "Keep-Alive: 1\r\nProxy-Connection: close\r\nTE: trailers\r\nTrailer: A\r\n",
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{hop}\r\n");
        pair.check(&request, Passed("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
}
