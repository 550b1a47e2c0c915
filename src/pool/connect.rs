//! A connection to a node, by a deadline.
//!
//! The outcome of each connect is kept with the node.
//!
//! Runs for every request.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::options::ConnectOptions;
use super::{resolve, unix};
use crate::Instant;
use crate::net::{NetStream, socket};
use crate::tls::NodeTlsFault;
use crate::upstream::host::Host;
use crate::upstream::{Endpoint, Node};

/// Why there is no connection to a node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The resolver has no address for the host name.
    #[error("cannot resolve the host name of node {node}")]
    Resolve {
        /// The node's name.
        node: Arc<str>,
        /// What the resolver says.
        source: io::Error,
    },
    /// The node refused, is unreachable, or this machine is out of sockets.
    #[error("cannot connect to node {node}")]
    Io {
        /// The node's name.
        node: Arc<str>,
        /// What the system says.
        source: io::Error,
    },
    /// Its Unix socket does not accept a connection.
    #[error("cannot connect to node {node}: {}", unix::advice(path, source))]
    Unix {
        /// The node's name.
        node: Arc<str>,
        /// The path of the socket.
        path: Arc<Path>,
        /// What the system says.
        source: io::Error,
    },
    /// The TLS handshake with it failed.
    #[error("no TLS with node {node}")]
    Tls {
        /// The node's name.
        node: Arc<str>,
        /// Why.
        source: NodeTlsFault,
    },
    /// Nothing answered in time.
    #[error("cannot connect to node {node} within {timeout:?}")]
    TimedOut {
        /// The node's name.
        node: Arc<str>,
        /// The time that it had.
        timeout: Duration,
    },
}

/// Connects to `node`: to the first of its addresses that accepts, which comes first the next time.
/// One timeout covers all of it, from resolving the name on. If the future is dropped, nothing is held
/// against the node.
///
/// # Errors
///
/// All addresses failed; the error is that of the last.
pub(crate) async fn connect(
    node: &Node,
    options: ConnectOptions<'_>,
) -> Result<NetStream, ConnectError> {
    let begun = Instant::now();
    let result = connect_within(node, options).await;
    match &result {
        Ok(_) => node.connected(),
        Err(error) if error.counts_against_node() => {
            node.connect_failures().failed(begun, Instant::now());
            node.counts().connects_failed.inc();
        }
        Err(_) => (),
    }
    result
}

async fn connect_within(
    node: &Node,
    options: ConnectOptions<'_>,
) -> Result<NetStream, ConnectError> {
    let deadline = Instant::now() + options.timeout;
    let mut stream: NetStream = match node.host() {
        Host::Unix(path) => unix::connect(node, path, deadline).await?.into(),
        Host::Literal(_) | Host::Name(_) => connect_tcp(node, options, deadline).await?.into(),
    };
    if options.has_header() {
        let written = timeout_at(deadline, options.write_header(&mut stream)).await;
        let written = written.unwrap_or_else(|elapsed| Err(elapsed.into()));
        written.map_err(|source| failed(node, options, source))?;
    }
    let (Some(tls), Endpoint::Tcp(address)) = (options.tls, node.address()) else {
        return Ok(stream);
    };
    // The configuration refuses TLS over Unix sockets.
    let NetStream::Plain(socket) = stream else { return Ok(stream) };
    let handshake = timeout_at(deadline, tls.handshake(socket, &address.host)).await;
    let handshake = handshake.unwrap_or_else(|_elapsed| Err(NodeTlsFault::timed_out()));
    let failed = |source| ConnectError::Tls { node: node.name().clone(), source };
    Ok(NetStream::Tls(handshake.map_err(failed)?))
}

async fn connect_tcp(
    node: &Node,
    options: ConnectOptions<'_>,
    deadline: Instant,
) -> Result<TcpStream, ConnectError> {
    let unresolved = |source| ConnectError::Resolve { node: node.name().clone(), source };
    let addresses = timeout_at(deadline, resolve::addresses(node.host()))
        .await
        .map_err(|_elapsed| unresolved(io::ErrorKind::TimedOut.into()))?
        .map_err(unresolved)?;
    let connected = match *addresses {
        [only] => timeout_at(deadline, connect_to(only))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into())),
        _ => connect_to_first(&addresses, deadline).await.map(|(address, stream)| {
            node.host().connected(address);
            stream
        }),
    };
    connected.map_err(|source| failed(node, options, source))
}

