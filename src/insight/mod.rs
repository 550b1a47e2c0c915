//! What becomes of the sessions that begin in polling: which upgrade, how long it takes, and why
//! the others do not.
//!
//! A client whose upgrade fails reports this to nobody and keeps polling, so only the path of its
//! requests shows it. If a node offers an upgrade in the response to a handshake by polling, the
//! route follows the session until it is upgraded, or silent for longer than a session may be. Then
//! its [`Verdict`] is counted and logged. Sessions that another proxy opened are not followed here,
//! but there.
//!
//! The record is bounded and holds keyed digests, not sids. [`Insight::sweep`] finds the sessions
//! that have ended; the server calls it on a timer, and `/metrics` and `/status` call it before
//! they read.
//!
//! Runs for every request.

mod autopsy;
mod ended;
mod idle_ages;
mod session;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tracing::info;

pub(crate) use autopsy::{Context as EndContext, may_be_restart};
pub(crate) use ended::EndedSessions;
pub(crate) use ended::{AnsweredHandshake, EndedSession, News};

use crate::Instant;
use crate::engineio::Sid;
use crate::metrics::LabelCounts;
use crate::tunnel::{SessionId, UpgradeProgress};
pub use session::Observation;
pub(crate) use session::PollingSession;
use session::Session;
pub(crate) use session::Verdict;
pub(crate) use summary::Summary;

/// What a route knows of its sessions that began in polling.
#[derive(Debug)]
pub struct Insight {
    settings: Settings,
    /// Made for the first session: of many routes, most may have none.
    followed: OnceLock<Box<Followed>>,
}

/// The sessions of a route that has any, and the verdicts on earlier ones.
#[derive(Debug)]
struct Followed {
    shards: Box<[Mutex<Shard>]>,
    hashers: [RandomState; 2],
    verdicts: LabelCounts<2>,
    durations: Histogram,
}

/// How sessions are judged. No key of the configuration sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session that still polls this long after its handshake or its last attempt is stuck.
    pub upgrade_max: Duration,
}

impl Default for Settings {
    /// Engine.IO's `upgradeTimeout`, by default 10 s, and a margin for slow networks. A poll takes
    /// up to a `pingInterval`, so a session that leaves within the first one may have been stuck
    /// without a report.
    fn default() -> Self {
        Self { upgrade_max: Duration::from_secs(15) }
    }
}

type Shard = HashMap<SidDigest, Session>;

/// With 128 bits under two random keys, two sids never have the same, and nobody can aim at one
/// shard.
type SidDigest = [u64; 2];

