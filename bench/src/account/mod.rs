//! What processes spent, as `/proc` tells.

mod cpu;
mod text;

use std::collections::{BTreeSet, HashMap};
use std::fs;

#[cfg(test)]
pub(crate) use cpu::Source;
pub(crate) use cpu::{Cpu, Spent};
use text::{Stat, tree};

/// `roots` and all that they started and that is alive.
pub(crate) fn process_tree(roots: &[u32]) -> BTreeSet<u32> {
    let parents: HashMap<u32, u32> =
        stats().map(|(process, stat)| (process, stat.parent)).collect();
    tree(roots, &parents)
}

/// Seconds of CPU time of all processes that are not `ours`, nor started by them, since the
/// machine runs. It counts in the kernel's ticks of 10 ms, and what they waited for is in it.
pub(crate) fn foreign_seconds(ours: &[u32]) -> f64 {
    let ours = process_tree(ours);
    let foreign = stats().filter(|(process, _)| !ours.contains(process));
    cpu::seconds(foreign.map(|(_, stat)| stat.own_ticks + stat.reaped_ticks).sum())
}

/// Memory of the tree below `roots`, each shared page divided among those that share it.
pub(crate) fn pss_bytes(roots: &[u32]) -> u64 {
    let rollups = process_tree(roots).into_iter().filter_map(|process| {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        text::pss_bytes(&rollup)
    });
    rollups.sum()
}

/// All processes that are alive.
fn stats() -> impl Iterator<Item = (u32, Stat)> {
    numbered_entries("/proc").filter_map(|process| Some((process, stat_of(process)?)))
}

fn stat_of(process: u32) -> Option<Stat> {
    Stat::read(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn numbered_entries(directory: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
