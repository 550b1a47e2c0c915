//! What the system tells of descriptors and sockets.

use std::fs;
use std::io;

/// How many descriptors the process has open.
pub(super) fn descriptors(process: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// How many sockets over IPv4 of these ports, at either end, are in TIME_WAIT.
pub(super) fn in_time_wait(ports: &[u16]) -> io::Result<usize> {
    Ok(count_time_wait(&fs::read_to_string("/proc/net/tcp")?, ports))
}

fn count_time_wait(table: &str, ports: &[u16]) -> usize {
    let waits = |row: &&str| {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let (local, remote) = (fields.next().and_then(port), fields.next().and_then(port));
        let is_of = |port: Option<u16>| port.is_some_and(|port| ports.contains(&port));
        fields.next() == Some(TIME_WAIT) && (is_of(local) || is_of(remote))
    };
    table.lines().filter(waits).count()
}

/// The port of an address such as `0100007F:0BB8`.
fn port(address: &str) -> Option<u16> {
    u16::from_str_radix(address.split_once(':')?.1, 16).ok()
}

/// `TCP_TIME_WAIT` of the kernel's `tcp_states.h`.
const TIME_WAIT: &str = "06";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_time_wait_are_counted_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
            0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:0BB8 0100007F:9C40 06 00000000:00000000\n   \
            2: 0100007F:9C41 0100007F:0BB8 06 00000000:00000000\n   \
            3: 0100007F:9C42 0100007F:0BB9 06 00000000:00000000\n   \
            4: 0100007F:9C43 0100007F:0BB8 01 00000000:00000000\n";
        assert_eq!(count_time_wait(table, &[3000]), 2);
        assert_eq!(count_time_wait(table, &[3000, 3001]), 3);
        assert_eq!(count_time_wait(table, &[]), 0);
    }
}
