//! One current-thread runtime for each core, and who gets which connection.
//!
//! A connection lives and dies on one worker: nothing of it is stolen, and no lock between cores
//! is on its path. The first worker is the thread that calls [`run`]: it accepts, deals what it
//! accepted to the worker with the fewest connections, and carries the control plane besides.
//! With one core there is no other thread.
//!
//! Runs at start, at reload, or on a timer.

mod control;
mod desk;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

pub use control::{Accepting, Control};
use desk::{Desk, Work, deal};

use crate::Instant;
use crate::client::Places;
use crate::listener::{ClientService, ConnectionEnd, serve};
use crate::metrics::{Connections, Open};
use crate::shutdown::{Shutdown, ShutdownWatch};
use crate::tasks::Tasks;

/// One worker for each core that this process may use; limits of containers count.
pub fn per_core() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Starts `count` workers, runs `control` on the first of them, which is this thread, and ends
/// them all when `control` has returned. Clients find as many `places` as there are.
///
/// Each worker makes its own service by `make_service`, within its runtime, and serves
/// connections by clones of it; the [`Tasks`] are the worker's own, whose end it waits for.
/// `control` runs when all workers are ready.
///
/// The end: if `shutdown` has begun when `control` returns, connections and all other tasks of the
/// workers have time until the shutdown's end; else they are cut at once. Then the threads are
/// joined; one that is stuck in a task is left behind a second later.
///
/// # Errors
///
/// [`StartError`] if a thread or a runtime cannot be made; then `control` has not run.
///
/// # Panics
///
/// Within another runtime, since this blocks its thread.
pub fn run<M, S, C, R>(
    count: NonZeroUsize,
    places: Places,
    make_service: M,
    shutdown: ShutdownWatch,
    control: C,
) -> Result<R, StartError>
where
    M: Fn(Tasks) -> S + Send + Sync + 'static,
    S: ClientService,
    C: AsyncFnOnce(Control) -> R,
{
    let make_service = Arc::new(make_service);
    let counts = Arc::<Connections>::default();
    // A thread ends when its desk is gone: the desks, declared last, are dropped first.
    let mut threads = Vec::new();
    let (desk, work) = Desk::new();
    let mut desks = vec![desk];
    for number in 1..count.get() {
        let (desk, work) = Desk::new();
        desks.push(desk);
        threads.push(Thread::start(
            number,
            make_service.clone(),
            (work, counts.clone()),
            shutdown.clone(),
        )?);
    }

    let runtime = new_runtime().map_err(StartError::Runtime)?;
    let answer = runtime.block_on(async {
        let tasks = Tasks::default();
        let service = make_service(tasks.clone());
        let over = CancellationToken::new();
        let (handle, dealing) =
            Control::new(&desks, (tasks.clone(), places), over.clone(), counts.clone());
        tasks.spawn(deal(desks, dealing));
        // Clones of the handle may outlive `control` in tasks; the dealing does not.
        let controlled = async {
            let answer = control(handle).await;
            over.cancel();
            answer
        };
        tokio::join!(controlled, serve_queue((work, counts), service, tasks, shutdown)).0
    });
    // Without a wait for what blocks: a look-up or a read that hangs must not hold the end up.
    runtime.shutdown_background();
    Ok(answer)
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No runtime: too few descriptors, as a rule.
    #[error("cannot make a runtime")]
    Runtime(#[source] io::Error),
    /// No thread.
    #[error("cannot start worker {number}")]
    Thread {
        /// Which; the first, which needs no thread, is 0.
        number: usize,
        /// What the system says.
        source: io::Error,
    },
    /// It panicked, as a rule while it made its service.
    #[error("worker {number} ended before it was ready")]
    Died {
        /// Which.
        number: usize,
    },
}

/// Serves what is laid on the desk, and ends as [`run`] says when the desk is gone.
async fn serve_queue<S: ClientService>(
    (mut work, counts): (Work, Arc<Connections>),
    service: S,
    tasks: Tasks,
    mut shutdown: ShutdownWatch,
) {
    // The connections of this worker watch a shutdown of its own: they look at it whenever they are
    // woken, and the lock in it is then one that no other core wants.
    let (own_shutdown, watch) = Shutdown::new();
    loop {
        tokio::select! {
            end = shutdown.begun(), if !watch.has_begun() => {
                own_shutdown.begin(end.saturating_duration_since(Instant::now()));
            }
            next = work.recv() => {
                let Some(accepted) = next else { break };

                let client = accepted.address;
                let open = counts.open.begin();
                // In a box, for what is spawned is moved six times.
                let serving = Box::pin(serve(accepted, service.clone(), &watch));
                tasks.spawn(follow(serving, client, open, counts.clone()));
            }
        }
    }
    drop(service);
    if shutdown.has_begun() {
        let end = shutdown.begun().await;
        own_shutdown.begin(end.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = tasks.ended() => (),
            () = shutdown.over() => {
                warn!(tasks = tasks.len(), "cutting what did not end within the shutdown");
            }
        }
    }
}

/// Counts the end of a connection.
async fn follow(
    serving: impl Future<Output = ConnectionEnd> + Unpin,
    client: SocketAddr,
    open: Open,
    counts: Arc<Connections>,
) {
    let end = serving.await;
    counts.ends.count([end.label()]);
    debug!(%client, end = end.label(), reason = end.reason(), "connection over");
    drop(open);
}

/// A worker's thread. To drop it is to join it.
#[derive(Debug)]
struct Thread {
    number: usize,
    /// Disconnected when the thread is done.
    done: blocking::Receiver<Infallible>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts a thread and waits until it is ready to work.
    fn start<M, S>(
        number: usize,
        make_service: Arc<M>,
        work: (Work, Arc<Connections>),
        shutdown: ShutdownWatch,
    ) -> Result<Self, StartError>
    where
        M: Fn(Tasks) -> S + Send + Sync + 'static,
        S: ClientService,
    {
        let (alive, done) = blocking::channel();
        let (ready, readiness) = blocking::channel();
        let main = move || {
            let _alive = alive;
            let runtime = match new_runtime() {
                Ok(runtime) => runtime,
                Err(source) => {
                    // Nobody listens only if the starting thread panicked.
                    let _ = ready.send(Err(source));
                    return;
                }
            };
            runtime.block_on(async {
                let tasks = Tasks::default();
                let service = make_service(tasks.clone());
                let _ = ready.send(Ok(()));
                serve_queue(work, service, tasks, shutdown).await;
            });
        };
        let handle = thread::Builder::new()
            // The kernel keeps 15 bytes of it.
            .name(format!("sockeye-{number}"))
            .spawn(main)
            .map_err(|source| StartError::Thread { number, source })?;
        let thread = Self { number, done, handle: Some(handle) };
        match readiness.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(source)) => Err(StartError::Runtime(source)),
            Err(blocking::RecvError) => Err(StartError::Died { number }),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let number = self.number;
        match self.done.recv_timeout(JOIN_TIMEOUT) {
            Ok(never) => match never {},
            Err(blocking::RecvTimeoutError::Timeout) => error!(number, "a worker is stuck"),
            Err(blocking::RecvTimeoutError::Disconnected) => {
                if handle.join().is_err() {
                    error!(number, "a worker panicked");
                }
            }
        }
    }
}

fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// How long after the end of the shutdown a thread may take to end. Only a task that blocks its
/// thread makes it longer than a moment.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