fn failed(node: &Node, options: ConnectOptions<'_>, source: io::Error) -> ConnectError {
    let node = node.name().clone();
    match source.kind() {
        io::ErrorKind::TimedOut => ConnectError::TimedOut { node, timeout: options.timeout },
        _ => ConnectError::Io { node, source },
    }
}

/// A connect to one of several addresses.
type Attempt<'a> = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<TcpStream>)> + Send + 'a>>;

/// Connects to the addresses in turn, to the next as soon as the one before has failed or has taken
/// [`ATTEMPT_DELAY`], and takes the first that accepts (Happy Eyeballs, RFC 8305, section 5). So one
/// that swallows packets does not keep us from the next.
async fn connect_to_first(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> io::Result<(SocketAddr, TcpStream)> {
    if let [only] = addresses {
        return Ok((*only, timeout_at(deadline, connect_to(*only)).await??));
    }
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let (mut untried, mut attempts) = (addresses.iter().copied(), Vec::new());
    loop {
        if let Some(address) = untried.next() {
            let attempt: Attempt<'_> =
                Box::pin(async move { (address, connect_to(address).await) });
            attempts.push(attempt);
        }
        if attempts.is_empty() {
            return Err(last);
        }
        let until = match untried.len() {
            0 => deadline,
            _ => deadline.min(Instant::now() + ATTEMPT_DELAY),
        };
        match timeout_at(until, first_of(&mut attempts)).await {
            Ok((address, Ok(stream))) => return Ok((address, stream)),
            Ok((_, Err(error))) => last = error,
            Err(elapsed) if until >= deadline => return Err(elapsed.into()),
            Err(_) => (),
        }
    }
}

/// The first of `attempts` that ends, which is taken from them.
async fn first_of(attempts: &mut Vec<Attempt<'_>>) -> (SocketAddr, io::Result<TcpStream>) {
    poll_fn(|cx| {
        for index in 0..attempts.len() {
            if let Poll::Ready(ended) = attempts[index].as_mut().poll(cx) {
                drop(attempts.swap_remove(index));
                return Poll::Ready(ended);
            }
        }
        Poll::Pending
    })
    .await
}

/// "Connection Attempt Delay" of RFC 8305, section 8.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    socket::set_nodelay(&stream)?;
    Ok(stream)
}

impl ConnectError {
    /// What a client may know of the failure.
    pub(crate) fn what(&self) -> Option<&'static str> {
        match self {
            Self::Tls { source, .. } => Some(source.kind.what()),
            Self::Resolve { .. } | Self::Io { .. } | Self::Unix { .. } | Self::TimedOut { .. } => {
                None
            }
        }
    }

    /// Whether the node is to blame. If this machine is out of descriptors or ports, that says
    /// nothing of any node, and must not make us avoid them all.
    pub(crate) fn counts_against_node(&self) -> bool {
        match self {
            // The process may be well, whatever is known of its name.
            Self::Resolve { .. } => false,
            // It does not matter whose fault it is: no request can be sent to it.
            Self::TimedOut { .. } | Self::Tls { .. } | Self::Unix { .. } | Self::Io { .. } => {
                !self.is_own_shortage()
            }
        }
    }

    /// Whether this process or its machine is out of what each connection needs.
    pub(crate) fn is_own_shortage(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Unix { source, .. } => is_own_shortage(source),
            Self::Resolve { .. } | Self::Tls { .. } | Self::TimedOut { .. } => false,
        }
    }
}

