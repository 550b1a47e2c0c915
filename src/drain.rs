//! The orderly end: who is told of it, and who owns the tasks that end.
//!
//! A drain has a time in which all should be done; what is not done then is cut, and
//! [`Drain::cut`] says that the time is over now.
//!
//! Runs for every request.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;

use crate::Instant;

/// Begins the orderly end of what watches it.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    bells: Arc<Bells>,
}

/// Sees a drain begin.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    phase: watch::Receiver<Phase>,
    bells: Arc<Bells>,
}

/// What a drain rings when it begins, for those who are so many that a future for each would cost
/// too much memory.
pub trait Bell: Send + Sync {
    /// Wakes its owner, who then asks [`Alarm::until`].
    fn ring(&self);
}

/// The task that a [`Bell`] wakes, once it is known.
#[derive(Debug, Default)]
pub struct Sleeper(Mutex<Option<Waker>>);

/// A bell on a drain. Dropped, it is taken off.
#[derive(Debug)]
pub struct Alarm(Arc<Bells>);

#[derive(Debug, Default)]
struct Bells {
    until: OnceLock<Instant>,
    hung: Mutex<Hung>,
}

#[derive(Default)]
struct Hung {
    bells: Vec<Weak<dyn Bell>>,
    /// How many alarms were dropped since the last sweep.
    dropped: usize,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Draining { until: Instant },
}

impl Drain {
    /// A drain that has not begun, and its first watch.
    pub fn new() -> (Self, DrainWatch) {
        let (sender, receiver) = watch::channel(Phase::Running);
        let bells = Arc::<Bells>::default();
        (Self { phase: sender, bells: bells.clone() }, DrainWatch { phase: receiver, bells })
    }

    /// Tells all watches that they should be done within `timeout`. A second call changes
    /// nothing.
    pub fn begin(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let begins = self.phase.send_if_modified(|phase| {
            let begins = *phase == Phase::Running;
            if begins {
                *phase = Phase::Draining { until };
            }
            begins
        });
        if begins {
            self.bells.ring(until);
        }
    }

    /// Says that the time is over, whether the drain had begun or not.
    pub fn cut(&self) {
        let until = Instant::now();
        self.phase.send_replace(Phase::Draining { until });
        self.bells.ring(until);
    }
}

impl DrainWatch {
    /// Waits for the drain to begin and says when it ends. Never returns if the [`Drain`] is
    /// dropped before it began. Nothing is lost if the future is dropped.
    pub async fn begun(&mut self) -> Instant {
        match self.phase.wait_for(|phase| *phase != Phase::Running).await.map(|phase| *phase) {
            Ok(Phase::Draining { until }) => until,
            Ok(Phase::Running) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits for the drain's end: its time is over, or it is cut. Nothing is lost if the future is
    /// dropped.
    pub async fn over(&mut self) {
        loop {
            let until = self.begun().await;
            self.phase.mark_unchanged();
            tokio::select! {
                () = sleep_until(until) => return,
                changed = self.phase.changed() => {
                    // Nobody can cut it any more.
                    if changed.is_err() {
                        return sleep_until(until).await;
                    }
                }
            }
        }
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Running
    }

    /// Rings `bell` when the drain begins; not if it has begun: ask [`Alarm::until`] afterwards.
    pub fn alarm(&self, bell: Weak<dyn Bell>) -> Alarm {
        self.bells.hung().bells.push(bell);
        Alarm(self.bells.clone())
    }
}

impl Alarm {
    /// When the drain ends, if it has begun; as it was said at first.
    pub fn until(&self) -> Option<Instant> {
        self.0.until.get().copied()
    }
}

impl Sleeper {
    /// `task` is woken from now on. Whoever calls this looks afterwards for what may have rung
    /// before.
    pub fn set(&self, task: &Waker) {
        match &mut *self.task() {
            // Nothing to do, mostly: the same task calls at each poll.
            Some(known) => known.clone_from(task),
            none => *none = Some(task.clone()),
        }
    }

    /// Wakes the task. The lock orders this behind [`Self::set`], or that comes later and its
    /// caller sees what was told before.
    pub fn wake(&self) {
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        // Nothing that is done under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.hung().dropped();
    }
}

impl Bells {
    /// The time is there before the list is looked at, so that who comes too late for the list
    /// sees the time.
    fn ring(&self, until: Instant) {
        if self.until.set(until).is_err() {
            return;
        }
        let bells = std::mem::take(&mut self.hung().bells);
        for bell in bells.iter().filter_map(Weak::upgrade) {
            bell.ring();
        }
    }

    fn hung(&self) -> MutexGuard<'_, Hung> {
        // Nothing that is done under the lock panics half-way.
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hung {
    /// Sweeps when half of the bells are without an owner: so few are looked at for each that goes,
    /// and a storm leaves nothing behind.
    fn dropped(&mut self) {
        self.dropped += 1;
        if self.dropped > self.bells.len() / 2 {
            self.bells.retain(|bell| bell.strong_count() > 0);
            self.bells.shrink_to(self.bells.len() * 2);
            self.dropped = 0;
        }
    }
}

impl fmt::Debug for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hung").field("bells", &self.bells.len()).finish_non_exhaustive()
    }
}

/// How the process stops; the `stop:` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long new connections are still accepted, while [`Readiness`] says already that the
    /// process stops: balancers need the time to see it.
    pub delay: Duration,
    /// How long tunnels and answers under way have from then on.
    pub timeout: Duration,
}

