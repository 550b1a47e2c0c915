//! All clients lose their sessions at once and come back: a simulation in virtual time.
//!
//! Which node a session goes to, who waits and who is refused is decided by Sockeye's own code;
//! clients and nodes are modelled. Alike in every run: time is counted, chance is seeded.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sockeye::internal::upstream::Rate;
use sockeye::internal::upstream::{
    self, AdmissionToken, Lease, NodeAddress, NodePreference, NodeSettings, QueuedHandshake,
    Upstream, Wait,
};
use tokio::time::Instant;

use super::backoff;
use super::node::Node;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) clients: u32,
    pub(super) nodes: u32,
    /// How many sessions a node can open each second.
    pub(super) node_sessions_per_second: u32,
    /// What the upstream admits each second.
    pub(super) admitted_per_second: Option<NonZeroU32>,
    /// When the simulation ends though not all are back.
    pub(super) end: Duration,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    /// Handshakes that arrived at nodes.
    pub(super) at_nodes: u32,
    /// Those of them that the busiest node had to do.
    pub(super) at_busiest: u32,
    /// Handshakes that were refused.
    pub(super) refused: u32,
    /// Handshakes that clients gave up.
    pub(super) given_up: u32,
    /// Sessions that were opened for clients who had given up.
    pub(super) wasted: u32,
    /// Clients that are back at its end.
    pub(super) back: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) seconds: Vec<Second>,
    /// When the last client was back.
    pub(super) all_back_after: Option<Duration>,
}

/// A client's handshake, told from its earlier ones by a number.
pub(super) type Attempt = (u32, u32);

/// In milliseconds from the beginning; then the order in which they were planned.
type At = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Handshake(u32),
    GiveUp(Attempt),
    HoldOver(Attempt),
    Turn,
    Opened(u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    attempt: u32,
    failed: u32,
    is_waiting: bool,
    is_back: bool,
}

struct Storm {
    upstream: Upstream,
    /// How long a node works at one session.
    service_micros: u64,
    base: Instant,
    /// Milliseconds from the beginning.
    now: u64,
    planned: BinaryHeap<Reverse<(At, Event)>>,
    plans: u64,
    clients: Vec<Client>,
    nodes: Vec<Node>,
    index_of_node: HashMap<Arc<str>, u32>,
    held: VecDeque<(Attempt, QueuedHandshake)>,
    turn_at: Option<u64>,
    /// Places on nodes of those who are back.
    sessions: Vec<Lease>,
    random: fastrand::Rng,
    seconds: Vec<Second>,
    at_node_this_second: Vec<u32>,
}

/// Lets the storm pass over `scene`.
pub(super) fn pass(scene: Scene) -> Course {
    // The balance draws among equals.
    fastrand::seed(SEED);
    let mut storm = Storm::new(scene);
    for client in 0..scene.clients {
        let wait = backoff::delay(0, || storm.random.f64());
        storm.plan(wait, Event::Handshake(client));
    }
    let mut all_back_after = None;
    while let Some(Reverse(((at, _), event))) = storm.planned.pop() {
        storm.advance(at);
        if u128::from(at) > scene.end.as_millis() {
            break;
        }
        storm.happen(event);
        if storm.sessions.len() == scene.clients as usize {
            all_back_after = Some(Duration::from_millis(at));
            break;
        }
    }
    storm.close_second();
    Course { seconds: storm.seconds, all_back_after }
}

