//! All mistakes that are looked for, each with what people see of it and why Sockeye does not have it.
//!
//! Pure. Runs at start, at reload, or on a timer.

use crate::nginx::finding::Level::{self, Breaks, BreaksWhen, Hint};

/// A mistake.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its short name, which stays the same.
    pub id: &'static str,
    /// How much it matters at most.
    pub level: Level,
    /// What it is.
    pub mistake: &'static str,
    /// What people see of it.
    pub symptom: &'static str,
    /// Why Sockeye does not have it.
    pub remedy: &'static str,
}

const fn rule(
    id: &'static str,
    level: Level,
    mistake: &'static str,
    symptom: &'static str,
    remedy: &'static str,
) -> Rule {
    Rule { id, level, mistake, symptom, remedy }
}

/// A mistake for which nginx does not start.
const fn refused(id: &'static str, mistake: &'static str) -> Rule {
    rule(id, Breaks, mistake, NOT_LOADED, CHECKED)
}

const NOT_LOADED: &str = "nginx does not start, or goes on with the old configuration";
const CHECKED: &str = "sockeye check names each mistake of the new file before it is used";
const WEBSOCKETS: &str = "Sockeye passes WebSocket handshakes on by itself, and only these";
const IDLE: &str = "Sockeye takes the idle time from pingInterval and pingTimeout, and sends Pings on other WebSockets";
const TOLD: &str = "nodes get Host and X-Forwarded-* on each request";
const AFFINITY: &str = "Sockeye keeps a session on its node by its sid";
const PREFIXES: &str = "a path is matched by whole segments, and the most specific route is taken";

