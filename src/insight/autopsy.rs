//! Why a session ended, from what its tunnel saw and from the ends of others.
//!
//! A rule says something only if what was seen leaves no other explanation that is as likely. An end
//! without a cause is an ordinary one: somebody closed.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::time::Duration;

use crate::tunnel::{End, Evidence, Side};

/// Why a session ended abnormally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The event loop of the node was blocked, so that it sent no heartbeat or read nothing.
    BlockedEventLoop,
    /// The client's host is gone from the network.
    ClientGone,
    /// The client's host is there, and its program does not answer heartbeats.
    ClientUnresponsive,
    /// The client does not read what is sent to it.
    ClientNotReading,
    /// A proxy between the client and us cuts connections after a time without traffic.
    IntermediaryTimeout,
    /// The process of the node ended.
    NodeRestarted,
    /// The node's host is gone from the network.
    NodeGone,
}

/// A cause, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The cause.
    pub(crate) cause: Cause,
    /// One sentence.
    pub(crate) sentence: String,
}

/// What is known besides the tunnel's own evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// Whether it is a session of Engine.IO, whose sides send heartbeats.
    pub(crate) has_heartbeat: bool,
    /// After how many seconds without traffic many connections of clients were cut, this one among them.
    pub(crate) cut_at_seconds: Option<u64>,
    /// How many tunnels the node ended or lost in the same two seconds, this one among them.
    pub(crate) node_losses: usize,
    /// Whether the node has any tunnel left.
    pub(crate) has_tunnels_left: bool,
    /// Whether a connect to the node has failed since.
    pub(crate) has_refused_connects: bool,
}

impl Cause {
    /// The name in logs, metrics and answers.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::BlockedEventLoop => "blocked_event_loop",
            Self::ClientGone => "client_gone",
            Self::ClientUnresponsive => "client_unresponsive",
            Self::ClientNotReading => "client_not_reading",
            Self::IntermediaryTimeout => "intermediary_timeout",
            Self::NodeRestarted => "node_restarted",
            Self::NodeGone => "node_gone",
        }
    }
}

/// Whether more may be known a second later: other tunnels of the node end, too, or it refuses connects.
pub(crate) fn may_be_restart(end: End) -> bool {
    matches!(end, End::NodeLeft | End::NodeReset | End::NodeClosed(_))
}

/// Explains `end`, if it was abnormal and its cause can be seen.
pub(crate) fn explain(end: End, evidence: &Evidence, context: Context) -> Option<Explanation> {
    let explained = match end {
        End::StalledClient => Some(client_not_reading(evidence)),
        End::StalledNode => Some(node_takes_nothing(evidence)),
        End::KeepaliveLost(Side::Client) => Some(client_lost(evidence)),
        End::KeepaliveLost(Side::Node) => Some(node_lost(evidence)),
        End::ClientClosed(_) => silent_node(evidence, context),
        End::ClientLeft | End::ClientReset => unacknowledged_client(evidence)
            .or_else(|| silent_node(evidence, context))
            .or_else(|| cut(context)),
        End::NodeClosed(_) => slow_client(evidence)
            .or_else(|| unanswered_heartbeat(evidence, context))
            .or_else(|| restarted(end, context)),
        End::NodeLeft | End::NodeReset => unacknowledged_node(evidence)
            .or_else(|| restarted(end, context))
            .or_else(|| slow_client(evidence))
            .or_else(|| unanswered_heartbeat(evidence, context)),
        End::Idle => silent_node(evidence, context),
        End::IdleMessages
        | End::MaxAge
        | End::Expired
        | End::TooBig
        | End::TooFast
        | End::BadFrame(_)
        | End::Shutdown
        | End::NodeDrained
        | End::Rebalanced
        | End::Ended => None,
    };
    explained.map(|(cause, sentence)| Explanation { cause, sentence })
}

type Explained = (Cause, String);

/// The node sent no heartbeat when it was due.
fn silent_node(evidence: &Evidence, context: Context) -> Option<Explained> {
    if !context.has_heartbeat {
        return None;
    }
    let [_, quiet] = evidence.quiet;
    let late = evidence.heartbeat_gap.and_then(|gap| {
        let late = quiet.checked_sub(gap)?;
        (late >= LATE_MIN.max(gap / 4)).then_some(late)
    });
    if let Some(late) = late {
        let sentence = format!(
            "the node's heartbeat was {} late: its event loop was blocked, or its process stopped",
            seconds(late)
        );
        return Some((Cause::BlockedEventLoop, sentence));
    }
    let heartbeat = evidence.silence_max?.saturating_sub(MARGIN);
    (quiet + LATE_MIN >= heartbeat).then(|| {
        let sentence = format!(
            "the node was silent for {}, as long as pingInterval and pingTimeout together: its event loop was \
             blocked, or its process stopped",
            seconds(quiet)
        );
        (Cause::BlockedEventLoop, sentence)
    })
}

