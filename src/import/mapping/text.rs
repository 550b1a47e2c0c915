//! Texts with variables of nginx in our form.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::nginx::{LevelId, Model, Part, Server, ServerName, parts};

/// `text` with our variables.
///
/// # Errors
///
/// The variable that Sockeye does not have.
pub(super) fn translate(
    model: &Model,
    server: &Server,
    level: LevelId,
    text: &str,
) -> Result<String, String> {
    let folded = model.fold(level, text);
    // The query with its `?` is known together with its path alone.
    let folded = folded
        .replace("${uri}${is_args}${args}", "${request_uri}")
        .replace("${uri}${is_args}${query_string}", "${request_uri}")
        .replace("${document_uri}${is_args}${args}", "${request_uri}");
    let mut result = String::new();
    for part in parts(&folded) {
        match part {
            Part::Text(text) => result.push_str(text),
            // `$${` would be text.
            Part::Variable(name) if result.ends_with('$') => return Err(name.to_owned()),
            Part::Variable(name) => {
                result.push_str(&variable(name, server).ok_or_else(|| name.to_owned())?)
            }
        }
    }
    match result.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(result),
        false => Err("a character that is not ASCII".to_owned()),
    }
}

/// The variable of ours, or the value, for the variable `name` of nginx.
fn variable(name: &str, server: &Server) -> Option<String> {
    let ours = match name {
        "host" => "hostname",
        "http_host" => "host",
        "remote_addr" | "realip_remote_addr" | "proxy_protocol_addr" => "client_address",
        "scheme" => "scheme",
        "uri" | "document_uri" => "path",
        "request_uri" => "target",
        "args" | "query_string" => "query",
        "request_id" => "request_id",
        "server_name" => return first_name(server).map(str::to_owned),
        "server_port" => {
            let mut ports = server.listens.iter().map(|listen| listen.port);
            let port = ports.next()?;
            return ports.all(|other| other == port).then(|| port.to_string());
        }
        name => {
            let field = name
                .strip_prefix("http_")
                .map(|field| format!("header.{}", field.replace('_', "-")));
            let cookie = name.strip_prefix("cookie_").map(|cookie| format!("cookie.{cookie}"));
            return field.or(cookie).map(|ours| format!("${{{ours}}}"));
        }
    };
    Some(format!("${{{ours}}}"))
}

/// The first name of `server` that is one host.
pub(super) fn first_name(server: &Server) -> Option<&str> {
    server.names.iter().find_map(|name| match name {
        ServerName::Exact(name) => Some(&**name),
        _ => None,
    })
}
