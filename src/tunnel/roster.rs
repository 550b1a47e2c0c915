//! Who is there: the open tunnels of one node, how long each has been quiet, and how it is told to
//! end.
//!
//! A tunnel has a place on a roster, and drops its [`Occupant`] when it is over: no place is left
//! behind. The list has a lock that a tunnel takes when it comes and when it goes, and who dismisses
//! for one look over all; a tunnel that passes bytes only stores when it did.
//!
//! Runs for every byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::End;
use super::occupant::{Occupant, Place};
use crate::Instant;

/// The open tunnels of a node, whichever worker they are on.
#[derive(Debug)]
pub struct Roster {
    base: Instant,
    entered: AtomicU64,
    list: Mutex<List>,
}

/// Why a tunnel is told to end though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dismissal {
    /// Its node is to be emptied.
    NodeDrained,
    /// Its node has more tunnels than its share.
    Rebalanced,
}

#[derive(Debug, Default)]
struct List {
    /// Each place lies where its index says.
    places: Vec<Arc<Place>>,
    /// How many of them were told to end.
    dismissed: usize,
}

impl Roster {
    /// Nobody is there; `base` is no later than any time that is ever passed in.
    pub fn new(base: Instant) -> Arc<Self> {
        Arc::new(Self { base, entered: AtomicU64::new(0), list: Mutex::default() })
    }

    /// A place for a tunnel that begins `now`.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Occupant {
        let mut list = self.list();
        let place = Arc::new(Place::new(list.places.len(), self.millis(now)));
        list.places.push(place.clone());
        drop(list);
        self.entered.fetch_add(1, Ordering::Relaxed);
        Occupant::new(self.clone(), place)
    }

    /// How many have ever come.
    pub fn entered(&self) -> u64 {
        self.entered.load(Ordering::Relaxed)
    }

    /// How many are there and were not told to end.
    pub fn staying(&self) -> usize {
        let list = self.list();
        list.places.len().saturating_sub(list.dismissed)
    }

    /// How many are there, be they told to end or not.
    pub fn present(&self) -> usize {
        self.list().places.len()
    }

    /// Tells up to `count` tunnels to end, those first that have been quiet for longest, and none
    /// that was not quiet since `quiet_since`. How many that are.
    pub fn dismiss(
        &self,
        dismissal: Dismissal,
        count: usize,
        quiet_since: Option<Instant>,
    ) -> usize {
        if count == 0 {
            return 0;
        }
        let latest = quiet_since.map_or(u64::MAX, |since| self.millis(since));
        let chosen = self.list().dismiss(dismissal, count, latest);
        for place in &chosen {
            place.notify();
        }
        chosen.len()
    }

    /// Gives `place` up.
    pub(super) fn leave(&self, place: &Place) {
        self.list().remove(place);
    }

    /// From the base to `now`.
    #[inline]
    pub(super) fn millis(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.base);
        // Not `as_millis`, which divides 128 bits.
        passed.as_secs().saturating_mul(1000).saturating_add(passed.subsec_millis().into())
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing that is done under the lock panics half-way.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// Marks those that [`Roster::dismiss`] tells.
    fn dismiss(&mut self, dismissal: Dismissal, count: usize, latest: u64) -> Vec<Arc<Place>> {
        let staying = self.places.iter().filter(|place| place.dismissal().is_none());
        let mut quiet: Vec<(u64, &Arc<Place>)> = staying
            .map(|place| (place.active_at(), place))
            .filter(|(at, _)| *at <= latest)
            .collect();
        if count < quiet.len() {
            quiet.select_nth_unstable_by_key(count, |(at, _)| *at);
            quiet.truncate(count);
        }
        quiet.sort_unstable_by_key(|(at, _)| *at);
        let chosen: Vec<Arc<Place>> = quiet.into_iter().map(|(_, place)| place.clone()).collect();
        for place in &chosen {
            place.dismiss(dismissal);
        }
        self.dismissed += chosen.len();
        chosen
    }

    fn remove(&mut self, place: &Place) {
        let index = place.index();
        if index >= self.places.len() {
            debug_assert!(false, "a place is on the list until it is dropped");
            return;
        }
        self.places.swap_remove(index);
        if let Some(moved) = self.places.get(index) {
            moved.set_index(index);
        }
        if place.dismissal().is_some() {
            self.dismissed -= 1;
        }
        // What a storm has grown is given back, and not at each step anew.
        if self.places.len() < self.places.capacity() / 4 {
            self.places.shrink_to(self.places.len() * 2);
        }
    }
}

