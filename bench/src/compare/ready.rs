//! Whether a proxy answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use super::process::Process;
use crate::{Outcome, clock};

/// Waits until a handshake through the proxy is answered by a node.
pub(super) fn wait_ready(proxy: &mut Process, address: SocketAddr) -> Outcome {
    let until = clock::now() + PATIENCE_NANOSECONDS;
    while clock::now() < until {
        if let Some(status) = proxy.ended()? {
            return Err(format!("it ended at once ({status})").into());
        }
        if answers(address).unwrap_or(false) {
            return Ok(());
        }
        sleep(STEP);
    }
    Err("it did not answer in 10 s".into())
}

fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: bench.test\r\n\
          Connection: close\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let opens = answer.windows(7).any(|window| window == b"0{\"sid\"");
    Ok(answer.starts_with(b"HTTP/1.1 200") && opens)
}

const PATIENCE_NANOSECONDS: u64 = 10_000_000_000;
const STEP: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