impl Storm {
    fn new(scene: Scene) -> Self {
        let names: Vec<String> = (1..=scene.nodes).map(|number| format!("n{number}")).collect();
        let node = |name: &String| {
            NodeSettings::new(name, NodeAddress { host: name.as_str().into(), port: 3000 })
        };
        let mut settings = upstream::Settings::new("chat", names.iter().map(node).collect());
        settings.admission.rate = scene.admitted_per_second.map(|per_second| Rate {
            per_second,
            burst: NonZeroU32::new(per_second.get() / 10).unwrap_or(NonZeroU32::MIN),
        });
        let indexes = (0..).zip(&names).map(|(index, name)| (Arc::from(name.as_str()), index));
        Self {
            upstream: Upstream::new(&settings, None),
            service_micros: 1_000_000 / u64::from(scene.node_sessions_per_second),
            // A quarter of a millisecond off, so that the moment of this line does not decide on
            // which side of a tick an event falls.
            base: Instant::now() + Duration::from_micros(250),
            now: 0,
            planned: BinaryHeap::new(),
            plans: 0,
            clients: vec![Client::default(); scene.clients as usize],
            nodes: names.iter().map(|_| Node::default()).collect(),
            index_of_node: indexes.collect(),
            held: VecDeque::new(),
            turn_at: None,
            sessions: Vec::new(),
            random: fastrand::Rng::with_seed(SEED),
            seconds: Vec::new(),
            at_node_this_second: vec![0; names.len()],
        }
    }

    fn plan(&mut self, after: Duration, event: Event) {
        self.plan_at(self.now + after.as_millis() as u64, event);
    }

