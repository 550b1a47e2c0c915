//! The shutdown of the process, and those who wait for it.
//!
//! A shutdown has a deadline. What has not ended by then is cut, and [`Shutdown::cut`] moves the
//! deadline to now.
//!
//! Runs for every request.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::Instant;

/// Starts the shutdown that its watches wait for.
#[derive(Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
    registry: Arc<Registry>,
}

/// Sees a shutdown begin.
#[derive(Clone, Debug)]
pub struct ShutdownWatch {
    phase: watch::Receiver<Phase>,
    registry: Arc<Registry>,
}

/// Is told that a shutdown begins. For tunnels and connections: there are so many of them that a
/// future for each would need too much memory.
pub trait Notifier: Send + Sync {
    /// Wakes the owner, which then calls [`Registration::deadline`].
    fn wake(&self);
}

/// The task that a [`Notifier`] wakes, once it is known.
#[derive(Debug, Default)]
pub(crate) struct TaskWaker(Mutex<Option<Waker>>);

/// A notifier that waits for a shutdown. Dropped, it waits no longer.
#[derive(Debug)]
pub struct Registration(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    deadline: OnceLock<Instant>,
    waiting: Mutex<Notifiers>,
    /// That of the shutdown which this one follows.
    followed: Option<Arc<Self>>,
}

#[derive(Default)]
struct Notifiers {
    list: Vec<Weak<dyn Notifier>>,
    /// How many registrations were dropped since the list was swept.
    dropped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    ShuttingDown { deadline: Instant },
}

impl Shutdown {
    /// A shutdown that has not begun, and its first watch.
    pub fn new() -> (Self, ShutdownWatch) {
        Self::with(Registry::default())
    }

    /// A shutdown that its owner begins when the one that `followed` watches has begun. Its registrations
    /// see that one's deadline already: a request that watches the other one is answered by a connection
    /// that knows, whichever of the two is woken first.
    pub(crate) fn following(followed: &ShutdownWatch) -> (Self, ShutdownWatch) {
        Self::with(Registry { followed: Some(followed.registry.clone()), ..Registry::default() })
    }

    fn with(registry: Registry) -> (Self, ShutdownWatch) {
        let (sender, receiver) = watch::channel(Phase::Running);
        let registry = Arc::new(registry);
        let watch = ShutdownWatch { phase: receiver, registry: registry.clone() };
        (Self { phase: sender, registry }, watch)
    }

    /// Begins the shutdown; its deadline is `timeout` from now. A second call changes nothing.
    pub fn begin(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        if !self.registry.begin(deadline) {
            return;
        }
        self.phase.send_if_modified(|phase| {
            // A cut may have come between.
            let begins = *phase == Phase::Running;
            if begins {
                *phase = Phase::ShuttingDown { deadline };
            }
            begins
        });
        self.registry.wake_all();
    }

    /// Moves the deadline to now, whether the shutdown has begun or not.
    pub fn cut(&self) {
        let deadline = Instant::now();
        let begins = self.registry.begin(deadline);
        self.phase.send_replace(Phase::ShuttingDown { deadline });
        if begins {
            self.registry.wake_all();
        }
    }
}

impl ShutdownWatch {
    /// A watch of a shutdown that never begins.
    pub fn never() -> Self {
        Shutdown::new().1
    }