/// The table, in the order of the manual.
pub const RULES: [Rule; 59] = [
    // What loses a transport.
    rule(
        "upgrade-missing",
        Breaks,
        "a route of Socket.IO or WebSockets does not pass Upgrade and Connection on",
        "stuck in polling, or \"WebSocket connection failed\"",
        WEBSOCKETS,
    ),
    rule(
        "upgrade-fixed",
        Breaks,
        "Upgrade has a fixed value, so each request asks for an upgrade",
        "polls get 400; only clients with transports: [\"websocket\"] come in",
        WEBSOCKETS,
    ),
    rule(
        "upgrade-swapped",
        Breaks,
        "Upgrade gets a value that is meant for Connection",
        "WebSockets get 400",
        WEBSOCKETS,
    ),
    rule(
        "connection-not-upgrade",
        Breaks,
        "Upgrade is passed on, but Connection does not name it",
        "WebSockets get 200 or 400 instead of 101",
        WEBSOCKETS,
    ),
    rule(
        "connection-always-upgrade",
        Hint,
        "Connection is \"upgrade\" on requests that ask for none",
        "strict servers such as uvicorn answer polls with 400 \"Unsupported upgrade request\"",
        WEBSOCKETS,
    ),
    rule(
        "http-1.0",
        BreaksWhen,
        "handshakes go to nodes as HTTP/1.0, the default before nginx 1.29.7",
        "servers that are strict answer a WebSocket with 400 or 426",
        "Sockeye speaks HTTP/1.1 to nodes",
    ),
    rule("map-unused", Hint, "a map of $http_upgrade is used nowhere", "", WEBSOCKETS),
    rule(
        "no-target",
        Breaks,
        "a location for WebSockets has no proxy_pass",
        "WebSockets get 404",
        "a route without a target is refused by sockeye check",
    ),
    rule(
        "http2-only",
        Breaks,
        "a listener without TLS has http2, which shuts HTTP/1.1 out before nginx 1.25.1",
        "nothing connects: the answer is not HTTP",
        "http2: on takes both versions on one port",
    ),
    rule(
        "http2-without-websockets",
        Hint,
        "nginx has no WebSockets over HTTP/2",
        "each WebSocket costs a connection of its own, with a TLS handshake",
        "http2: on takes WebSockets over HTTP/2 too (RFC 8441)",
    ),
    // Paths.
    rule(
        "path-removed",
        Breaks,
        "the path in proxy_pass or rewrite takes the path of Socket.IO away",
        "the handshake gets 404 or a page",
        "a path is passed on as it is, unless strip_prefix says otherwise",
    ),
    rule(
        "slash-doubled",
        BreaksWhen,
        "the location ends without a slash and the target with one",
        "/ws/x arrives as //x, and /wsx as /x",
        PREFIXES,
    ),
    rule(
        "slash-lost",
        BreaksWhen,
        "the location ends with a slash and the target without one",
        "/a/x arrives as /bx",
        PREFIXES,
    ),
    rule(
        "slash-missing",
        Breaks,
        "the location is one exact path without the slash that Socket.IO sends",
        "the handshake gets 404",
        "sockeye route says which route a path has, and which ones just miss it",
    ),
    rule(
        "slash-redirect",
        BreaksWhen,
        "the path without its slash is redirected, which WebSockets do not follow",
        "new WebSocket(\".../ws\") fails and .../ws/ works",
        "path: /ws matches with a slash at its end and without",
    ),
    rule(
        "static-steals",
        BreaksWhen,
        "an expression for static files matches below the path of Socket.IO",
        "404 for /socket.io/socket.io.js",
        PREFIXES,
    ),
    rule(
        "prefix-within-word",
        Hint,
        "a location without a slash at its end matches within a word",
        "/wsx goes where /ws goes",
        PREFIXES,
    ),
    rule(
        "expression-loose",
        Hint,
        "an expression for Socket.IO has a dot without a backslash, or no ^",
        "other paths that contain such letters go to the Socket.IO server",
        "a route has a prefix; an expression has to begin with ^/",
    ),
    rule(
        "expression-shadowed",
        BreaksWhen,
        "an expression before this one matches all that this one does",
        "requests go to another server than the file seems to say",
        PREFIXES,
    ),
    rule(
        "named-location-settings",
        BreaksWhen,
        "a location that jumps to a named one has settings that do not go along",
        "a timeout or a field that was written has no effect",
        "there are no jumps: a route has all its settings",
    ),
    rule(
        "query-filter",
        BreaksWhen,
        "requests are refused by letters in their query",
        "403 now and then: a sid or t may contain the letters",
        "queries are not filtered",
    ),
    // Sessions.
    rule(
        "not-sticky",
        Breaks,
        "several servers and nothing that keeps a session on one",
        "400 \"Session ID unknown\", endless reconnects",
        AFFINITY,
    ),
    rule(
        "address-affinity",
        BreaksWhen,
        "the client's address selects the node",
        "all clients of one office, or of a balancer or CDN before nginx, are on one node; a phone that changes networks loses its session",
        AFFINITY,
    ),
    rule(
        "one-name",
        BreaksWhen,
        "one name stands for several servers, and each connection may get another",
        "400 \"Session ID unknown\" as soon as there are two",
        "discover: { dns: ... } finds all servers behind a name, and sessions stay on theirs",
    ),
    rule(
        "localhost",
        Hint,
        "localhost is two addresses, ::1 and 127.0.0.1, and in a container it is the container",
        "\"connect() failed (111: Connection refused) while connecting to upstream\" now and then",
        "an address that refuses is skipped, and health checks know it",
    ),
    rule(
        "keepalive-unused",
        Hint,
        "connections to nodes are never reused: keepalive needs HTTP/1.1 and an empty Connection",
        "a new connection for each poll; ports run out under load",
        "connections to nodes are kept and reused",
    ),
    // Times and sizes.
    rule(
        "idle-60s",
        BreaksWhen,
        "WebSockets are cut when the node is silent for 60 s, the default of proxy_read_timeout",
        "drops after a minute, \"transport close\"; with Socket.IO only if pingInterval was raised",
        IDLE,
    ),
    rule(
        "timeout-under-ping",
        Breaks,
        "proxy_read_timeout is shorter than the silence between two heartbeats",
        "reconnects all the time; polls get 504",
        IDLE,
    ),
    rule(
        "poll-buffering",
        Hint,
        "responses of polls are buffered",
        "streamed responses arrive late or at once",
        "bodies are passed on as they arrive",
    ),
    rule(
        "polls-cached",
        BreaksWhen,
        "responses of polls may be cached",
        "old messages again, or those of others",
        "Sockeye has no cache of responses",
    ),
    rule(
        "polls-limited",
        BreaksWhen,
        "limit_req counts polls",
        "503 at connect and under load, then reconnects that make it worse",
        "client_limits count sessions as well as requests",
    ),
    rule(
        "connections-limited",
        BreaksWhen,
        "limit_conn counts WebSockets and pending polls",
        "503 for people behind one address",
        "client_limits count a whole network, and 429 says so",
    ),
    rule(
        "body-limit",
        BreaksWhen,
        "client_max_body_size is smaller than a message may be (maxHttpBufferSize, 1 MB)",
        "413 for large messages by polling, while WebSockets take them",
        "body_max is taken from the session's handshake",
    ),
    // Fields.
    rule(
        "host-missing",
        Hint,
        "nodes get the target's name instead of the client's Host",
        "origin checks fail (\"Request origin not allowed\", \"Invalid Host header\"), links are wrong",
        TOLD,
    ),
    rule(
        "forwarded-for-missing",
        Hint,
        "nodes do not get the client's address",
        "all clients have the proxy's address, or one that they made up",
        TOLD,
    ),
    rule(
        "client-address-forged",
        Hint,
        "$proxy_add_x_forwarded_for keeps what the client itself wrote",
        "limits and logs by X-Forwarded-For can be evaded",
        "X-Forwarded-For is only taken from trusted_proxies",
    ),
    rule(
        "forwarded-proto-missing",
        Hint,
        "TLS ends in nginx, and nodes are not told",
        "redirect loops, cookies without secure, origin checks that fail",
        TOLD,
    ),
    rule(
        "fields-lost",
        BreaksWhen,
        "one proxy_set_header in a block drops all those of the blocks around it",
        "Host and X-Forwarded-* are gone on this path alone",
        "request_headers are written for each route",
    ),
    rule(
        "field-twice",
        BreaksWhen,
        "a field is set twice at one level, and nodes get both",
        "servers that are strict answer with 400",
        "a key is in the file once, and a second one is refused",
    ),
    rule(
        "cors-twice",
        BreaksWhen,
        "nginx adds Access-Control-Allow-Origin to what Socket.IO sends itself",
        "\"contains multiple values, but only one is allowed\"; only WebSockets work",
        "cors: replaces what a node says",
    ),
    rule(
        "cors-any-with-credentials",
        Breaks,
        "Access-Control-Allow-Origin is * together with credentials",
        "the browser refuses polls: \"must not be the wildcard '*'\"",
        "any with credentials is refused by sockeye check",
    ),
    rule(
        "response-fields-lost",
        Hint,
        "one add_header in a location drops all those of the blocks around it",
        "Strict-Transport-Security and the like are missing on this path",
        "response_headers are written for each route",
    ),
    rule(
        "real-ip-untrusted",
        BreaksWhen,
        "real_ip_header without set_real_ip_from does nothing",
        "limits and ip_hash see the balancer as the only client",
        "trusted_proxies names them, and nothing else is needed",
    ),
    rule(
        "no-sni",
        BreaksWhen,
        "TLS to a node does not say its name (proxy_ssl_server_name)",
        "502, or the certificate of another site",
        "nodes are asked for by name, and verified",
    ),
    rule(
        "name-twice",
        BreaksWhen,
        "two servers have the same name on one port, and the second is ignored",
        "a redirect or TLS that is written has no effect",
        "two routes for the same host and path are refused by sockeye check",
    ),
    // What nginx refuses.
    rule("unknown-variable", Breaks, "a variable has no map or set", NOT_LOADED, WEBSOCKETS),
    refused("misplaced", "a directive is where nginx does not allow it"),
    refused("directive-twice", "a directive that may be there once is there twice"),
    refused("location-twice", "two locations of one server are the same"),
    refused("unknown-directive", "nginx has no such directive"),
    refused("uri-not-allowed", "proxy_pass has a path where nginx cannot tell what it replaces"),
    refused("no-certificate", "a listener with ssl has no certificate"),
    rule(
        "backup-with-hash",
        Breaks,
        "backup cannot be used with ip_hash, hash or random",
        NOT_LOADED,
        "backup works with every affinity",
    ),
    refused("events-missing", "a whole file has no events block"),
    rule(
        "zone-unknown",
        Breaks,
        "limit_req, limit_conn or proxy_cache has a zone that nothing defines",
        NOT_LOADED,
        "client_limits need no zones",
    ),
    refused("upstream-twice", "two upstreams have the same name"),
    refused("listen-twice", "a server has an address twice, or a port has two default servers"),
    refused(
        "arguments",
        "a directive has too many words or too few, often for want of quotation marks",
    ),
    rule(
        "old-words",
        BreaksWhen,
        "`ssl on` ended with nginx 1.25.1, spdy with 1.9.5",
        NOT_LOADED,
        "tls: on a listener",
    ),
];
