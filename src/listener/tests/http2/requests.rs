//! Requests and their responses.

use std::future::poll_fn;

use h2::Reason;

use super::*;

#[tokio::test]
async fn requests_are_answered_as_they_are_ready() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let slow = client.get("/slow");
    soon(server.arrived.notified()).await;
    let response = soon(client.get("/fast")).await.unwrap();
    assert!(response.headers().contains_key("date"));
    assert!(response.headers().contains_key("content-length"));
    server.release.notify_one();
    let (status, text) = whole(slow).await;
    assert!(status == 200 && text.starts_with("/slow "), "{text}");
}

#[tokio::test]
async fn http_1_is_served_on_the_same_address_however_its_bytes_arrive() {
    let server = Server::start_http2().await;
    for request in
        ["GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "P", "PRI * HTTP/1.1"]
    {
        let mut stream = server.connect().await;
        let (first, rest_of_it) = request.split_at(1);
        stream.write_all(first.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(rest_of_it.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        let is_answered = answer.starts_with("HTTP/1.1 200 OK\r\n");
        assert_eq!(is_answered, request.starts_with("GET"), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_body_reaches_the_service_and_a_large_response_its_client() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (response, mut sent) = client.post("/body");
    for part in ["some", " ", "bytes"] {
        sent.send_data(Bytes::from(part), false).unwrap();
    }
    sent.send_data(Bytes::new(), true).unwrap();
    let (status, text) = whole(response).await;
    assert!(status == 200 && text.starts_with("/body some bytes "), "{text}");
    let (status, text) = whole(client.get("/large")).await;
    assert_eq!((status, text.len()), (StatusCode::OK, LARGE_BYTES));
}

#[tokio::test]
async fn a_response_to_head_has_no_body() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let request = Request::head("http://a/large").body(()).unwrap();
    let response = client.requests.send_request(request, true).unwrap().0;
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().is_end_stream());
}

#[tokio::test]
async fn a_client_that_resets_or_leaves_ends_the_request() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (response, mut sent) = client.post("/slow");
    soon(server.arrived.notified()).await;
    sent.send_reset(Reason::CANCEL);
    soon(server.left.notified()).await;
    assert!(soon(response).await.is_err());
    assert_eq!(whole(client.get("/a")).await.0, 200, "the connection goes on");

    let response = client.get("/slow");
    soon(server.arrived.notified()).await;
    drop((response, client));
    soon(server.left.notified()).await;
}

#[tokio::test]
async fn a_client_that_expects_a_100_gets_it_when_the_body_is_read() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    for (path, proceeds) in [("/body", true), ("/unread", false)] {
        let request = Request::post(format!("http://a{path}")).header("expect", "100-continue");
        let (mut response, mut sent) =
            client.requests.send_request(request.body(()).unwrap(), false).unwrap();
        let informed = soon(poll_fn(|cx| response.poll_informational(cx))).await;
        assert_eq!(informed.is_some(), proceeds, "{path}");
        if proceeds {
            assert_eq!(informed.unwrap().unwrap().status(), 100);
            sent.send_data(Bytes::from("body"), true).unwrap();
        }
        assert_eq!(soon(response).await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_response_before_the_end_of_the_body_stops_the_body_and_nothing_else() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let (response, mut sent) = client.post("/unread");
    sent.send_data(Bytes::from("some"), false).unwrap();
    assert_eq!(whole(response).await, (StatusCode::OK, "unread".to_owned()));
    let reason = soon(poll_fn(|cx| sent.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, Reason::NO_ERROR);
    assert_eq!(whole(client.get("/a")).await.0, 200);
}

#[tokio::test]
async fn a_panic_costs_its_stream_alone() {
    let server = Server::start_http2().await;
    let mut client = Client::connect(&server).await;
    let slow = client.get("/slow");
    soon(server.arrived.notified()).await;
    let error = soon(client.get("/panic")).await.unwrap_err();
    assert!(error.is_reset(), "{error}");
    server.release.notify_one();
    assert_eq!(whole(slow).await.0, 200);
}

#[tokio::test]
async fn a_response_waits_for_the_window_of_its_client() {
    let server = Server::start_http2().await;
    let mut client =
        Client::connect_with(&server, client::Builder::new().initial_window_size(1)).await;
    let response = soon(client.get("/unread")).await.unwrap();
    let mut body = response.into_body();
    for expected in ["u", "n", "r", "e", "a", "d"] {
        let data = soon(body.data()).await.unwrap().unwrap();
        assert_eq!(data, expected, "one byte for each one that the window gets back");
        body.flow_control().release_capacity(1).unwrap();
    }
    assert!(soon(body.data()).await.is_none());
}
