//! Accepting: addresses, the connection limit, the stop, failures.

use futures_util::FutureExt as _;
use socket2::SockRef;

use super::*;

#[tokio::test]
async fn a_taken_address_is_named() {
    let any = settings(Duration::from_secs(1), Duration::from_secs(1));
    let listener = Listener::bind(&any).unwrap();
    let address = listener.local_address();
    let error = Listener::bind(&Settings { bind: address, ..any }).unwrap_err();
    assert_eq!(error.address, address);
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

/// A listener that does not accept yet, and clients that have connected.
async fn with_waiting(count: usize) -> (Listener, Vec<TcpStream>) {
    let any = settings(Duration::from_secs(1), Duration::from_secs(1));
    let listener = Listener::bind(&any).unwrap();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(TcpStream::connect(listener.local_address()).await.unwrap());
    }
    (listener, clients)
}

#[tokio::test]
async fn clients_that_connected_before_the_stop_are_accepted() {
    let (listener, clients) = with_waiting(200).await;
    let address = listener.local_address();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    stop.cancel();
    let (sender, mut accepted) = mpsc::channel(clients.len());
    listener.accept(sender, AcceptBounds::none(), stopped).await.unwrap();
    assert_eq!(accepted.len(), clients.len());
    let first = accepted.recv().await.unwrap();
    assert_eq!(first.address, clients[0].local_addr().unwrap());
    assert!(first.stream.nodelay().unwrap());
    assert!(SockRef::from(&first.stream).keepalive().unwrap(), "as a tunnel needs it");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn no_more_waiting_clients_are_accepted_than_the_limit_allows() {
    let (listener, clients) = with_waiting(100).await;
    let stopped = CancellationToken::new();
    let (sender, mut accepted) = mpsc::channel(clients.len());
    let tasks = Tasks::default();
    let bounds = AcceptBounds { limit: ConnectionLimit::new(70), ..AcceptBounds::none() };
    tasks.spawn(async move { listener.accept(sender, bounds, stopped).await.unwrap() });
    let mut served = Vec::new();
    for _ in 0..70 {
        served.push(soon(accepted.recv()).await.unwrap());
    }
    assert!(accepted.try_recv().is_err());
    served.truncate(60);
    for _ in 0..10 {
        assert!(soon(accepted.recv()).await.unwrap().stream.nodelay().unwrap());
    }
    assert!(accepted.try_recv().is_err());
}

#[test]
fn only_failures_that_concern_one_client_are_ignored() {
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::HostUnreachable] {
        assert!(concerns_one_connection(&kind.into()));
    }
    for code in
        [/* EMFILE */ 24, /* ENFILE */ 23, /* ENOBUFS */ 105, /* EINVAL */ 22]
    {
        assert!(!concerns_one_connection(&io::Error::from_raw_os_error(code)));
    }
}

#[tokio::test]
async fn the_address_of_an_accept_loop_that_is_lost_stays_open_for_the_next() {
    let minute = Duration::from_secs(60);
    let listener = Listener::bind(&settings(minute, minute)).unwrap();
    let (address, again) = (listener.local_address(), listener.try_clone().unwrap());
    let (sender, mut accepted) = mpsc::channel(8);
    let accept = |listener: Listener| {
        listener.accept(sender.clone(), AcceptBounds::none(), CancellationToken::new())
    };
    assert!(accept(listener).now_or_never().is_none(), "it is dropped, as after a panic");
    let _client = TcpStream::connect(address).await.unwrap();
    tokio::select! {
        ended = accept(again) => panic!("{ended:?}"),
        next = soon(accepted.recv()) => assert!(next.is_some()),
    }
}
