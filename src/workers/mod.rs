//! One current-thread runtime for each core.
//!
//! A connection stays on one worker: no task of it moves, and no lock between cores is on its path.
//! The first worker is the thread that calls [`run`]: it accepts, dispatches each connection to the
//! worker with the fewest, and runs the control plane. With one core there is no other thread.
//!
//! Runs at start, at reload, or on a timer.

mod control;
mod dispatch;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc as blocking};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

pub(crate) use control::{AcceptHandle, Control};
use dispatch::{WorkerQueue, dispatch};

use crate::Instant;
use crate::listener::{Accepted, ClientService, ConnectionEnd, serve};
use crate::metrics::{Connections, InFlightGuard};
use crate::net::ConnectionLimit;
use crate::shutdown::{Shutdown, ShutdownWatch};
use crate::tasks::{Tasks, survived};

/// One worker for each core that this process may use, within the limits of its container.
pub(crate) fn per_core() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Starts `count` workers, runs `control` on the first of them, which is this thread, and ends them when
/// `control` returns. `limit` bounds the clients of all
/// workers.
///
/// Each worker makes a service with `make_service`, within its runtime, and serves connections with
/// clones of it. The [`Tasks`] belong to the worker, which waits for their end. `control` runs when all
/// workers are ready.
///
/// If `shutdown` has begun when `control` returns, connections and all other tasks of the workers have
/// time until its deadline, and the tasks of the first worker run as long; otherwise they are cut at once. Then
/// the threads are joined; a thread that is stuck in a task is abandoned after one second.
///
/// # Errors
///
/// [`StartError`] if a thread or a runtime cannot be created; then `control` has not run.
///
/// # Panics
///
/// Within another runtime, since this blocks its thread.
pub(crate) fn run<M, S, C, R>(
    count: NonZeroUsize,
    limit: ConnectionLimit,
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
    // A thread ends when its queue is dropped: the queues, declared last, are dropped first.
    let mut threads = Vec::new();
    let (queue, own_queue) = WorkerQueue::new();
    let mut queues = vec![queue];
    for number in 1..count.get() {
        let (queue, receiver) = WorkerQueue::new();
        queues.push(queue);
        let (make_service, counts) = (make_service.clone(), counts.clone());
        threads.push(Thread::start(number, make_service, receiver, counts, shutdown.clone())?);
    }

    let runtime = new_runtime().map_err(StartError::Runtime)?;
    let answer = runtime.block_on(async {
        let tasks = Tasks::default();
        let service = make_service(tasks.clone());
        let stop = CancellationToken::new();
        let (handle, mut accepted) = Control::new(&queues, tasks.clone(), limit, counts.clone());
        let stopped = stop.clone();
        tasks.spawn(async move {
            // A panic costs the connection that was in hand.
            while survived("dispatch", dispatch(&queues, &mut accepted, &stopped)).await.is_none() {
            }
        });
        // Clones of the handle may outlive `control` in tasks, so its end has to stop the dispatcher.
        let controlled = async {
            let answer = control(handle).await;
            stop.cancel();
            answer
        };
        // In a task: what is woken outside of one costs an extra turn of the runtime for each connection.
        let own = Tasks::default();
        own.spawn(serve_queue(own_queue, counts, service, tasks, shutdown.clone()));
        let answer = tokio::join!(controlled, own.ended()).0;
        others_ended(&mut threads, shutdown).await;
        answer
    });
    // Does not wait for blocking tasks: a lookup or a read that hangs must not delay the end.
    runtime.shutdown_background();
    Ok(answer)
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No runtime, mostly because there are too few descriptors.
    #[error("cannot create a runtime")]
    Runtime(#[source] io::Error),
    /// No thread.
    #[error("cannot start worker {number}")]
    Thread {
        /// The worker. The first, which needs no thread, is 0.
        number: usize,
        /// The error of the system.
        source: io::Error,
    },
    /// A worker panicked, mostly while it made its service.
    #[error("worker {number} ended before it was ready")]
    Died {
        /// The worker.
        number: usize,
    },
}

/// Serves the connections in the queue, and ends as described at [`run`] when the queue is closed.
async fn serve_queue<S: ClientService>(
    mut queue: mpsc::Receiver<Accepted>,
    counts: Arc<Connections>,
    service: S,
    tasks: Tasks,
    mut shutdown: ShutdownWatch,
) {
    // The connections of this worker watch a shutdown of its own: they check it whenever they are woken,
    // and no other core uses its lock.
    let (own_shutdown, watch) = Shutdown::following(&shutdown);
    loop {
        tokio::select! {
            end = shutdown.begun(), if !watch.has_begun() => {
                own_shutdown.begin(end.saturating_duration_since(Instant::now()));
            }
            next = queue.recv() => {
                let Some(accepted) = next else { break };

                // Outside of the connection's task a panic would end the worker with all that it serves.
                let begin = || begin(accepted, service.clone(), &tasks, &watch, &counts);
                if catch_unwind(AssertUnwindSafe(begin)).is_err() {
                    counts.ends.count(["panicked"]);
                }
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
                warn!(tasks = tasks.len(), "shutdown timeout reached, closing what remains");
            }
        }
    }
}

/// Waits for the other workers until the deadline of a shutdown, if one has begun.
async fn others_ended(threads: &mut [Thread], mut shutdown: ShutdownWatch) {
    if !shutdown.has_begun() {
        return;
    }
    let ended = async {
        for thread in threads {
            // Fails when the thread ends.
            let _ = (&mut thread.ended).await;
        }
    };
    tokio::select! {
        () = ended => (),
        () = shutdown.over() => (),
    }
}

/// Begins to serve a connection in a task of its own.
fn begin<S: ClientService>(
    accepted: Accepted,
    service: S,
    tasks: &Tasks,
    watch: &ShutdownWatch,
    counts: &Arc<Connections>,
) {
    let client = accepted.address;
    let open = counts.open.begin();
    // Boxed because a future is moved six times when it is spawned.
    let serving = Box::pin(serve(accepted, service, tasks, watch, counts));
    tasks.spawn(count_end(serving, client, open, counts.clone()));
}

/// Counts and logs the end of a connection.
async fn count_end(
    serving: impl Future<Output = ConnectionEnd> + Unpin,
    client: SocketAddr,
    open: InFlightGuard,
    counts: Arc<Connections>,
) {
    let panicked = CountIfPanicked(&counts);
    let end = serving.await;
    drop(panicked);
    counts.ends.count([end.label()]);
    debug!(%client, end = end.label(), reason = end.reason(), "connection closed");
    drop(open);
}

/// Counts the end of a connection whose task panics. The panic itself is logged by the hook.
struct CountIfPanicked<'a>(&'a Connections);

