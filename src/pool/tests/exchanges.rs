//! One request and its answer on a connection: what is sent, waited for and cut off.

use super::*;
use crate::pool::sending::Sending;

#[tokio::test]
async fn a_request_that_was_not_sent_comes_back() {
    let bench = Bench::new().await;
    let socket = bench.idle().await;
    socket.set_zero_linger().unwrap();
    let connection = bench.take().unwrap();
    drop(socket);
    connection.stream.tcp().unwrap().ready(Interest::READABLE).await.unwrap();
    let error = post_nothing(connection, RequestFraming::Length(9)).await.unwrap_err();
    assert!(error.unsent.is_some(), "{error:?}");
}

#[tokio::test]
async fn a_request_that_the_node_may_have_got_does_not_come_back() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let cut = async move {
        read_head(&mut socket).await;
        drop(socket);
    };
    let (answer, ()) = tokio::join!(get(connection), cut);
    let error = answer.unwrap_err();
    assert!(matches!(error.fault, SendFault::Lost(_)), "{error:?}");
    assert!(error.unsent.is_none() && !error.is_stale);
}

#[tokio::test]
async fn a_loss_on_a_reused_connection_before_any_answer_is_told() {
    for (begun, is_stale) in [("", true), ("HTTP/1.1 2", false)] {
        let bench = Bench::new().await;
        let mut socket = bench.idle().await;
        let connection = bench.take().unwrap();
        let cut = async move {
            answer_with(&mut socket, begun).await;
            drop(socket);
        };
        let (sent, ()) = tokio::join!(get(connection), cut);
        assert_eq!(sent.unwrap_err().is_stale, is_stale, "{begun}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, "SSH-2.0-x\r\n\r\n"));
    let error = sent.unwrap_err();
    assert!(matches!(error.fault, SendFault::BadAnswer(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn each_party_has_its_own_deadline() {
    let bench = Bench::new().await;
    let wait = async |sending: Sending<RequestBody>| {
        let began = Instant::now();
        let fault = sending.await.unwrap_err().fault;
        (fault, began.elapsed())
    };
    let (connection, _socket) = bench.open().await;
    let (fault, after) = wait(get(connection)).await;
    assert!(matches!(fault, SendFault::Unanswered(_)) && after >= Duration::from_secs(60));

    let (connection, _socket) = bench.open().await;
    let (fault, after) = wait(post_nothing(connection, RequestFraming::Length(9))).await;
    assert!(matches!(fault, SendFault::ClientStalled(_)) && after >= Duration::from_secs(30));

    // More than both kernels' buffers hold.
    let (connection, _socket) = bench.open().await;
    let size = 64 << 20;
    let much = Full::from(vec![0; size]).boxed();
    let head = head(&Method::POST, RequestFraming::Length(size as u64));
    let limits = SendLimits { body_bytes_max: u64::MAX, ..limits() };
    let (fault, after) = wait(connection.send(&head, much, limits)).await;
    assert!(matches!(fault, SendFault::NodeStalled(_)) && after >= Duration::from_secs(30));
}

#[tokio::test]
async fn the_body_waits_for_the_100_that_the_client_expects() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let head = head(&Method::POST, RequestFraming::Length(4)).expecting_continue();
    let sending = connection.send(&head, Full::from("body").boxed(), limits());
    let node = async {
        read_head(&mut socket).await;
        assert!(socket.read_u8().now_or_never().is_none());
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        let mut body = [0; 4];
        socket.read_exact(&mut body).await.unwrap();
        socket.write_all(WHOLE.as_bytes()).await.unwrap();
        body
    };
    let (sent, body) = tokio::join!(sending, node);
    assert_eq!((read_to_end(sent).await, &body), (Bytes::from("ok"), b"body"));
}

#[tokio::test]
async fn a_poll_that_nobody_waits_for_ends_at_the_node() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    {
        let poll = std::pin::pin!(get(connection));
        tokio::select! {
            _ = poll => panic!("nobody answered"),
            () = read_head(&mut socket) => (),
        }
    }
    assert_closed(&mut socket).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_at_the_node() {
    for begun in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    ] {
        let bench = Bench::new().await;
        let (connection, mut socket) = bench.open().await;
        let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, begun));
        let mut answer = answered(answer);
        if begun.contains("begun") {
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "begun");
        }
        // Wait for more, as a reader would, for as long as the connection's task has to do.
        for _ in 0..10 {
            assert!(answer.frame().now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(answer);
        assert_closed(&mut socket).await;
        assert_eq!(bench.idle_count(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_the_node_cut_does_not_go_back() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun";
    let (answer, ()) = tokio::join!(get(connection), answer_with(&mut socket, begun));
    drop(socket);
    assert!(answered(answer).into_body().collect().await.is_err());
    assert_eq!(bench.idle_count(), 0);
}

#[tokio::test]
async fn an_upgraded_connection_belongs_to_its_caller() {
    let bench = Bench::new().await;
    let (connection, mut socket) = bench.open().await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nfirst";
    let (sent, ()) = tokio::join!(get(connection), answer_with(&mut socket, switch));
    let Reply::Switched(response) = sent.unwrap() else { panic!("a 101 was sent") };
    let NodeSocket { mut stream, read_ahead, has_whole_request } = response.into_body();
    assert!(read_ahead == "first" && has_whole_request);
    stream.write_all(b"second").await.unwrap();
    drop(stream);
    let mut second = String::new();
    timeout(ENOUGH, socket.read_to_string(&mut second)).await.unwrap().unwrap();
    assert_eq!(second, "second");
}
