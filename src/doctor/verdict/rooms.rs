//! Messages to rooms that do not arrive on other nodes.
//!
//! Pure. Runs at start, at reload, or on a timer.

use super::{Fault, Finding, Party, State, finding, seconds};
use crate::doctor::measured::{RoomPair, Rooms};
use crate::doctor::observations::Observations;

/// What is wrong between nodes.
pub(super) fn findings(seen: &Observations) -> Vec<Finding> {
    let Some(rooms) = seen.rooms.as_ref().filter(|rooms| rooms.failed.is_none()) else {
        return Vec::new();
    };
    judge(rooms).map(|(fault, what)| finding(seen, fault, Party::Node, what)).into_iter().collect()
}

pub(super) fn without_finding(seen: &Observations) -> (State, String) {
    match &seen.rooms {
        None => (State::NotLooked, "not looked at: use --rooms".to_owned()),
        Some(Rooms { failed: Some(why), .. }) => (State::Undecided, why.clone()),
        Some(rooms) if rooms.nodes.len() < 2 => (
            State::NotLooked,
            "only one node answered, so there is nothing between nodes".to_owned(),
        ),
        Some(rooms) => {
            let reason = format!("messages arrive between all {} nodes", rooms.nodes.len());
            (State::Sound, reason)
        }
    }
}

fn judge(rooms: &Rooms) -> Option<(Fault, String)> {
    let across: Vec<&RoomPair> = rooms.pairs.iter().filter(|pair| pair.from != pair.to).collect();
    let name = |index: usize| rooms.nodes.get(index).map_or("?", String::as_str);
    let shown = |pair: &RoomPair| format!("{} to {}", name(pair.from), name(pair.to));
    let list = |pairs: &[&RoomPair]| {
        let named = pairs.iter().take(PAIRS_SHOWN).map(|pair| shown(pair));
        let more = if pairs.len() > PAIRS_SHOWN { ", and others" } else { "" };
        format!("{}{more}", named.collect::<Vec<_>>().join(", "))
    };
    if let Some(own) =
        rooms.pairs.iter().find(|pair| pair.from == pair.to && pair.arrived < pair.sent)
    {
        let what =
            format!("{} of {} messages arrived on {} itself", own.arrived, own.sent, name(own.to));
        return Some((Fault::RoomMessagesLost, what));
    }
    let dead: Vec<&RoomPair> = across.iter().copied().filter(|pair| pair.arrived == 0).collect();
    if !across.is_empty() && dead.len() == across.len() {
        let what = format!("no message arrives on another node: {}", list(&dead));
        return Some((Fault::AdapterMissing, what));
    }
    if !dead.is_empty() {
        let what = format!("no message arrives from {}; between others they do", list(&dead));
        return Some((Fault::AdapterSplit, what));
    }
    let is_partial = |pair: &RoomPair| pair.arrived < pair.sent || pair.doubled > 0;
    let partial: Vec<&RoomPair> = across.iter().copied().filter(|pair| is_partial(pair)).collect();
    if let Some(pair) = partial.first() {
        let what = format!(
            "{} of {} messages arrived, {} of them more than once: {}",
            pair.arrived,
            pair.sent,
            pair.doubled,
            list(&partial)
        );
        return Some((Fault::RoomMessagesLost, what));
    }
    let own =
        rooms.pairs.iter().filter(|pair| pair.from == pair.to).filter_map(|pair| pair.median_ms);
    let own = own.max().unwrap_or_default();
    let slow = across.into_iter().max_by_key(|pair| pair.median_ms)?;
    let median = slow.median_ms.filter(|median| *median >= own.saturating_add(SLOW_MS))?;
    let what = format!(
        "messages from {} take {}, on one node {}",
        shown(slow),
        seconds(median),
        seconds(own)
    );
    Some((Fault::AdapterSlow, what))
}

const PAIRS_SHOWN: usize = 4;

/// A Redis takes milliseconds.
const SLOW_MS: u64 = 500;