/// The node gave the client up, which did not answer its last heartbeat.
fn unanswered_heartbeat(evidence: &Evidence, context: Context) -> Option<Explained> {
    if !context.has_heartbeat {
        return None;
    }
    let ([quiet, _], [_, asked]) = (evidence.quiet, evidence.heartbeat);
    let is_unanswered =
        asked.is_some_and(|asked| asked >= ANSWER_MIN && quiet + SAME_TIME >= asked);
    // EIO=3: the client sends the heartbeat.
    let is_overdue = evidence.heartbeat_gap.is_some_and(|gap| quiet >= gap + LATE_MIN.max(gap / 4));
    if !is_unanswered && !is_overdue {
        return None;
    }
    let since = asked.map_or_else(String::new, |asked| {
        format!(", and did not answer the heartbeat {} before the end", seconds(asked))
    });
    let seen = format!("the client sent nothing for {}{since}", seconds(quiet));
    Some(match (evidence.is_unacknowledged, evidence.has_ended) {
        ([true, _], _) => (
            Cause::ClientGone,
            format!("{seen}; its host acknowledges nothing: it left the network"),
        ),
        ([false, _], [true, _]) => {
            let but = "but its host answered the end at once: the program was suspended or busy";
            (Cause::ClientUnresponsive, format!("{seen}, {but}"))
        }
        ([false, _], [false, _]) => {
            (Cause::ClientGone, format!("{seen}, nor did it answer the end: it left the network"))
        }
    })
}

/// The node, or we, gave up a client for which bytes waited.
fn slow_client(evidence: &Evidence) -> Option<Explained> {
    let [waiting, _] = evidence.waiting;
    (waiting? >= WAITING_MIN).then(|| match evidence.is_unacknowledged {
        [true, _] => client_lost(evidence),
        [false, _] => client_not_reading(evidence),
    })
}

fn client_not_reading(evidence: &Evidence) -> Explained {
    let [waiting, _] = evidence.waiting;
    let sentence = format!(
        "bytes waited for the client for {}, which it did not read; it last sent something {} before the end",
        seconds(waiting.unwrap_or_default()),
        seconds(evidence.quiet[0])
    );
    (Cause::ClientNotReading, sentence)
}

fn node_takes_nothing(evidence: &Evidence) -> Explained {
    let [_, waiting] = evidence.waiting;
    let sentence = format!(
        "the node read nothing for {}: its event loop was blocked, or its process stopped",
        seconds(waiting.unwrap_or_default())
    );
    (Cause::BlockedEventLoop, sentence)
}

fn client_lost(evidence: &Evidence) -> Explained {
    let quiet = seconds(evidence.quiet[0]);
    let sentence =
        format!("the client sent nothing for {quiet} and answered no Ping: it left the network");
    (Cause::ClientGone, sentence)
}

fn node_lost(evidence: &Evidence) -> Explained {
    let quiet = seconds(evidence.quiet[1]);
    match evidence.is_unacknowledged {
        [_, true] => (Cause::NodeGone, format!("the node's host acknowledged nothing for {quiet}")),
        [_, false] => {
            let sentence = format!(
                "the node sent nothing for {quiet} and answered no Ping: its event loop was blocked, or its \
                 process stopped"
            );
            (Cause::BlockedEventLoop, sentence)
        }
    }
}

fn unacknowledged_client(evidence: &Evidence) -> Option<Explained> {
    let [is_gone, _] = evidence.is_unacknowledged;
    let quiet = seconds(evidence.quiet[0]);
    let sentence = || {
        format!(
            "the client's host acknowledged nothing, and had sent nothing for {quiet}: it left the network"
        )
    };
    is_gone.then(|| (Cause::ClientGone, sentence()))
}