    /// Waits until the shutdown begins and returns its deadline. Never returns if the [`Shutdown`] is
    /// dropped before. Cancel safe.
    pub async fn begun(&mut self) -> Instant {
        match self.phase.wait_for(|phase| *phase != Phase::Running).await.map(|phase| *phase) {
            Ok(Phase::ShuttingDown { deadline }) => deadline,
            Ok(Phase::Running) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the deadline has passed, or the shutdown is cut. Cancel safe.
    pub async fn over(&mut self) {
        loop {
            let deadline = self.begun().await;
            self.phase.mark_unchanged();
            tokio::select! {
                () = sleep_until(deadline) => return,
                changed = self.phase.changed() => {
                    // The sender is gone: the deadline cannot move any more.
                    if changed.is_err() {
                        return sleep_until(deadline).await;
                    }
                }
            }
        }
    }

    /// Whether the shutdown has begun.
    pub fn has_begun(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Wakes `notifier` when the shutdown begins. If it has begun already, nothing is woken: the caller
    /// has to check [`Registration::deadline`] afterwards.
    pub fn register(&self, notifier: Weak<dyn Notifier>) -> Registration {
        self.registry.waiting().list.push(notifier);
        Registration(self.registry.clone())
    }
}

impl Registration {
    /// The shutdown's first deadline, if it has begun. A later cut does not move it.
    pub fn deadline(&self) -> Option<Instant> {
        let followed = || self.0.followed.as_ref()?.deadline.get();
        self.0.deadline.get().or_else(followed).copied()
    }
}

impl TaskWaker {
    /// Wakes `task` from now on. The caller has to check afterwards for what happened before.
    pub(crate) fn set_waker(&self, task: &Waker) {
        match &mut *self.task() {
            // Mostly a no-op: the same task calls at each poll.
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Wakes the task. The lock orders this after [`Self::set_waker`]; or else that call comes later,
    /// and its caller sees what has changed before.
    pub(crate) fn wake(&self) {
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        // No code under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.waiting().registration_dropped();
    }
}

impl Registry {
    /// Sets the deadline, before anybody is woken: a connection that is woken by the watch of its request
    /// has to see that the process stops, too. Returns whether it was not set before.
    fn begin(&self, deadline: Instant) -> bool {
        self.deadline.set(deadline).is_ok()
    }

    /// The deadline is set before the list is read: a notifier that is registered too late for the list
    /// finds the deadline.
    fn wake_all(&self) {
        let notifiers = std::mem::take(&mut self.waiting().list);
        for notifier in notifiers.iter().filter_map(Weak::upgrade) {
            notifier.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Notifiers> {
        // No code under the lock panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifiers {
    /// Sweeps when half of the notifiers have no owner: the cost for each is constant, and a reconnect
    /// storm leaves no memory behind.
    fn registration_dropped(&mut self) {
        self.dropped += 1;
        if self.dropped > self.list.len() / 2 {
            self.list.retain(|notifier| notifier.strong_count() > 0);
            self.list.shrink_to(self.list.len() * 2);
            self.dropped = 0;
        }
    }
}

impl fmt::Debug for Notifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifiers").field("count", &self.list.len()).finish_non_exhaustive()
    }
}

/// How the process shuts down; the `shutdown:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long new connections are still accepted, while [`Readiness`](crate::readiness::Readiness)
    /// already says that the process is stopping: load balancers need the time to notice.
    pub delay: Duration,
    /// How long tunnels and pending answers may take after that.
    pub timeout: Duration,
}

impl Default for Settings {
    /// Together they leave 2 s of the 30 s after which service managers kill (Kubernetes'
    /// `terminationGracePeriodSeconds`). A pending poll ends within a `pingInterval`, 25 s.
    fn default() -> Self {
        Self { delay: Duration::ZERO, timeout: Duration::from_secs(28) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_watch_sees_the_shutdown_and_its_end() {
        let (shutdown, mut watch) = Shutdown::new();
        let mut other = watch.clone();
        assert!(!watch.has_begun());

        let end = Instant::now() + Duration::from_secs(5);
        shutdown.begin(Duration::from_secs(5));
        shutdown.begin(Duration::from_secs(50));

        assert!(watch.has_begun());
        assert_eq!(watch.begun().await, end);
        assert_eq!(other.begun().await, end);
    }

    /// Checks, as soon as it is woken, that connections see the shutdown as well.
    struct SeesDeadline(Registration, AtomicUsize);

    impl std::task::Wake for SeesDeadline {
        fn wake(self: Arc<Self>) {
            assert!(self.0.deadline().is_some(), "a connection does not know it yet");
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn connections_see_the_shutdown_as_soon_as_anybody_does() {
        for begins in [true, false] {
            let (shutdown, mut watch) = Shutdown::new();
            let (_own, own_watch) = Shutdown::following(&watch);
            let notifier: Weak<Counter> = Weak::new();
            let seen = SeesDeadline(own_watch.register(notifier), AtomicUsize::new(0));
            let seen = Arc::new(seen);
            let waker = Waker::from(seen.clone());
            let mut begun = Box::pin(watch.begun());
            let mut context = std::task::Context::from_waker(&waker);
            assert!(begun.as_mut().poll(&mut context).is_pending());
            match begins {
                true => shutdown.begin(Duration::from_secs(5)),
                false => shutdown.cut(),
            }
            assert_eq!(seen.1.load(Ordering::Relaxed), 1);
            assert!(begun.as_mut().poll(&mut context).is_ready());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_is_over_with_its_time_or_when_it_is_cut() {
        // check(when it is cut, when it is over), in seconds
        async fn check(cut: u64, over: u64) {
            let (shutdown, mut watch) = Shutdown::new();
            let begun = Instant::now();
            shutdown.begin(Duration::from_secs(10));
            let cuts = async {
                tokio::time::sleep(Duration::from_secs(cut)).await;
                shutdown.cut();
            };
            let ends = async {
                watch.over().await;
                assert_eq!(begun.elapsed(), Duration::from_secs(over));
            };
            tokio::join!(cuts, ends);
        }
        check(0, 0).await;
        check(4, 4).await;
        check(20, 10).await;

        let (shutdown, mut watch) = Shutdown::new();
        shutdown.cut();
        watch.over().await;
        assert!(watch.has_begun());
    }

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Notifier for Counter {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_notifier_is_woken_once_and_a_late_one_finds_the_deadline() {
        let (shutdown, watch) = Shutdown::new();
        let register = |notifier: &Arc<Counter>| {
            let notifier: Weak<Counter> = Arc::downgrade(notifier);
            watch.register(notifier)
        };
        let (early, late) = (Arc::<Counter>::default(), Arc::<Counter>::default());
        let registration = register(&early);
        assert_eq!(registration.deadline(), None);

        shutdown.begin(Duration::from_secs(5));
        let deadline = registration.deadline().unwrap();
        shutdown.cut();
        assert_eq!(early.0.load(Ordering::Relaxed), 1);
        assert_eq!(register(&late).deadline(), Some(deadline), "what was said at first");
        assert_eq!(late.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_notifier_is_left_behind() {
        let (_shutdown, watch) = Shutdown::new();
        let register = |_| {
            let notifier = Arc::<Counter>::default();
            let weak: Weak<Counter> = Arc::downgrade(&notifier);
            (watch.register(weak), notifier)
        };
        let mut held: Vec<_> = (0..1000).map(register).collect();
        held.truncate(10);
        assert!(watch.registry.waiting().list.len() <= 20);
        held.clear();
        assert!(watch.registry.waiting().list.capacity() <= 8);
    }
}
