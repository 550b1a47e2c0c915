//! How much memory this process may use, and how many clients that allows.
//!
//! A container that uses more is killed with all its sessions, so `max_connections: auto` considers the
//! limit of its cgroup: `memory.max` (version 2) or `memory.limit_in_bytes` (version 1), of the process's
//! own group and of each group above it.
//!
//! Runs at start, at reload, or on a timer.

use std::fs;
use std::path::{Path, PathBuf};

/// The lowest limit of all cgroups of this process, in bytes. `None` without a limit.
pub(crate) fn max() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    max_below(Path::new("/sys/fs/cgroup"), &groups)
}

/// How many clients fit into `bytes`.
pub(super) fn clients_for(bytes: Option<u64>) -> usize {
    let Some(bytes) = bytes else { return usize::MAX };
    let left = bytes.saturating_sub(bytes / 8).saturating_sub(RESERVED_BYTES);
    usize::try_from(left / BYTES_PER_CLIENT).unwrap_or(usize::MAX)
}

/// The lowest limit of the `groups` (cgroups(7), `/proc/self/cgroup`), which are mounted at `root`.
fn max_below(root: &Path, groups: &str) -> Option<u64> {
    let files = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            // If both versions are mounted, the second is below `unified`.
            return Some((vec![root.to_owned(), root.join("unified")], path, "memory.max"));
        }
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then(|| (vec![root.join("memory")], path, "memory.limit_in_bytes"))
    });
    files.flat_map(|(roots, path, file)| bounds(roots, path, file)).min()
}

/// The values of `file` in the group at `path` and in each group above it, as far as they are mounted: a
/// container may see its own group as the root.
fn bounds(roots: Vec<PathBuf>, path: &str, file: &'static str) -> Vec<u64> {
    let groups: Vec<&Path> = Path::new(path).ancestors().collect();
    let files =
        roots.iter().flat_map(|root| groups.iter().map(|group| root.join(group).join(file)));
    let texts = files.filter_map(|file| fs::read_to_string(file).ok());
    let bounds = texts.filter_map(|text| text.trim().parse().ok());
    // Version 1 writes a very large number if there is no limit.
    bounds.filter(|bytes| *bytes < NO_BOUND_BYTES).collect()
}

/// The estimate for a client: a pending poll uses 27 KiB of the process, an idle WebSocket 2 KiB, and the
/// kernel some KiB for each of the two sockets. A client with full buffers uses more.
pub(crate) const BYTES_PER_CLIENT: u64 = 48 << 10;

/// For the process itself. An eighth of the total is reserved too, for bursts.
const RESERVED_BYTES: u64 = 32 << 20;

/// More than any machine has.
const NO_BOUND_BYTES: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_all_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let check = |groups: &str, expected: Option<u64>| {
            assert_eq!(max_below(root.path(), groups), expected, "{groups}");
        };
        write("a/b/memory.max", "max\n");
        check("0::/a/b\n", None);
        write("a/memory.max", "2000\n");
        check("0::/a/b\n", Some(2000));
        write("a/b/memory.max", "1000\n");
        check("0::/a/b\n", Some(1000));
        check("0::/\n", None);
        check("0::/elsewhere/on/the/host\n", None);
        // A container that sees its own group as the root.
        write("memory.max", "3000\n");
        check("0::/\n", Some(3000));
        check("0::/../../elsewhere\n", Some(3000));

        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        check("4:memory:/docker/x\n", None);
        write("memory/docker/x/memory.limit_in_bytes", "500\n");
        check("5:cpu:/\n4:memory,hugetlb:/docker/x\n", Some(500));
        write("unified/a/memory.max", "400\n");
        check("4:memory:/docker/x\n0::/a\n", Some(400));
        for broken in ["", "x", "0:", "0::", "::::", "4:memory"] {
            let _ = max_below(root.path(), broken);
        }
    }

    #[test]
    fn some_memory_is_reserved() {
        let check = |bytes, clients| assert_eq!(clients_for(bytes), clients, "{bytes:?}");
        check(None, usize::MAX);
        check(Some(0), 0);
        check(Some(128 << 20), 1706);
        check(Some(1 << 30), 18_432);
    }
}