fn unacknowledged_node(evidence: &Evidence) -> Option<Explained> {
    let [_, is_gone] = evidence.is_unacknowledged;
    let quiet = seconds(evidence.quiet[1]);
    let sentence =
        || format!("the node's host acknowledged nothing, and had sent nothing for {quiet}");
    is_gone.then(|| (Cause::NodeGone, sentence()))
}

/// A proxy before us has a timeout.
fn cut(context: Context) -> Option<Explained> {
    let seconds = context.cut_at_seconds?;
    let sentence = format!(
        "connections of clients are cut again and again {seconds} s after the last byte: a proxy or balancer \
         before Sockeye has this timeout"
    );
    Some((Cause::IntermediaryTimeout, sentence))
}

/// The node's process ended.
fn restarted(end: End, context: Context) -> Option<Explained> {
    let is_clean = matches!(end, End::NodeClosed(_));
    let is_mass = context.node_losses >= if is_clean { 3 } else { 2 };
    let is_down = context.has_refused_connects || is_mass && !context.has_tunnels_left;
    if !is_down && (is_clean || !is_mass) {
        return None;
    }
    let refused = if context.has_refused_connects { " and refuses connects" } else { "" };
    let sentence = match context.node_losses {
        0 | 1 => format!("the node ended this connection{refused}: its process ended"),
        losses => format!(
            "the node ended {losses} connections or more at once{refused}: its process ended"
        ),
    };
    Some((Cause::NodeRestarted, sentence))
}

/// A time for a sentence.
fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// A heartbeat that is later than by this much, and by a quarter of its interval, is late.
const LATE_MIN: Duration = Duration::from_secs(1);

/// A client has at least this long to answer a heartbeat: servers with a shorter `pingTimeout` are none.
const ANSWER_MIN: Duration = Duration::from_secs(1);

/// Bytes that wait for less long say nothing.
const WAITING_MIN: Duration = Duration::from_secs(1);

/// What comes in one wake-up has the same time.
const SAME_TIME: Duration = Duration::from_millis(1);

