//! Nodes that behave like Node.js with Engine.IO, and record what they see.

use crate::support::node::{FakeNode, Reply, Request, open_packet, response};

/// The name of the node that is an authorization service.
pub(super) const AUTHORIZATION: &str = "auth";

/// A node that is called `name`.
pub(super) async fn recording_node(name: &str) -> FakeNode {
    let prefix = name.replace('/', "-");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let name = name.to_owned();
    FakeNode::start(move |request| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        answer(&name, &prefix, number, request)
    })
    .await
}

fn answer(name: &str, prefix: &str, number: usize, request: &Request) -> Reply {
    let head = &request.head;
    let tokens = head.field("connection").unwrap_or_default().to_ascii_lowercase();
    // As Node.js decides it.
    let is_upgrade =
        head.field("upgrade").is_some() && tokens.split(',').any(|token| token.trim() == "upgrade");
    let sid = request.query("sid").filter(|sid| !sid.is_empty());
    let is_known = sid.is_none_or(|sid| sid.starts_with(&format!("{prefix}-")));
    if name == AUTHORIZATION {
        let is_denied = head.field("cookie").is_some_and(|cookie| cookie.contains("denied"));
        let status = if is_denied { "401 Unauthorized" } else { "200 OK" };
        let fields = "X-Auth-User: ann\r\nContent-Length: 0";
        return Reply::Bytes(format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n").into_bytes());
    }
    if is_upgrade && head.field("sec-websocket-key").is_none() {
        return Reply::Last(response("400 Bad Request", "Bad Request"));
    }
    if !is_known {
        return Reply::Bytes(response(
            "400 Bad Request",
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ));
    }
    if is_upgrade {
        return Reply::Echo { behind: Vec::new() };
    }
    let body = match (request.query("transport"), sid) {
        (Some("websocket"), _) => {
            return Reply::Bytes(response(
                "400 Bad Request",
                r#"{"code":3,"message":"Bad request"}"#,
            ));
        }
        (Some("polling"), None) => open_packet(&format!("{prefix}-{number}")),
        (Some("polling"), Some(_)) if head.method == "POST" => "ok".to_owned(),
        _ => format!("{} {}", name.split('/').next().unwrap_or_default(), head.method),
    };
    let said = head.fields.iter().filter(|(field, _)| field == "x-node-says");
    let mut status = "200 OK";
    let mut fields = String::new();
    for (_, line) in said {
        match line.strip_prefix("status ") {
            Some(other) => status = other,
            None => fields.push_str(&format!("{line}\r\n")),
        }
    }
    let length = body.len();
    Reply::Bytes(
        format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
    )
}