impl Default for Settings {
    /// Together they leave 2 s of the 30 s after which service managers kill (Kubernetes'
    /// `terminationGracePeriodSeconds`). A pending poll ends within a `pingInterval`, 25 s.
    fn default() -> Self {
        Self { delay: Duration::ZERO, timeout: Duration::from_secs(28) }
    }
}

/// Whether the process wants new clients. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Stage>);

/// The life of the process as balancers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It does not serve yet.
    Starting,
    /// It serves.
    Ready,
    /// It serves those who are there; new clients should go elsewhere.
    Stopping,
}

impl Readiness {
    /// What it is now.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Whether new clients should come.
    pub fn is_ready(&self) -> bool {
        self.stage() == Stage::Ready
    }

    /// From now on it is this.
    pub fn set(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Starting))
    }
}

/// Owns tasks: it counts them and can wait for their end. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Runs `task` on the current runtime.
    #[expect(clippy::disallowed_methods, reason = "this is the owner that the ban speaks of")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.track_future(task));
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no task runs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until no task runs. New tasks may still be spawned meanwhile and are waited for too.
    pub async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_watch_sees_the_drain_and_its_end() {
        let (drain, mut watch) = Drain::new();
        let mut other = watch.clone();
        assert!(!watch.is_draining());

        let end = Instant::now() + Duration::from_secs(5);
        drain.begin(Duration::from_secs(5));
        drain.begin(Duration::from_secs(50));

        assert!(watch.is_draining());
        assert_eq!(watch.begun().await, end);
        assert_eq!(other.begun().await, end);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_over_with_its_time_or_when_it_is_cut() {
        // check(when it is cut, when it is over), in seconds
        async fn check(cut: u64, over: u64) {
            let (drain, mut watch) = Drain::new();
            let begun = Instant::now();
            drain.begin(Duration::from_secs(10));
            let cuts = async {
                tokio::time::sleep(Duration::from_secs(cut)).await;
                drain.cut();
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

        let (drain, mut watch) = Drain::new();
        drain.cut();
        watch.over().await;
        assert!(watch.is_draining());
    }

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Bell for Counter {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_drain_rings_each_bell_once_and_who_comes_later_sees_it() {
        let (drain, watch) = Drain::new();
        let hang = |bell: &Arc<Counter>| {
            let bell: Weak<Counter> = Arc::downgrade(bell);
            watch.alarm(bell)
        };
        let (early, late) = (Arc::<Counter>::default(), Arc::<Counter>::default());
        let alarm = hang(&early);
        assert_eq!(alarm.until(), None);

        drain.begin(Duration::from_secs(5));
        let until = alarm.until().unwrap();
        drain.cut();
        assert_eq!(early.0.load(Ordering::Relaxed), 1);
        assert_eq!(hang(&late).until(), Some(until), "what was said at first");
        assert_eq!(late.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_bell_is_left_behind() {
        let (_drain, watch) = Drain::new();
        let hang = |_| {
            let bell = Arc::<Counter>::default();
            let weak: Weak<Counter> = Arc::downgrade(&bell);
            (watch.alarm(weak), bell)
        };
        let mut hung: Vec<_> = (0..1000).map(hang).collect();
        hung.truncate(10);
        assert!(watch.bells.hung().bells.len() <= 20);
        hung.clear();
        assert!(watch.bells.hung().bells.capacity() <= 8);
    }

    #[test]
    fn readiness_is_shared() {
        let readiness = Readiness::default();
        let seen = readiness.clone();
        assert!(!seen.is_ready());
        readiness.set(Stage::Ready);
        assert!(seen.is_ready());
        readiness.set(Stage::Stopping);
        assert_eq!(seen.stage(), Stage::Stopping);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_waited_for() {
        let tasks = Tasks::default();
        let begun = Instant::now();
        tasks.spawn(tokio::time::sleep(Duration::from_secs(3)));
        assert_eq!(tasks.len(), 1);
        tasks.ended().await;
        assert!(tasks.is_empty());
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
