//! `routes[].tunnel:`
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::config::file::route::{self as keys, Keepalive, Tunnel};
use crate::tunnel::{self, IdleTimeout, KeepaliveTimes, Limits, MessageMax, StalledClient};
use crate::yaml::{Diagnostic, KeyPath, RawScalar, Report, TextOr, units};

/// The settings at `path`, with defaults.
pub(super) fn resolve(path: &KeyPath, written: Option<&Tunnel>, report: &mut Report<'_>) -> Limits {
    let default = Limits::default();
    let Some(written) = written else { return default };
    Limits {
        idle_timeout: report.read(
            &path.key("idle_timeout"),
            text(&written.idle_timeout),
            default.idle_timeout,
            idle_timeout,
        ),
        idle_messages: report.read(
            &path.key("idle_messages"),
            text(&written.idle_messages),
            default.idle_messages,
            |text| units::off_or(text, |text| units::duration(text, &keys::IDLE_TIMEOUT)),
        ),
        keepalive: keepalive(&path.key("keepalive"), written.keepalive.as_ref(), report),
        message_max: report.read(
            &path.key("message_max"),
            text(&written.message_max),
            default.message_max,
            message_max,
        ),
        messages_per_second: report.read(
            &path.key("messages_per_second"),
            text(&written.messages_per_second),
            default.messages_per_second,
            |text| units::off_or(text, rate),
        ),
        control_frames_per_second: report.read(
            &path.key("control_frames_per_second"),
            text(&written.control_frames_per_second),
            default.control_frames_per_second,
            |text| units::off_or(text, rate),
        ),
        stalled_client: report.read(
            &path.key("stalled_client"),
            text(&written.stalled_client),
            default.stalled_client,
            stalled_client,
        ),
        max_age: report.read(
            &path.key("max_age"),
            text(&written.max_age),
            default.max_age,
            |text| units::off_or(text, |text| units::duration(text, &keys::MAX_AGE)),
        ),
        buffer_bytes: report.read(
            &path.key("buffer"),
            text(&written.buffer),
            default.buffer_bytes,
            buffer_bytes,
        ),
    }
}

fn keepalive(
    path: &KeyPath,
    written: Option<&TextOr<Keepalive>>,
    report: &mut Report<'_>,
) -> tunnel::Keepalive {
    let default = Limits::default().keepalive;
    match written {
        None => default,
        Some(TextOr::Text(word)) => report.read(path, Some(word), default, |word| match word {
            "auto" => Ok(tunnel::Keepalive::Auto),
            "off" => Ok(tunnel::Keepalive::Off),
            other => units::refuse_other_off(other).and_then(|()| {
                Err(Diagnostic::new("is not a keepalive")
                    .help("write auto, off, or { every: 25s, lost_after: 20s }"))
            }),
        }),
        Some(TextOr::Map(times)) => {
            let default = KeepaliveTimes::default();
            let mut read = |key, written, default| {
                report.read(&path.key(key), text(written), default, |text| {
                    units::duration(text, &keys::KEEPALIVE)
                })
            };
            tunnel::Keepalive::On(KeepaliveTimes {
                every: read("every", &times.every, default.every),
                lost_after: read("lost_after", &times.lost_after, default.lost_after),
            })
        }
    }
}

fn idle_timeout(text: &str) -> Result<IdleTimeout, Diagnostic> {
    match text {
        "auto" => Ok(IdleTimeout::Auto),
        "off" => Ok(IdleTimeout::Off),
        text => units::refuse_other_off(text).and_then(|()| {
            units::duration(text, &keys::IDLE_TIMEOUT)
                .map(IdleTimeout::After)
                .map_err(|diagnostic| diagnostic.or_write("auto or off"))
        }),
    }
}

fn stalled_client(text: &str) -> Result<StalledClient, Diagnostic> {
    match text {
        "auto" => Ok(StalledClient::Auto),
        text => units::duration(text, &keys::STALLED_CLIENT)
            .map(StalledClient::After)
            .map_err(|diagnostic| diagnostic.or_write("auto")),
    }
}

fn message_max(text: &str) -> Result<MessageMax, Diagnostic> {
    match text {
        "auto" => Ok(MessageMax::Auto),
        "off" => Ok(MessageMax::Off),
        text => units::refuse_other_off(text).and_then(|()| {
            units::size(text, &keys::MESSAGE_MAX)
                .map(MessageMax::Bytes)
                .map_err(|diagnostic| diagnostic.or_write("auto or off"))
        }),
    }
}

fn rate(text: &str) -> Result<u32, Diagnostic> {
    let number = units::whole(text).filter(|number| keys::RATE.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (keys::RATE.start(), keys::RATE.end());
        Diagnostic::new("is not a rate")
            .help(format!("write a whole number from {least} to {most}"))
    })
}

fn buffer_bytes(text: &str) -> Result<usize, Diagnostic> {
    let bytes = units::size(text, &keys::BUFFER)?;
    usize::try_from(bytes).map_err(|_| Diagnostic::new("is too large for this machine"))
}

fn text(written: &Option<RawScalar>) -> Option<&str> {
    written.as_ref().map(RawScalar::as_str)
}
