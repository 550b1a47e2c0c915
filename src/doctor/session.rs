//! A session of Engine.IO by polling, every request of which may take a connection of its own.
//!
//! Runs at start, at reload, or on a timer.

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use tokio::time::sleep;

use super::ask::{Answer, Ask, Line, Switch, ask, switch};
use super::packets::{self, Connected, Open};
use super::road::{Failure, Road};
use crate::Instant;

/// An open session.
pub(super) struct Session<'a> {
    pub(super) road: &'a Road,
    pub(super) eio: u8,
    pub(super) open: Open,
    /// Whether the handshake already connected the client to the main namespace, as servers of version 3 do.
    pub(super) is_connected: bool,
    /// The cookies of the handshake, if they are to be sent back.
    cookies: Option<HeaderValue>,
}

/// Why no session was opened.
pub(super) enum Refused {
    /// The answer is no open packet.
    Answered(Answer),
    /// There was no answer.
    Failed(Failure),
}

impl<'a> Session<'a> {
    /// Opens a session on a new connection.
    pub(super) async fn open(road: &'a Road, eio: u8) -> Result<(Self, Answer), Refused> {
        let mut tries = 0;
        loop {
            let mut line = Line::open(road).await.map_err(Refused::Failed)?;
            let opened = Self::open_on(&mut line, road, eio).await;
            let Err(Refused::Answered(answer)) = &opened else { return opened };
            tries += 1;
            if !road.manners.wait(answer, tries).await {
                return opened;
            }
        }
    }

    /// Opens a session on this connection.
    pub(super) async fn open_on(
        line: &mut Line<'_>,
        road: &'a Road,
        eio: u8,
    ) -> Result<(Self, Answer), Refused> {
        let target = road.target.engineio(eio, "polling", None);
        let answer = line.ask(Ask::get(target)).await.map_err(Refused::Failed)?;
        let open = (answer.status == 200).then(|| Open::in_body(&answer.body)).flatten();
        let Some(open) = open else { return Err(Refused::Answered(answer)) };
        road.manners.opened();
        let cookies = cookies(&answer.fields);
        let packets = packets::unwrap(eio, &answer.body);
        let greetings = packets.iter().filter_map(|packet| packets::connected(packet, "/"));
        let is_connected = greetings.count() > 0;
        Ok((Self { road, eio, open, is_connected, cookies }, answer))
    }

    /// The same session for a client that keeps no cookies.
    pub(super) fn without_cookies(self) -> Self {
        Self { cookies: None, ..self }
    }

    /// Whether cookies are sent back.
    pub(super) fn has_cookies(&self) -> bool {
        self.cookies.is_some()
    }

    /// The request of a poll.
    pub(super) fn poll_ask(&self) -> Ask {
        self.with_cookies(Ask::get(self.target("polling")))
    }

    /// The request that sends one packet.
    pub(super) fn post_ask(&self, packet: &str) -> Ask {
        let ask = Ask::post(self.target("polling"), packets::wrap(self.eio, packet));
        self.with_cookies(ask)
    }

    /// Polls on a new connection.
    pub(super) async fn poll(&self, within: Duration) -> Result<Answer, Failure> {
        ask(self.road, self.poll_ask().within(within)).await
    }

    /// Sends one packet on a new connection.
    pub(super) async fn post(&self, packet: &str) -> Result<Answer, Failure> {
        ask(self.road, self.post_ask(packet)).await
    }

    /// Asks for the WebSocket of this session, on a new connection.
    pub(super) async fn upgrade(&self) -> Switch {
        let mut fields = HeaderMap::new();
        if let Some(cookies) = &self.cookies {
            fields.insert(COOKIE, cookies.clone());
        }
        switch(self.road, self.target("websocket"), fields).await
    }

    /// Polls until the answer to a CONNECT to `namespace` is there, and gives it; `None` if it does not
    /// come in time or the session ends.
    pub(super) async fn connected(&self, namespace: &str, within: Duration) -> Option<Connected> {
        let begun = Instant::now();
        while let Some(left) = within.checked_sub(begun.elapsed()) {
            let asked = Instant::now();
            let answer = self.poll(left).await.ok().filter(|answer| answer.status == 200)?;
            for packet in packets::unwrap(self.eio, &answer.body) {
                if packet == "2" && self.eio != 3 {
                    self.post("3").await.ok()?;
                }
                if let Some(connected) = packets::connected(&packet, namespace) {
                    return Some(connected);
                }
            }
            pace(asked).await;
        }
        None
    }

    /// Ends the session, if the server still knows it.
    pub(super) async fn end(&self) {
        // It ends by itself too, after its heartbeat.
        let _ = ask(self.road, self.post_ask("1").within(END_WITHIN)).await;
    }

    fn target(&self, transport: &str) -> String {
        self.road.target.engineio(self.eio, transport, Some(&self.open.sid))
    }

    fn with_cookies(&self, mut ask: Ask) -> Ask {
        if let Some(cookies) = &self.cookies {
            ask.fields.insert(COOKIE, cookies.clone());
        }
        ask
    }
}

/// Waits before the next poll if the one that was `asked` was answered at once: a server that always does is
/// not to be flooded.
pub(super) async fn pace(asked: Instant) {
    sleep(POLL_EVERY.saturating_sub(asked.elapsed())).await;
}

/// The cookies of an answer as a client sends them back.
fn cookies(fields: &HeaderMap<HeaderValue>) -> Option<HeaderValue> {
    let pairs: Vec<&str> = fields
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok()?.split(';').next())
        .map(str::trim)
        .collect();
    HeaderValue::from_str(&pairs.join("; ")).ok().filter(|_| !pairs.is_empty())
}

/// Ten polls a second are what a busy client sends.
const POLL_EVERY: Duration = Duration::from_millis(100);

const END_WITHIN: Duration = Duration::from_secs(2);