impl Drop for CountIfPanicked<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ends.count(["panicked"]);
        }
    }
}

/// A worker's thread, which is joined on drop.
#[derive(Debug)]
struct Thread {
    number: usize,
    /// Disconnected when the thread is done.
    done: blocking::Receiver<Infallible>,
    /// The same, to be awaited.
    ended: oneshot::Receiver<Infallible>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts a thread and waits until it is ready.
    fn start<M, S>(
        number: usize,
        make_service: Arc<M>,
        queue: mpsc::Receiver<Accepted>,
        counts: Arc<Connections>,
        shutdown: ShutdownWatch,
    ) -> Result<Self, StartError>
    where
        M: Fn(Tasks) -> S + Send + Sync + 'static,
        S: ClientService,
    {
        let (alive, done) = blocking::channel();
        let (running, ended) = oneshot::channel();
        let (ready, readiness) = blocking::channel();
        let main = move || {
            let _alive = (running, alive);
            let runtime = match new_runtime() {
                Ok(runtime) => runtime,
                Err(source) => {
                    // Fails only if the starting thread panicked.
                    let _ = ready.send(Err(source));
                    return;
                }
            };
            runtime.block_on(async {
                let tasks = Tasks::default();
                let service = make_service(tasks.clone());
                let _ = ready.send(Ok(()));
                serve_queue(queue, counts, service, tasks, shutdown).await;
            });
        };
        let handle = thread::Builder::new()
            // The kernel keeps 15 bytes of the name.
            .name(format!("sockeye-{number}"))
            .spawn(main)
            .map_err(|source| StartError::Thread { number, source })?;
        let thread = Self { number, done, ended, handle: Some(handle) };
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

/// How long a thread may take to end after the shutdown. Only a task that blocks its thread takes more
/// than a moment.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
