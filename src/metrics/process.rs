//! The resources that this process uses, as Linux reports them.
//!
//! Runs at start, at reload, or on a timer.

use std::fs;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

/// The resources that this process uses. `None` for values that the system does not report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// Open files and sockets.
    pub descriptors: Option<u64>,
    /// The limit for open files and sockets.
    pub descriptors_max: Option<u64>,
    /// The time that its threads have used of a core since the start.
    pub cpu_seconds: Option<f64>,
}

impl Process {
    /// The current values.
    pub(crate) fn now() -> Self {
        Self { cpu_seconds: Some(cpu_seconds()), ..Self::at(Path::new("/proc/self")) }
    }

    fn at(directory: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        let resident = field(&read("status"), "VmRSS:");
        Self {
            memory_bytes: resident.map(|kibibytes| kibibytes.saturating_mul(1024)),
            descriptors: descriptors(&directory.join("fd")),
            descriptors_max: field(&read("limits"), "Max open files"),
            cpu_seconds: None,
        }
    }
}

/// Finer than the hundredths of a second in `/proc`.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// How many entries `directory` has. Since Linux 6.2 its size is this number; reading a hundred thousand
/// entries would delay this thread's connections.
fn descriptors(directory: &Path) -> Option<u64> {
    let size = fs::metadata(directory).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let entries = fs::read_dir(directory).ok()?;
    // The descriptor that reads the directory is one of them.
    Some((entries.count() as u64).saturating_sub(1))
}

/// The first number behind `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_number_behind_its_name() {
        let text = "VmSize:  10 kB\nVmRSS:\t    1234 kB\nRssAnon: 9 kB\n";
        assert_eq!(field(text, "VmRSS:"), Some(1234));
        assert_eq!(field(text, "VmSwap:"), None);
        let limits = "Max processes   1   2\nMax open files            1024      4096    files\n";
        assert_eq!(field(limits, "Max open files"), Some(1024));
        assert_eq!(field("Max open files   unlimited  unlimited files", "Max open files"), None);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_used_some_time() {
        let before = Process::now();
        assert!(before.memory_bytes.is_some_and(|bytes| bytes > 1 << 20), "{before:?}");
        assert!(before.descriptors.is_some_and(|open| open >= 3), "{before:?}");
        assert!(before.cpu_seconds.is_some_and(|used| used > 0.0), "{before:?}");
        assert_eq!(Process::at(Path::new("/nowhere")), Process::default());
    }
}