    fn plan_at(&mut self, at: u64, event: Event) {
        self.plans += 1;
        self.planned.push(Reverse(((at.max(self.now), self.plans), event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Handshake(client) => self.handshake(client),
            Event::GiveUp(attempt) => {
                if self.waits(attempt) {
                    self.second().given_up += 1;
                    self.fail(attempt);
                }
            }
            Event::HoldOver(attempt) => {
                let place = self.held.iter().position(|(held, _)| *held == attempt);
                if let Some(place) = place.filter(|_| self.waits(attempt)) {
                    self.held.remove(place);
                    self.second().refused += 1;
                    self.fail(attempt);
                }
            }
            Event::Turn => self.take_turns(),
            Event::Opened(node) => self.opened(node),
        }
    }

    fn handshake(&mut self, client: u32) {
        let Some(state) = self.clients.get_mut(client as usize) else { return };
        state.attempt += 1;
        state.is_waiting = true;
        let attempt = (client, state.attempt);
        self.plan(backoff::PATIENCE, Event::GiveUp(attempt));
        match self.upstream.admit(
            &NodePreference::default(),
            &[],
            AdmissionToken::Due,
            self.instant(),
        ) {
            Ok(lease) => self.arrive(attempt, lease),
            Err(_) => match self.upstream.enqueue(self.instant()) {
                Ok(held) => {
                    self.held.push_back((attempt, held));
                    self.plan(self.upstream.hold_max(), Event::HoldOver(attempt));
                    self.plan_turn(self.now);
                }
                Err(upstream::QueueFull) => {
                    self.second().refused += 1;
                    self.fail(attempt);
                }
            },
        }
    }

    /// Those who wait go on, one after the other, for as long as there is a turn.
    fn take_turns(&mut self) {
        self.turn_at = None;
        while let Some((attempt, held)) = self.held.front() {
            if !self.waits(*attempt) {
                self.held.pop_front();
                continue;
            }
            assert!(held.has_turn(), "who came first comes first");
            match self.upstream.admit_first(
                &NodePreference::default(),
                &[],
                AdmissionToken::Due,
                self.instant(),
            ) {
                Ok(lease) => {
                    let attempt = *attempt;
                    self.held.pop_front();
                    self.arrive(attempt, lease);
                }
                Err(Wait::ForTurn(next)) => {
                    let millis = next.saturating_duration_since(self.base).as_micros() as u64;
                    return self.plan_turn(millis.div_ceil(1000).max(self.now + 1));
                }
                Err(Wait::ForNode) => return self.plan_turn(self.now + 50),
            }
        }
    }

    fn plan_turn(&mut self, at: u64) {
        if self.turn_at.is_none_or(|planned| at < planned) {
            self.turn_at = Some(at);
            self.plan_at(at, Event::Turn);
        }
    }

    fn arrive(&mut self, attempt: Attempt, lease: Lease) {
        let Some(&index) = self.index_of_node.get(lease.node().name()) else { return };
        self.second().at_nodes += 1;
        if let Some(count) = self.at_node_this_second.get_mut(index as usize) {
            *count += 1;
        }
        let Some(node) = self.nodes.get_mut(index as usize) else { return };
        if let Some(done_at) = node.arrive(attempt, lease, (self.now, self.service_micros)) {
            self.plan_at(done_at, Event::Opened(index));
        }
    }

    fn opened(&mut self, index: u32) {
        let Some(node) = self.nodes.get_mut(index as usize) else { return };
        let (done, next_at) = node.finish(self.service_micros);
        if let Some(next_at) = next_at {
            self.plan_at(next_at, Event::Opened(index));
        }
        let Some((attempt, lease)) = done else { return };
        if !self.waits(attempt) {
            self.second().wasted += 1;
            return;
        }
        lease.handshake_answered(self.instant());
        self.sessions.push(lease.into_tunnel());
        if let Some(client) = self.clients.get_mut(attempt.0 as usize) {
            (client.is_back, client.is_waiting) = (true, false);
        }
    }

    fn fail(&mut self, (client, _): Attempt) {
        let Some(state) = self.clients.get_mut(client as usize) else { return };
        state.is_waiting = false;
        state.failed += 1;
        let failed = state.failed;
        let wait = backoff::delay(failed, || self.random.f64());
        self.plan(wait, Event::Handshake(client));
    }

    /// Whether the client still waits for this one.
    fn waits(&self, (client, attempt): Attempt) -> bool {
        let client = self.clients.get(client as usize);
        client.is_some_and(|client| client.is_waiting && client.attempt == attempt)
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.now)
    }

    fn advance(&mut self, to: u64) {
        while self.seconds.len() as u64 <= to / 1000 {
            if !self.seconds.is_empty() {
                self.close_second();
            }
            self.seconds.push(Second::default());
        }
        self.now = to;
    }

    fn close_second(&mut self) {
        let (back, busiest) = (self.sessions.len(), self.at_node_this_second.iter().max().copied());
        let second = self.second();
        second.back = back as u32;
        second.at_busiest = busiest.unwrap_or(0);
        self.at_node_this_second.fill(0);
    }

    fn second(&mut self) -> &mut Second {
        if self.seconds.is_empty() {
            self.seconds.push(Second::default());
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }
}

const SEED: u64 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(admitted: Option<u32>) -> Scene {
        Scene {
            clients: 4_000,
            nodes: 4,
            node_sessions_per_second: 100,
            admitted_per_second: admitted.and_then(NonZeroU32::new),
            end: Duration::from_secs(300),
        }
    }

    #[test]
    fn a_storm_passes_alike_each_time() {
        let (first, second) = (pass(scene(Some(320))), pass(scene(Some(320))));
        assert_eq!(first.seconds, second.seconds);
    }

    #[test]
    fn no_node_sees_more_than_is_admitted() {
        let course = pass(scene(Some(320)));
        assert!(course.all_back_after.is_some());
        for second in &course.seconds {
            assert!(second.at_nodes <= 320 + 32, "{second:?}");
        }
        assert_eq!(course.seconds.iter().map(|second| second.wasted).sum::<u32>(), 0);
    }

    #[test]
    fn without_admission_nodes_work_for_clients_who_have_given_up() {
        let few = pass(scene(None));
        assert!(few.seconds.iter().any(|second| second.at_nodes > 1_800), "all come at once");
        assert_eq!(few.seconds.iter().map(|second| second.wasted).sum::<u32>(), 0, "10 s of work");
        let more = Scene { clients: 12_000, ..scene(None) };
        let course = pass(more);
        assert!(course.seconds.iter().map(|second| second.wasted).sum::<u32>() > 1_000);
    }
}
