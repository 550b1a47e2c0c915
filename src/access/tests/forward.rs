//! Many clients before an authorization service.

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Clients, each with credentials of its own: more than are remembered.
const CLIENTS: usize = 10_000;

/// How many of them come at the same time.
const AT_ONCE: usize = 64;

/// Lets everybody in, and counts connections.
async fn serve(listener: TcpListener, connections: Arc<std::sync::atomic::AtomicUsize>) {
    let mut tasks = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(async move {
            let (mut seen, mut buffer) = (Vec::new(), [0; 2048]);
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                seen.extend_from_slice(&buffer[..length]);
                if seen.ends_with(b"\r\n\r\n") {
                    seen.clear();
                    let response = b"HTTP/1.1 200 OK\r\nX-User: ann\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(response).await.unwrap();
                }
            }
        });
    }
}

#[tokio::test]
async fn ten_thousand_clients_leave_a_bounded_memory_and_few_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServiceUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::default();
    let mut service = JoinSet::new();
    service.spawn(serve(listener, Arc::clone(&connections)));
    let mut forward = ForwardSettings::new(url, None);
    forward.response_fields = vec![HeaderName::from_static("x-user")];
    // Nothing of it depends on how fast the machine is.
    forward.timeout = Duration::from_secs(30);
    let settings = Settings { auth: Some(AuthSettings::Forward(forward)), ..Settings::default() };
    let (access, pool, counts) = (with(&settings), Pool::new(), AuthCounts::default());
    let ask = async |number: usize| {
        let fields = fields(&[("authorization", &format!("Bearer {number}"))]);
        let granted = access.check(&visitor([10, 0, 0, 1].into(), &fields), &pool, &counts).await;
        assert_eq!(granted.unwrap().fields.len(), 1, "{number}");
    };
    stream::iter(0..CLIENTS).for_each_concurrent(AT_ONCE, ask).await;

    let allowed = || counts.requests.total();
    assert_eq!((allowed(), counts.remembered.get()), (CLIENTS as u64, 0));
    let Some(Auth::Forward(forward)) = &access.auth else { panic!("{access:?}") };
    let [remembered, in_flight] = forward.held();
    assert!((1..=2 * GENERATION_ENTRIES_MAX).contains(&remembered), "{remembered}");
    assert_eq!(in_flight, 0);
    let connections = connections.load(Ordering::Relaxed);
    assert!((1..=AT_ONCE).contains(&connections), "{connections}");
    // The last one is remembered; the first one is not, and is asked about again.
    ask(CLIENTS - 1).await;
    assert_eq!((allowed(), counts.remembered.get()), (CLIENTS as u64, 1));
    ask(0).await;
    assert_eq!((allowed(), counts.remembered.get()), (CLIENTS as u64 + 1, 1));
}