impl Insight {
    /// Nothing is followed yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, followed: OnceLock::new() }
    }

    /// The most sessions that a route follows; further ones are counted as `unfollowed`. Each takes
    /// about 200 bytes.
    pub const SESSIONS_MAX: usize = SHARDS * SHARD_SESSIONS_MAX;

    /// How often to sweep: a verdict is delayed by at most as much.
    pub const SWEEP_EVERY: Duration = Duration::from_secs(10);

    /// Follows the session that `node` has opened by polling for `client`. `sid` is the one that its
    /// client knows, `silence_max` how long both sides wait for each other, if the node stated it.
    pub fn session_opened(
        &self,
        sid: &Sid,
        silence_max: Option<Duration>,
        (node, client): (&Arc<str>, IpAddr),
        now: Instant,
    ) {
        let followed = self.followed.get_or_init(Box::default);
        let digest = followed.digest(sid);
        let mut shard = followed.shard(digest);
        let mut ended = Vec::new();
        if shard.len() >= SHARD_SESSIONS_MAX {
            ended = self.take_ended(&mut shard, now);
        }
        if shard.len() < SHARD_SESSIONS_MAX {
            shard.insert(digest, Session::new(sid, silence_max, (node.clone(), client), now));
        } else {
            followed.verdicts.count(Verdict::NotFollowed.labels());
        }
        drop(shard);
        followed.judge(ended, now);
    }

    /// Records an observation of a session at `now`.
    pub fn observe(&self, sid: &Sid, observation: Observation, now: Instant) {
        let Some(followed) = self.followed.get() else { return };
        let digest = followed.digest(sid);
        if let Some(session) = followed.shard(digest).get_mut(&digest) {
            session.observe(observation, now);
        }
    }

    /// Records that a session's upgrade was answered with 101. Returns where its tunnel reports the
    /// next steps, if the session is followed.
    pub fn upgrade_accepted(&self, sid: &Sid, now: Instant) -> Option<Arc<UpgradeProgress>> {
        let followed = self.followed.get()?;
        let digest = followed.digest(sid);
        followed.shard(digest).get_mut(&digest).map(|session| session.upgrade_accepted(now))
    }

    /// Names the session to operators, if it is followed.
    pub(crate) fn session_id(&self, sid: &Sid) -> Option<SessionId> {
        let followed = self.followed.get()?;
        let digest = followed.digest(sid);
        followed.shard(digest).get(&digest).map(Session::id)
    }

    /// The followed sessions that poll.
    pub(crate) fn polling_sessions(&self, now: Instant) -> Vec<PollingSession> {
        self.sweep(now);
        let Some(followed) = self.followed.get() else { return Vec::new() };
        let polling = |shard: &Mutex<Shard>| -> Vec<PollingSession> {
            lock(shard).values().filter_map(|session| session.polling(self.settings)).collect()
        };
        followed.shards.iter().flat_map(polling).collect()
    }

    /// Counts and logs all sessions of which nothing more is expected.
    pub fn sweep(&self, now: Instant) {
        let Some(followed) = self.followed.get() else { return };
        for shard in &followed.shards {
            let ended = self.take_ended(&mut lock(shard), now);
            followed.judge(ended, now);
        }
    }

    /// How many verdicts there were, by outcome and cause.
    pub fn verdicts(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> {
        self.followed.get().into_iter().flat_map(|followed| followed.verdicts.iter())
    }

    /// How long upgrades took since the handshake, in seconds.
    pub fn durations(&self) -> Histogram {
        match self.followed.get() {
            Some(followed) => followed.durations.clone(),
            None => Histogram::new(DURATION_BUCKETS),
        }
    }

    /// How many of the followed sessions are not upgraded.
    pub fn polling(&self) -> usize {
        self.shards().map(|shard| lock(shard).len()).sum()
    }

    /// The sessions that are stuck now, one verdict for each.
    pub fn stuck(&self) -> Vec<Verdict> {
        let stuck = |shard: &Mutex<Shard>| -> Vec<Verdict> {
            lock(shard).values().filter_map(|session| session.stuck(self.settings)).collect()
        };
        self.shards().flat_map(stuck).collect()
    }

    fn shards(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        self.followed.get().into_iter().flat_map(|followed| &followed.shards)
    }

    /// Takes out the sessions of which nothing more is expected. They are judged after the lock is
    /// released.
    fn take_ended(&self, shard: &mut Shard, now: Instant) -> Vec<(Verdict, Session)> {
        let verdict = |session: &Session| session.verdict(self.settings, now);
        let ended = shard.extract_if(|_, session| verdict(session).is_some());
        ended.filter_map(|(_, session)| Some((verdict(&session)?, session))).collect()
    }
}

impl Followed {
    fn judge(&self, ended: Vec<(Verdict, Session)>, now: Instant) {
        for (verdict, session) in ended {
            let [outcome, cause] = verdict.labels();
            self.verdicts.count([outcome, cause]);
            if let Verdict::Upgraded(duration) = verdict {
                self.durations.observe(duration.as_secs_f64());
            }
            info!(
                session = session.shown(),
                node = session.node(),
                outcome,
                cause,
                upgrade_seconds = verdict.upgraded_after().map(|after| after.as_secs_f64()),
                seconds = session.age(now).as_secs_f64(),
                "session that began in polling"
            );
        }
    }

    fn digest(&self, sid: &Sid) -> SidDigest {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(sid.as_str()))
    }

    fn shard(&self, digest: SidDigest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(digest[0] % SHARDS as u64) as usize])
    }
}

impl Default for Followed {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hashers: [RandomState::new(), RandomState::new()],
            verdicts: LabelCounts::default(),
            durations: Histogram::new(DURATION_BUCKETS),
        }
    }
}

/// Each change of a shard is complete or harmless, so a panic elsewhere breaks nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Many locks, so that workers seldom wait for each other.
const SHARDS: usize = 64;

/// Upgraded sessions leave with the next sweep, so this is for sessions that poll.
const SHARD_SESSIONS_MAX: usize = 1024;

/// An upgrade takes about 100 ms on a good network (measured), and at most the 10 s of Engine.IO's
/// `upgradeTimeout` after its handshake.
const DURATION_BUCKETS: [f64; 9] = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];
