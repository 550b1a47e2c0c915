//! Dispatching connections to workers, and the end of both.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tower::service_fn;

use super::*;
use crate::listener::{Listener, Settings};
use crate::net::ClientBody;

fn unlimited() -> ConnectionLimit {
    ConnectionLimit::new(usize::MAX)
}

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn listener() -> Listener {
    let settings = Settings { bind: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    Listener::bind(&settings).unwrap()
}

/// Answers with the name of the thread that serves it.
fn thread_name(_tasks: Tasks) -> impl ClientService {
    service_fn(async |_request: Request<ClientBody>| {
        let name = thread::current().name().unwrap_or("none").to_owned();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(name))))
    })
}

/// A client that got one answer, and the name of the thread that gave it.
async fn served(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(answer).unwrap();
    let (_, length) = head.split_once("Content-Length: ").unwrap();
    let length: usize = length.split_once('\r').unwrap().0.parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (stream, String::from_utf8(body).unwrap())
}

/// Fails a test instead of letting it hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it takes too long")
}

#[test]
fn each_connection_is_dispatched_to_the_worker_with_the_fewest() {
    let (_shutdown, watch) = Shutdown::new();
    run(workers(3), unlimited(), thread_name, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        let _accepting = control.accept(listener);
        let mut clients = Vec::new();
        for _ in 0..12 {
            clients.push(soon(served(address)).await);
        }
        assert_eq!(control.connections().collect::<Vec<_>>(), [4, 4, 4]);

        let emptied = clients[0].1.clone();
        clients.retain(|(_, worker)| *worker != emptied);
        assert_eq!(clients.len(), 8);
        while !control.connections().any(|connections| connections == 0) {
            tokio::task::yield_now().await;
        }
        for _ in 0..4 {
            let (stream, worker) = soon(served(address)).await;
            assert_eq!(worker, emptied);
            clients.push((stream, worker));
        }
        assert_eq!(control.connections().collect::<Vec<_>>(), [4, 4, 4]);
    })
    .unwrap();
}

#[test]
fn one_worker_is_the_calling_thread_alone() {
    let (_shutdown, watch) = Shutdown::new();
    let made = Arc::new(AtomicUsize::new(0));
    let seen = made.clone();
    let make_service = move |tasks| {
        seen.fetch_add(1, Ordering::Relaxed);
        thread_name(tasks)
    };
    let here = thread::current().name().unwrap_or("none").to_owned();
    let worker = run(workers(1), unlimited(), make_service, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        let _accepting = control.accept(listener);
        soon(served(address)).await.1
    });
    assert_eq!(worker.unwrap(), here);
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

/// Panics when it is cloned the third time: for the second connection, after the first one and its request.
struct Trap(Arc<AtomicUsize>);

impl Trap {
    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 3
    }
}

impl Clone for Trap {
    fn clone(&self) -> Self {
        assert_ne!(self.0.fetch_add(1, Ordering::Relaxed), 2, "as this test wants it");
        Self(self.0.clone())
    }
}

#[test]
fn a_panic_before_a_connection_has_a_task_costs_no_other_connection() {
    let (_shutdown, watch) = Shutdown::new();
    let clones = Arc::<AtomicUsize>::default();
    let make_service = move |_tasks| {
        let trap = Trap(clones.clone());
        service_fn(move |_request: Request<ClientBody>| {
            let answer = Full::new(Bytes::from(trap.is_open().to_string()));
            async { Ok::<_, Infallible>(Response::new(answer)) }
        })
    };
    run(workers(1), unlimited(), make_service, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        let _accepting = control.accept(listener);
        let (mut first, _) = soon(served(address)).await;
        let mut lost = TcpStream::connect(address).await.unwrap();
        assert_eq!(soon(lost.read(&mut [0])).await.unwrap(), 0);
        first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        soon(first.read_u8()).await.unwrap();
        assert_eq!(soon(served(address)).await.1, "true");
        let ends: Vec<_> = control.counts().ends.iter().collect();
        assert_eq!(ends, [(["panicked"], 1)]);
    })
    .unwrap();
}

