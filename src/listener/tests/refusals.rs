//! Requests that are refused: faulty heads and bodies, slow heads.

use super::super::head_guard::Fault;
use super::*;

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_nothing_behind_it_is_served() {
    let mut server = Server::start().await;
    let behind = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, fault) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Fault::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            Fault::LengthAndCoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            Fault::LengthRepeated,
        ),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::BareLineFeed),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::BlankLines),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", Fault::LengthInvalid),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", Fault::LengthInvalid),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            Fault::Coding,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Fault::CodingInHttp10),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n", Fault::BareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0\r\n\r\n", Fault::Nul),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", Fault::FoldedLine),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", Fault::SpaceBeforeColon),
        ("GET /\r\n\r\n", Fault::Version),
        ("GET / HTTP/1.1\r\n\r\n", Fault::HostMissing),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::HostRepeated),
    ] {
        let answer = server.ask(&format!("{head}{behind}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\nDate: "), "{head:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{fault}\n")), "{answer}");
        assert_eq!(count(&answer, "\r\nDate: "), 1, "{answer}");
        assert!(matches!(server.end().await, ConnectionEnd::Refused(found) if found == fault));
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_431() {
    let server = Server::start().await;
    let field = "a".repeat(head_guard::HeadLimits::BYTES_MAX);
    let answer = server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {field}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    let fields = "X: y\r\n".repeat(head_guard::HeadLimits::FIELDS_MAX);
    let answer = server.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn a_refusal_by_hyper_says_as_much_as_one_by_the_guard() {
    let mut server = Server::start().await;
    let long = "x".repeat(65_535);
    for (request, status) in [
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET /` HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX@: y\r\n\r\n".to_owned(), "400 Bad Request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "431 Request Header Fields Too Large"),
    ] {
        let good = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        for before in ["", good] {
            let answer = server.ask(&format!("{before}{request}")).await;
            let begin = answer.find(&format!("HTTP/1.1 {status}")).expect(&answer);
            assert_eq!(answer[..begin].starts_with("HTTP/1.1 200"), !before.is_empty(), "{answer}");
            let refusal = &answer[begin..];
            assert_eq!(count(refusal, "HTTP/1.1"), 1, "{answer}");
            assert!(refusal.contains("\r\nX-Request-ID: "), "{answer}");
            assert!(refusal.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(refusal.split("\r\n\r\n").nth(1).unwrap().len() > 10, "{answer}");
            server.end().await;
        }
    }
}

#[tokio::test]
async fn requests_before_a_faulty_one_are_answered_first() {
    let mut server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n\
              GET /faulty HTTP/1.1\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await
        .unwrap();
    soon(server.arrived.notified()).await;
    server.release.notify_one();
    let answers = rest(&mut stream).await;
    assert_eq!(count(&answers, "HTTP/1.1 200 OK"), 2, "{answers}");
    assert!(answers.find("/next").unwrap() < answers.find("400 Bad Request").unwrap());
    assert!(answers.ends_with(&format!("{}\n", Fault::BareLineFeed)), "{answers}");
    assert_eq!(server.requests(), 2);
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::Refused(Fault::BareLineFeed)));
}

#[tokio::test]
async fn a_fault_in_a_body_reaches_its_reader_and_ends_the_connection() {
    let server = Server::start().await;
    let answer = server
        .ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n1 \r\nb\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with(&Fault::Chunk.to_string()), "{answer}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_slow_head_is_answered_with_408_wherever_it_stops() {
    let mut server = Server::start_with(Duration::from_millis(50), Duration::from_secs(60)).await;
    for head in ["G", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
        let answer = server.ask(head).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\nDate: "), "{answer}");
        assert!(matches!(server.end().await, ConnectionEnd::SlowHead));
    }
    let mut stream = server.connect().await;
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT").await.unwrap();
    let answers = rest(&mut stream).await;
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert_eq!(count(&answers, "HTTP/1.1 408 "), 1, "{answers}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_time_for_a_head_does_not_run_while_an_answer_is_awaited() {
    let mut server =
        Server::start_with(Duration::from_millis(30), Duration::from_millis(200)).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT").await.unwrap();
    soon(server.arrived.notified()).await;
    // Far longer than both timeouts: a connection that they end would end now.
    assert!(timeout(Duration::from_millis(300), server.ends.recv()).await.is_err());
    server.release.notify_one();
    let client = stream.local_addr().unwrap().to_string();
    until(&mut stream, &client).await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408 "));
    drop(stream);
    assert!(matches!(server.end().await, ConnectionEnd::SlowHead));
}