/// What [`Evidence::silence_max`] has more than the heartbeat.
const MARGIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKETIO: Context = Context {
        has_heartbeat: true,
        cut_at_seconds: None,
        node_losses: 0,
        has_tunnels_left: true,
        has_refused_connects: false,
    };

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A session with a heartbeat every 25 s and 20 s for the answer, of which both sides were heard so many
    /// seconds ago.
    fn heard(client: f64, node: f64) -> Evidence {
        Evidence {
            quiet: [secs(client), secs(node)],
            heartbeat: [Some(secs(client)), Some(secs(node))],
            heartbeat_gap: Some(secs(25.0)),
            silence_max: Some(secs(50.0)),
            ..Evidence::default()
        }
    }

    fn check(end: End, evidence: Evidence, context: Context, expected: Option<Cause>) {
        let explained = explain(end, &evidence, context);
        let cause = explained.as_ref().map(|explained| explained.cause);
        assert_eq!(cause, expected, "{end:?} {evidence:?} {context:?}");
        assert!(explained.is_none_or(|explained| explained.sentence.len() > 20));
    }

    #[test]
    fn a_node_whose_heartbeat_is_late_is_blocked() {
        let blocked = Some(Cause::BlockedEventLoop);
        check(End::ClientClosed(None), heard(45.0, 45.0), SOCKETIO, blocked);
        check(End::ClientLeft, heard(45.1, 45.2), SOCKETIO, blocked);
        let unknown_gap = Evidence { heartbeat_gap: None, ..heard(2.0, 45.0) };
        check(End::ClientClosed(Some(1000)), unknown_gap, SOCKETIO, blocked);
        let fast =
            Evidence { heartbeat_gap: Some(secs(1.0)), silence_max: None, ..heard(3.1, 3.1) };
        check(End::ClientClosed(None), fast, SOCKETIO, blocked);
        check(End::Idle, heard(50.0, 50.0), SOCKETIO, blocked);
        check(End::KeepaliveLost(Side::Node), heard(1.0, 45.0), Context::default(), blocked);
        let waits = Evidence { waiting: [None, Some(secs(60.0))], ..heard(60.0, 60.0) };
        check(End::StalledNode, waits, Context::default(), blocked);
    }

    #[test]
    fn a_client_that_leaves_needs_no_explanation() {
        for quiet in [0.0, 3.0, 24.9] {
            check(End::ClientClosed(Some(1001)), heard(quiet, quiet), SOCKETIO, None);
            check(End::ClientLeft, heard(quiet, quiet), SOCKETIO, None);
            check(End::ClientReset, heard(quiet, quiet), SOCKETIO, None);
        }
        let plain = Evidence { quiet: [secs(3000.0); 2], ..Evidence::default() };
        check(End::ClientClosed(Some(1000)), plain, Context::default(), None);
        check(End::ClientLeft, plain, Context::default(), None);
        check(End::Idle, plain, Context::default(), None);
    }

    #[test]
    fn a_client_that_does_not_answer_is_gone_or_suspended() {
        let asked = heard(45.0, 20.0);
        check(End::NodeClosed(None), asked, SOCKETIO, Some(Cause::ClientGone));
        let answers = Evidence { has_ended: [true, false], ..asked };
        check(End::NodeClosed(None), answers, SOCKETIO, Some(Cause::ClientUnresponsive));
        let gone = Evidence { is_unacknowledged: [true, false], ..asked };
        check(End::ClientReset, gone, SOCKETIO, Some(Cause::ClientGone));
        check(End::NodeLeft, asked, SOCKETIO, Some(Cause::ClientGone));
        check(End::KeepaliveLost(Side::Client), asked, SOCKETIO, Some(Cause::ClientGone));
        // EIO=3: the client sends the heartbeat, and the node answers it.
        check(End::NodeClosed(None), heard(60.0, 60.0), SOCKETIO, Some(Cause::ClientGone));
    }

    #[test]
    fn a_node_that_ends_one_session_needs_no_explanation() {
        check(End::NodeClosed(Some(1000)), heard(3.0, 5.0), SOCKETIO, None);
        check(End::NodeClosed(None), heard(0.1, 0.05), SOCKETIO, None);
        let just_asked = heard(24.0, 0.2);
        check(End::NodeClosed(None), just_asked, SOCKETIO, None);
        check(End::NodeLeft, heard(3.0, 5.0), SOCKETIO, None);
        check(End::NodeClosed(None), heard(3000.0, 3.0), Context::default(), None);
    }

    #[test]
    fn a_client_for_which_bytes_wait_does_not_read() {
        let slow = Evidence { waiting: [Some(secs(31.0)), None], ..heard(31.0, 0.0) };
        for end in [End::NodeClosed(None), End::NodeLeft, End::StalledClient] {
            check(end, slow, SOCKETIO, Some(Cause::ClientNotReading));
        }
        let gone = Evidence { is_unacknowledged: [true, false], ..slow };
        check(End::NodeClosed(None), gone, SOCKETIO, Some(Cause::ClientGone));
        let moment = Evidence { waiting: [Some(secs(0.2)), None], ..heard(0.1, 0.0) };
        check(End::NodeClosed(None), moment, SOCKETIO, None);
    }

    #[test]
    fn ends_at_the_same_age_are_the_timeout_of_a_proxy_before_us() {
        let cut = Context { cut_at_seconds: Some(60), ..Context::default() };
        let quiet = Evidence { quiet: [secs(60.0); 2], ..Evidence::default() };
        check(End::ClientLeft, quiet, cut, Some(Cause::IntermediaryTimeout));
        check(End::ClientReset, quiet, cut, Some(Cause::IntermediaryTimeout));
        check(End::ClientClosed(Some(1000)), quiet, cut, None);
    }

    #[test]
    fn a_node_that_ends_all_its_tunnels_or_refuses_connects_has_stopped() {
        let restarted = Some(Cause::NodeRestarted);
        let mass = Context { node_losses: 5, has_tunnels_left: false, ..SOCKETIO };
        check(End::NodeLeft, heard(3.0, 5.0), mass, restarted);
        check(End::NodeReset, heard(3.0, 5.0), mass, restarted);
        check(End::NodeClosed(Some(1001)), heard(3.0, 5.0), mass, restarted);
        let refuses = Context { node_losses: 1, has_refused_connects: true, ..SOCKETIO };
        check(End::NodeLeft, heard(3.0, 5.0), refuses, restarted);
        check(End::NodeClosed(None), heard(3.0, 5.0), refuses, restarted);
        let some = Context { node_losses: 3, ..SOCKETIO };
        check(End::NodeClosed(None), heard(3.0, 5.0), some, None);
        check(End::NodeLeft, heard(3.0, 5.0), some, restarted);
        let dead = Evidence { is_unacknowledged: [false, true], ..heard(1.0, 70.0) };
        check(End::NodeReset, dead, mass, Some(Cause::NodeGone));
    }
}