fn is_own_shortage(error: &io::Error) -> bool {
    let shortages = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        // All ports of this machine are in use towards the node.
        Errno::ADDRNOTAVAIL,
    ];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::upstream::tests::node_at;

    const ENOUGH: Duration = Duration::from_secs(5);
    const EXACT: Duration = Duration::from_millis(10);

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Bound but not listening, so that nobody else gets the port: connects are refused.
    fn refusing() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn a_connection_has_no_delay() {
        let (_listener, address) = listen().await;
        let stream = connect(&node_at(address), ConnectOptions::within(ENOUGH)).await.unwrap();
        assert_eq!(stream.tcp().unwrap().peer_addr().unwrap(), address);
        assert!(stream.tcp().unwrap().nodelay().unwrap());
    }

    #[tokio::test]
    async fn a_node_that_refuses_is_avoided_until_it_accepts() {
        let (socket, address) = refusing();
        let node = node_at(address);
        let error = connect(&node, ConnectOptions::within(ENOUGH)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Io { .. }), "{error:?}");
        assert!(node.is_avoided(Instant::now()));

        let _listener = socket.listen(1).unwrap();
        connect(&node, ConnectOptions::within(ENOUGH)).await.unwrap();
        assert!(!node.is_avoided(Instant::now()));
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_times_out() {
        let (socket, address) = refusing();
        let _listener = socket.listen(1).unwrap();
        let node = node_at(address);
        let mut accepted = Vec::new();
        // What nobody accepts fills the queue; then the kernel leaves connects unanswered.
        let error = loop {
            assert!(accepted.len() < 64, "the queue has no end");
            match connect(&node, ConnectOptions::within(Duration::from_millis(50))).await {
                Ok(stream) => accepted.push(stream),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
        assert!(node.is_avoided(Instant::now()));
    }

    #[tokio::test]
    async fn the_next_address_is_tried() {
        let (_socket, refusing) = refusing();
        let (_listener, accepting) = listen().await;
        let deadline = Instant::now() + ENOUGH;
        let stream = connect_to_first(&[refusing, accepting], deadline).await.unwrap().1;
        assert_eq!(stream.peer_addr().unwrap(), accepting);
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_keeps_nobody_from_the_next() {
        // TEST-NET-1 (RFC 5737): nothing answers there, or there is no way to it.
        let silent: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let (_listener, accepting) = listen().await;
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(20);
        let (address, _) = connect_to_first(&[silent, accepting], deadline).await.unwrap();
        assert_eq!(address, accepting);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    /// A listener that leaves connects unanswered: its queue is full.
    async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let (socket, address) = refusing();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        let pause = Duration::from_millis(50);
        while let Ok(connected) = tokio::time::timeout(pause, TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
            assert!(queued.len() < 64, "the queue has no end");
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn the_next_address_is_tried_250_ms_after_the_one_before() {
        let (_one, _queued, silent_one) = silent().await;
        let (_other, _also_queued, silent_other) = silent().await;
        let (_listener, accepting) = listen().await;
        tokio::time::pause();
        let check = async |addresses: &[SocketAddr], expected: Duration| {
            let begun = Instant::now();
            let (address, _) = connect_to_first(addresses, begun + ENOUGH).await.unwrap();
            assert_eq!(address, accepting);
            // The runtime's timers are exact to a millisecond for each wait.
            let passed = begun.elapsed();
            assert!((expected..expected + EXACT).contains(&passed), "{addresses:?}: {passed:?}");
        };
        check(&[accepting, silent_one], Duration::ZERO).await;
        check(&[silent_one, accepting], ATTEMPT_DELAY).await;
        check(&[silent_one, silent_other, accepting], 2 * ATTEMPT_DELAY).await;

        let (_socket, refusing) = refusing();
        check(&[refusing, accepting], Duration::ZERO).await;
        check(&[silent_one, refusing, accepting], ATTEMPT_DELAY).await;

        let begun = Instant::now();
        let late = connect_to_first(&[silent_one, silent_other], begun + ENOUGH).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!((ENOUGH..ENOUGH + EXACT).contains(&begun.elapsed()));
    }

    #[test]
    fn a_shortage_of_this_machine_does_not_count_against_the_node() {
        let (node, path): (Arc<str>, Arc<Path>) = ("a".into(), Path::new("/a").into());
        let check = |errno: Errno, is_own: bool| {
            let (node, path) = (node.clone(), path.clone());
            let by_tcp = ConnectError::Io { node: node.clone(), source: errno.into() };
            let by_path = ConnectError::Unix { node, path, source: errno.into() };
            for error in [by_tcp, by_path] {
                assert_eq!(error.is_own_shortage(), is_own, "{error:?}");
                assert_eq!(error.counts_against_node(), !is_own, "{error:?}");
            }
        };
        for own in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL] {
            check(own, true);
        }
        for of_node in [Errno::CONNREFUSED, Errno::HOSTUNREACH, Errno::NETUNREACH, Errno::NOTDIR] {
            check(of_node, false);
        }
        let unresolved = ConnectError::Resolve { node, source: Errno::MFILE.into() };
        assert!(!unresolved.counts_against_node());
    }
}