#[test]
fn listeners_start_and_stop_while_connections_continue() {
    let (_shutdown, watch) = Shutdown::new();
    run(workers(2), unlimited(), thread_name, watch, async |control| {
        let (first, second) = (listener(), listener());
        let addresses = [first.local_address(), second.local_address()];
        let [accepting, _other] = [control.accept(first), control.accept(second)];
        let (mut stream, _) = soon(served(addresses[0])).await;

        soon(accepting.stop()).await;

        assert!(TcpStream::connect(addresses[0]).await.is_err());
        soon(served(addresses[1])).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        soon(stream.read_u8()).await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_shutdown_waits_for_answers_and_no_longer() {
    let (shutdown, watch) = Shutdown::new();
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (arriving, released) = (arrived.clone(), release.clone());
    let make_service = move |_tasks| {
        let (arriving, released) = (arriving.clone(), released.clone());
        service_fn(move |_request: Request<ClientBody>| {
            let (arriving, released) = (arriving.clone(), released.clone());
            async move {
                arriving.notify_one();
                released.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        })
    };
    run(workers(2), unlimited(), make_service, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        let accepting = control.accept(listener);
        for _ in 0..2 {
            let asking = served(address);
            control.tasks().spawn(async move {
                asking.await;
            });
            soon(arrived.notified()).await;
        }
        assert_eq!(control.connections().collect::<Vec<_>>(), [1, 1]);
        accepting.stop().await;
        shutdown.begin(Duration::from_secs(3600));
        release.add_permits(2);
    })
    .unwrap();
}

#[test]
fn a_shutdown_waits_for_a_worker_after_the_first_has_ended() {
    let (shutdown, watch) = Shutdown::new();
    let release = Arc::new(Semaphore::new(0));
    let released = release.clone();
    let make_service = move |_tasks| {
        let released = released.clone();
        service_fn(move |_request: Request<ClientBody>| {
            let released = released.clone();
            async move {
                if thread::current().name() == Some("sockeye-1") {
                    released.acquire().await.unwrap().forget();
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        })
    };
    let (ended, has_ended) = blocking::channel();
    let waiting = thread::spawn(move || {
        let end = has_ended.recv_timeout(JOIN_TIMEOUT + Duration::from_millis(500));
        release.add_permits(1);
        end
    });
    let mut clients = run(workers(2), unlimited(), make_service, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        let accepting = control.accept(listener);
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            clients.push(client);
        }
        accepting.stop().await;
        shutdown.begin(Duration::from_secs(3600));
        clients
    })
    .unwrap();
    // Fails if the waiting thread has given up, as it should have.
    let _ = ended.send(());
    assert_eq!(waiting.join().unwrap(), Err(blocking::RecvTimeoutError::Timeout));
    for client in &mut clients {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    }
}

#[test]
fn a_connection_that_does_not_end_within_the_shutdown_is_cut() {
    let (shutdown, watch) = Shutdown::new();
    let make_service = |_tasks| {
        service_fn(|_request: Request<ClientBody>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        })
    };
    let mut stuck = run(workers(2), unlimited(), make_service, watch, async |control| {
        let listener = listener();
        let address = listener.local_address();
        // Neither a forgotten listener nor a handle that a task holds delays the end.
        std::mem::forget(control.accept(listener));
        let handle = control.clone();
        control.tasks().spawn(async move {
            std::future::pending::<()>().await;
            drop(handle);
        });
        let mut stuck = std::net::TcpStream::connect(address).unwrap();
        stuck.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        while control.connections().sum::<usize>() == 0 {
            tokio::task::yield_now().await;
        }
        shutdown.begin(Duration::from_millis(50));
        stuck
    })
    .unwrap();
    let mut answer = Vec::new();
    let _reset_or_closed = stuck.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

#[test]
fn a_worker_that_cannot_make_its_service_is_an_error_and_control_does_not_run() {
    let (_shutdown, watch) = Shutdown::new();
    let make_service = |tasks| {
        assert!(thread::current().name() != Some("sockeye-1"), "no service here");
        thread_name(tasks)
    };
    let started = run(workers(3), unlimited(), make_service, watch, async |_control| {
        unreachable!("not all workers are ready");
    });
    assert!(matches!(started, Err(StartError::Died { number: 1 })));
}
