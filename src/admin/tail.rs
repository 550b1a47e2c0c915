//! `/tail`: ends and handshakes as they come.
//!
//! Runs at start, at reload, or on a timer.

use tokio::sync::broadcast::error::RecvError;

use super::event_stream::EventSender;
use super::model::Handshake;
use super::query::parameters;
use super::sessions;
use super::views::unix_seconds;
use crate::insight::{AnsweredHandshake, EndedSessions, News};

/// Which of them are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TailFilter {
    skips_ends: bool,
    skips_handshakes: bool,
    is_abnormal: bool,
    node: Option<String>,
    client: Option<String>,
    route: Option<String>,
}

impl TailFilter {
    /// The filter that `query` writes, such as `what=ends&node=n1`.
    ///
    /// # Errors
    ///
    /// A sentence on the parameter that is wrong.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in parameters(query) {
            let wanted = Some(value.clone()).filter(|value| !value.is_empty());
            match name {
                "what" => filter.set_what(&value)?,
                "node" => filter.node = wanted,
                "client" => filter.client = wanted,
                "route" => filter.route = wanted,
                _ => {
                    let known = "what, node, client or route";
                    return Err(format!("there is no parameter `{name}`: write {known}"));
                }
            }
        }
        Ok(filter)
    }

    fn set_what(&mut self, what: &str) -> Result<(), String> {
        (self.skips_ends, self.skips_handshakes) = (true, true);
        for word in what.split(',') {
            match word {
                "ends" => self.skips_ends = false,
                "abnormal" => (self.skips_ends, self.is_abnormal) = (false, true),
                "handshakes" => self.skips_handshakes = false,
                _ => return Err(format!("what is `{word}`: write ends, abnormal or handshakes")),
            }
        }
        Ok(())
    }

    fn fits(&self, node: &str, client: &str, path: &str) -> bool {
        self.node.as_ref().is_none_or(|wanted| wanted == node)
            && self.client.as_ref().is_none_or(|wanted| wanted == client)
            && self.route.as_ref().is_none_or(|wanted| path.contains(&**wanted))
    }
}

/// Sends what happens and fits `filter`, as long as there is a reader.
pub(super) async fn follow(ended: &EndedSessions, filter: TailFilter, sender: EventSender) {
    let mut news = ended.listen();
    loop {
        let next = tokio::select! {
            next = news.recv() => next,
            () = sender.closed() => return,
        };
        match next {
            Ok(news) => send(&news, &filter, &sender),
            Err(RecvError::Lagged(lost)) => sender.lose(lost),
            Err(RecvError::Closed) => return,
        }
    }
}

fn send(news: &News, filter: &TailFilter, sender: &EventSender) {
    match news {
        News::End(ended) if !filter.skips_ends => {
            let shown = sessions::ended(ended);
            let session = &shown.session;
            let is_wanted = filter.fits(&session.node, &session.client, &session.route);
            if is_wanted && (!filter.is_abnormal || shown.cause.is_some()) {
                sender.send("end", &shown);
            }
        }
        News::Handshake(handshake) if !filter.skips_handshakes => {
            let shown = shown(handshake);
            if filter.fits(&shown.node, &shown.client, &shown.path) {
                sender.send("handshake", &shown);
            }
        }
        News::End(_) | News::Handshake(_) => (),
    }
}

fn shown(handshake: &AnsweredHandshake) -> Handshake {
    Handshake {
        at: unix_seconds(handshake.at),
        client: handshake.client.to_string(),
        path: handshake.path.to_string(),
        node: handshake.node.to_string(),
        transport: handshake.transport.to_owned(),
        status: handshake.status,
        millis: u64::try_from(handshake.took.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_said_by_words() {
        let all = TailFilter::default();
        let ends = TailFilter { skips_handshakes: true, ..all.clone() };
        assert_eq!(TailFilter::parse(None), Ok(all.clone()));
        assert_eq!(TailFilter::parse(Some("what=ends,handshakes")), Ok(all.clone()));
        assert_eq!(TailFilter::parse(Some("what=ends")), Ok(ends.clone()));
        let abnormal = TailFilter { is_abnormal: true, ..ends };
        assert_eq!(TailFilter::parse(Some("what=abnormal")), Ok(abnormal));
        let of_node = TailFilter { node: Some("n1".into()), ..all };
        assert_eq!(TailFilter::parse(Some("node=n1&client=")), Ok(of_node));
        assert!(TailFilter::parse(Some("what=polls")).unwrap_err().contains("write ends"));
        assert!(TailFilter::parse(Some("x=1")).unwrap_err().contains("write what"));
    }
}
