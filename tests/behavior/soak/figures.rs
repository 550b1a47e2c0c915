//! What the system tells of a process.

use std::time::Duration;

use tokio::time::interval;

/// How many descriptors the process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Waits until the process has no more than `count` descriptors, for 20 s at most, and tells how
/// many it has then.
pub async fn until_descriptors(pid: u32, count: usize) -> usize {
    let mut look = interval(Duration::from_millis(200));
    for _ in 0..100 {
        look.tick().await;
        if descriptors(pid) <= count {
            break;
        }
    }
    descriptors(pid)
}

/// The least memory of the process that is in use within the next 12 s, in KiB: an allocator gives back
/// what is free after a while.
pub async fn settled_kib(pid: u32) -> usize {
    let (mut look, mut least) = (interval(Duration::from_millis(500)), usize::MAX);
    for _ in 0..24 {
        look.tick().await;
        least = least.min(resident_kib(pid));
    }
    least
}

/// The least of some looks at the descriptors: a health check may be under way.
pub async fn quiet_descriptors(pid: u32) -> usize {
    let (mut look, mut least) = (interval(Duration::from_millis(100)), usize::MAX);
    for _ in 0..20 {
        look.tick().await;
        least = least.min(descriptors(pid));
    }
    least
}

/// Prints the limit on open descriptors that the process runs under: it bounds what a load can reach.
pub fn print_descriptor_limit(pid: u32) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    println!("descriptors capped at {}", line.split_whitespace().next().unwrap());
}

/// Whether memory grew: the median of the second half of these samples is above that of the first by more
/// than a twentieth and what an allocator keeps by chance. A single sample would decide by chance.
pub fn has_grown(samples_kib: &[usize]) -> bool {
    let [first, second] = half_medians(samples_kib);
    println!("medians of the halves of {} samples, in KiB: {first}, {second}", samples_kib.len());
    second > first + first / 20 + CHANCE_KIB
}

/// The medians of the first and of the second half, which need a sample each.
fn half_medians(samples: &[usize]) -> [usize; 2] {
    let (first, second) = samples.split_at(samples.len() / 2);
    [first, second].map(|half| median(half.to_vec()).expect("each half has a sample"))
}

/// The median; of an even number, the higher one in the middle.
pub fn median(mut values: Vec<usize>) -> Option<usize> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// What an allocator keeps or not by chance, in KiB.
pub const CHANCE_KIB: usize = 1024;

/// The memory of the process that is in use now, in KiB.
pub fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_told_from_a_first_sample_that_is_low() {
        let check = |samples: &[usize], grown| assert_eq!(has_grown(samples), grown, "{samples:?}");
        check(&[90_000, 200_000, 210_000, 200_000, 205_000, 207_000], false);
        check(&[200_000, 200_000, 900_000, 200_000, 200_000, 900_000], false);
        check(&[100_000, 100_000, 100_000, 106_025, 106_025, 106_025], true);
        check(&[100_000, 100_000, 100_000, 106_024, 106_024, 106_024], false);
        check(&[100_000, 102_000, 104_000, 106_000, 108_000, 110_000, 112_000, 114_000], true);
    }
}