impl Dismissal {
    /// What it is to the tunnel.
    pub(super) fn end(self) -> End {
        match self {
            Self::NodeDrained => End::NodeDrained,
            Self::Rebalanced => End::Rebalanced,
        }
    }

    /// Never zero.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::NodeDrained => 1,
            Self::Rebalanced => 2,
        }
    }

    /// Of zero there is none.
    pub(super) fn of(code: u8) -> Option<Self> {
        [Self::NodeDrained, Self::Rebalanced].into_iter().find(|dismissal| dismissal.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// One tunnel for each of `active`, the seconds at which its last bytes came.
    fn roster(active: &[u64]) -> (Arc<Roster>, Vec<Occupant>, Instant) {
        let base = Instant::now();
        let roster = Roster::new(base);
        let enter = |seconds: &u64| {
            let occupant = roster.enter(base);
            occupant.note_active(base + Duration::from_secs(*seconds));
            occupant
        };
        let occupants = active.iter().map(enter).collect();
        (roster, occupants, base)
    }

    /// Which of the occupants were told to end.
    fn dismissed(occupants: &[Occupant]) -> Vec<usize> {
        let told = |(index, occupant): (usize, &Occupant)| occupant.dismissal().map(|_| index);
        occupants.iter().enumerate().filter_map(told).collect()
    }

    #[test]
    fn those_that_were_quiet_for_longest_are_dismissed_first() {
        let (roster, occupants, _) = roster(&[5, 1, 4, 2, 3]);
        let dismiss = |count| roster.dismiss(Dismissal::NodeDrained, count, None);
        assert_eq!(dismiss(2), 2);
        assert_eq!(dismissed(&occupants), [1, 3]);
        assert_eq!(roster.staying(), 3);
        assert_eq!(dismiss(1), 1);
        assert_eq!(dismissed(&occupants), [1, 3, 4]);
        assert_eq!(dismiss(9), 2, "nobody is told twice");
        assert_eq!(dismiss(9), 0);
        assert_eq!((roster.staying(), roster.present()), (0, 5));
    }

    #[test]
    fn who_is_not_quiet_or_has_bytes_to_take_is_not_dismissed() {
        let (roster, occupants, base) = roster(&[5, 1, 4, 2, 3]);
        occupants[1].note_waiting();
        assert!(occupants[1].is_waiting());
        let since = Some(base + Duration::from_secs(3));
        assert_eq!(roster.dismiss(Dismissal::Rebalanced, 9, since), 2);
        assert_eq!(dismissed(&occupants), [3, 4]);
        assert_eq!(occupants[3].dismissal(), Some(Dismissal::Rebalanced));
        assert_eq!(roster.dismiss(Dismissal::NodeDrained, 2, None), 2);
        assert_eq!(dismissed(&occupants), [0, 2, 3, 4], "who is busy comes last");
    }

    #[test]
    fn no_place_is_left_behind() {
        let base = Instant::now();
        let roster = Roster::new(base);
        let mut random = fastrand::Rng::with_seed(7);
        let mut occupants: Vec<Occupant> = (0..1000).map(|_| roster.enter(base)).collect();
        assert_eq!(roster.dismiss(Dismissal::NodeDrained, 300, None), 300);
        while !occupants.is_empty() {
            drop(occupants.swap_remove(random.usize(..occupants.len())));
            assert_eq!(roster.present(), occupants.len());
            let told = dismissed(&occupants).len();
            assert_eq!(roster.staying(), occupants.len() - told);
        }
        assert_eq!(roster.entered(), 1000);
        assert!(roster.list().places.capacity() < 8, "what it took is given back");
    }

    #[test]
    fn tunnels_come_and_go_on_all_workers() {
        let base = Instant::now();
        let roster = Roster::new(base);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let pair = [roster.enter(base), roster.enter(base)];
                        roster.dismiss(Dismissal::Rebalanced, 1, None);
                        drop(pair);
                    }
                });
            }
        });
        assert_eq!((roster.present(), roster.staying(), roster.entered()), (0, 0, 16_000));
    }
}
