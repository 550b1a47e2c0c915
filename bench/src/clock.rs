//! One clock for all processes of a comparison, and ticks of it that are not rounded.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Nanoseconds of the machine's monotonic clock, which is the same in every process.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * NANOSECONDS + now.tv_nsec.unsigned_abs()
}

/// A timer of the kernel's: tokio's own rounds up to milliseconds, which a latency would carry.
#[derive(Debug)]
pub(crate) struct Ticks {
    timer: AsyncFd<OwnedFd>,
    next_due: u64,
    period: u64,
    /// How many are due already.
    missed: u64,
}

impl Ticks {
    /// Ticks at `first`, as [`now`] counts, and every `period` after it.
    pub(crate) fn new(first: u64, period: Duration) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let period = u64::try_from(period.as_nanos()).map_err(io::Error::other)?.max(1);
        let spec = Itimerspec { it_interval: timespec(period), it_value: timespec(first.max(1)) };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(Self { timer: watched(timer)?, next_due: first, period, missed: 0 })
    }

    /// Waits for the next tick and says when it was due: none is left out, however late it is.
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> io::Result<u64> {
        while self.missed == 0 {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut expirations)?));
            if let Ok(read) = read {
                read?;
                self.missed = u64::from_ne_bytes(expirations);
            }
        }
        self.missed -= 1;
        let due = self.next_due;
        self.next_due += self.period;
        Ok(due)
    }
}

#[expect(deprecated, reason = "sound for a descriptor that is owned; the successor is unsafe code")]
fn watched(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(timer)
}

fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / NANOSECONDS).cast_signed(),
        tv_nsec: (nanoseconds % NANOSECONDS).cast_signed(),
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_tick_is_left_out_and_each_says_when_it_was_due() {
        let first = now();
        let mut ticks = Ticks::new(first, Duration::from_millis(1)).unwrap();
        for tick in 0..5 {
            let due = ticks.next().await.unwrap();
            assert_eq!(due, first + tick * 1_000_000);
            assert!(now() >= due);
        }
    }
}
