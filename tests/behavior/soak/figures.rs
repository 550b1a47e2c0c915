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

/// The memory of the process that is in use now, in KiB.
pub fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
