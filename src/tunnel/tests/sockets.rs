//! Resets, which only real sockets have.

use crate::tunnel::end::Who;
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn a_reset_of_the_client_reaches_the_node_at_once() {
    let (client, mut node, mut tunnel) = start().await;
    reset(client);
    expect_fin(&mut node).await;
    drop(node);
    let report = tunnel.join_next().await.unwrap().unwrap();
    assert_eq!((report.end, report.end.who()), (End::ClientReset, Who::Client));
}

#[tokio::test]
async fn a_reset_of_the_node_reaches_the_client_at_once() {
    let (mut client, node, mut tunnel) = start().await;
    reset(node);
    expect_fin(&mut client).await;
    drop(client);
    let report = tunnel.join_next().await.unwrap().unwrap();
    assert_eq!((report.end, report.end.who()), (End::NodeReset, Who::Node));
}

#[tokio::test(start_paused = true)]
async fn a_reset_behind_a_fin_ends_a_stream_of_another_protocol() {
    for side in Side::ALL {
        let (client, client_side) = pair().await;
        let (node, node_side) = pair().await;
        let mut tunnel = JoinSet::new();
        let (_shutdown, watch) = Shutdown::new();
        let setup = Setup { protocol: Protocol::Unknown, ..setup(watch) };
        tunnel.spawn(run(client_side, node_side, setup));
        let (mut gone, mut silent) = match side {
            Side::Client => (client, node),
            Side::Node => (node, client),
        };
        gone.shutdown().await.unwrap();
        expect_fin(&mut silent).await;
        let begun = Instant::now();
        reset(gone);
        let report = tunnel.join_next().await.unwrap().unwrap();
        let expected = match side {
            Side::Client => End::ClientReset,
            Side::Node => End::NodeReset,
        };
        assert_eq!(report.end, expected);
        assert!(begun.elapsed() < 60 * SECOND, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn megabytes_arrive_whole_over_sockets() {
    let (mut client, mut node, _tunnel) = start().await;
    let message: Vec<u8> = (0..121).collect();
    let sent = masked(0x82, &message).repeat(60_000);
    let write = async {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let read = async { node.read_to_end(&mut received).await.unwrap() };
    tokio::join!(write, read);
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

#[tokio::test]
async fn a_tunnel_over_sockets_is_small_and_can_run_on_any_worker() {
    fn bytes_of(tunnel: &(impl Future<Output = Report> + Send)) -> usize {
        size_of_val(tunnel)
    }
    let ((_client, client_side), (_node, node_side)) = (pair().await, pair().await);
    let tunnel = run(client_side, node_side, setup(Shutdown::new().1));
    // Besides it there are 56 bytes with the client's limits, 144 if sides are pinged, 160 and a
    // pointer for its roster entry, and two pointers in the list of the shutdown. With the rest of
    // a task, that is 768 bytes, one of the allocator's sizes; the next is 896.
    assert!(bytes_of(&tunnel) <= 656, "{} bytes", bytes_of(&tunnel));
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_alone_in_flight_has_a_short_timeout_and_other_bytes_have_not() {
    let (mut client, client_side) = pair().await;
    let (mut node, node_side) = pair().await;
    let (client_side, of_client) = twin(client_side);
    let (node_side, of_node) = twin(node_side);
    let limits = Limits::default();
    client_side.set_unacknowledged_max(limits.unacknowledged_max(Side::Client));
    node_side.set_unacknowledged_max(limits.unacknowledged_max(Side::Node));
    let seconds = || [&of_client, &of_node].map(seconds_unacknowledged);
    let (_shutdown, watch) = Shutdown::new();
    let mut tunnel = JoinSet::new();
    tunnel.spawn(run(client_side, node_side, Setup { limits, ..setup(watch) }));
    let message = unmasked(0x81, b"news");

    for _ in 0..3 {
        client.read_exact(&mut [0; 10]).await.unwrap();
        node.read_exact(&mut [0; 14]).await.unwrap();
        assert_eq!(seconds(), [17, 17]);
        node.write_all(&message).await.unwrap();
        expect(&mut client, &message).await;
        assert_eq!(seconds(), [130, 70], "news is under way to the client; the node was heard");
    }
}

/// `stream`, and another handle of its socket.
fn twin(stream: TcpStream) -> (TcpStream, socket2::Socket) {
    let stream = stream.into_std().unwrap();
    let twin = stream.try_clone().unwrap();
    (TcpStream::from_std(stream).unwrap(), twin.into())
}

fn seconds_unacknowledged(socket: &socket2::Socket) -> u64 {
    socket.tcp_user_timeout().unwrap().unwrap().as_secs()
}

/// A client's socket, a node's socket, and the tunnel between them, through which a byte has gone.
async fn start() -> (TcpStream, TcpStream, JoinSet<Report>) {
    let (mut client, client_side) = pair().await;
    let (mut node, node_side) = pair().await;
    let mut tunnel = JoinSet::new();
    let (_, watch) = Shutdown::new();
    tunnel.spawn(run(client_side, node_side, setup(watch)));
    client.write_all(&masked(0x81, b"up")).await.unwrap();
    expect(&mut node, &masked(0x81, b"up")).await;
    (client, node, tunnel)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (connected, accepted) = tokio::join!(connect, listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

/// Closes `socket` so that the other end gets RST and not FIN.
fn reset(socket: TcpStream) {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
}
