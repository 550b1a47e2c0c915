//! The yardstick: a relay that moves bytes and does nothing else. One thread, one buffer for all
//! connections, a node chosen at accept; it parses nothing and keeps no session.
//!
//! About the least that a proxy of this kind can spend on this machine.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use clap::Args;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::{Outcome, machine};

#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen; the address is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where connections go, in turn
    #[arg(long = "node", value_name = "ADDRESS", required = true)]
    nodes: Vec<SocketAddr>,
    /// End when the process ends that started this one
    #[arg(long)]
    end_with_parent: bool,
}

/// Relays until the process is ended.
pub(crate) fn relay(options: Options) -> Outcome {
    if options.end_with_parent {
        machine::end_with_parent()?;
    }
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        println!("{}", listener.local_addr()?);
        Ok(serve(listener, options.nodes).await?)
    })
}

async fn serve(listener: TcpListener, nodes: Vec<SocketAddr>) -> io::Result<()> {
    let mut connections = JoinSet::new();
    for node in nodes.into_iter().cycle() {
        let (client, _) = listener.accept().await?;
        connections.spawn(connection(client, node));
        while connections.try_join_next().is_some() {}
    }
    Ok(())
}

/// Both directions, until each has ended or one has failed.
async fn connection(mut client: TcpStream, node: SocketAddr) -> io::Result<()> {
    let mut node = TcpStream::connect(node).await?;
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_node, to_node) = node.split();
    tokio::try_join!(pass(from_client, to_node), pass(from_node, to_client))?;
    Ok(())
}

async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    loop {
        let passed = poll_fn(|context| pass_once(&mut from, &to, context)).await?;
        match passed {
            Passed::All => (),
            Passed::Rest(rest) => to.write_all(&rest).await?,
            Passed::End => return to.shutdown().await,
        }
    }
}

enum Passed {
    All,
    /// What the other side did not take at once.
    Rest(Vec<u8>),
    End,
}

fn pass_once(
    from: &mut ReadHalf<'_>,
    to: &WriteHalf<'_>,
    context: &mut Context<'_>,
) -> Poll<io::Result<Passed>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(from).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(Passed::End));
        }
        let taken = match to.try_write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let rest = bytes.get(taken..).unwrap_or_default();
        let passed = if rest.is_empty() { Passed::All } else { Passed::Rest(rest.to_vec()) };
        Poll::Ready(Ok(passed))
    })
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
}
