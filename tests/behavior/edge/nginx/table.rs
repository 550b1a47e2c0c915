//! The table next to a configuration: what stands for what in it, and which requests are sent.

use std::path::{Path, PathBuf};

/// One configuration of `tests/nginx` with its table.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) directory: PathBuf,
    /// The file that is imported.
    pub(super) file: String,
    pub(super) inside: Inside,
    pub(super) nodes: Vec<Node>,
    pub(super) ports: Vec<Port>,
    /// Paths of the configuration, and the directory of the case that stands for each.
    pub(super) paths: Vec<(String, String)>,
    /// The directory of the certificates, as the configuration writes it.
    pub(super) certificates: Option<String>,
    /// Texts that are replaced before anybody reads the file: placeholders, what only a network has.
    pub(super) writes: Vec<(String, String)>,
    /// Texts that are replaced for nginx, which refuses the file otherwise.
    pub(super) repairs: Vec<(String, String)>,
    /// Differences of all requests.
    pub(super) everywhere: Vec<Difference>,
    pub(super) requests: Vec<Request>,
}

/// What has to be around the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Nothing,
    Http,
    Server,
    Location,
}

/// A node: its name, and the text that is its address in the configuration. Nodes of a group begin alike:
/// `chat/1`, `chat/2`. An address that begins with a slash is a Unix socket.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) is_tls: bool,
}

#[derive(Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) is_tls: bool,
    /// Whether connections begin with a PROXY header.
    pub(super) has_proxy_header: bool,
}

/// A named difference: what differs, and the finding that says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// `status`, `node`, `target`, `version`, `body`, `sees NAME` or `gets NAME`.
    pub(super) what: String,
    pub(super) by: String,
}

#[derive(Debug)]
pub(super) struct Request {
    /// The line in the table.
    pub(super) line: usize,
    pub(super) kind: Kind,
    pub(super) port: u16,
    pub(super) host: String,
    pub(super) target: String,
    pub(super) fields: Vec<String>,
    pub(super) body: String,
    /// What nginx answers: a status and the node, `-` for none.
    pub(super) status: String,
    pub(super) node: String,
    pub(super) differs: Vec<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One request with this method.
    Plain(String),
    /// A handshake and an echo.
    WebSocket,
    /// Several sessions of Engine.IO: handshake, post, polls and upgrade.
    Sessions,
}

impl Case {
    /// The case in `directory`.
    pub(super) fn read(directory: &Path) -> Self {
        let text = std::fs::read_to_string(directory.join("requests.txt")).unwrap();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let mut case = Self {
            name,
            directory: directory.to_owned(),
            file: "nginx.conf".to_owned(),
            inside: Inside::Nothing,
            nodes: Vec::new(),
            ports: Vec::new(),
            paths: Vec::new(),
            certificates: None,
            writes: Vec::new(),
            repairs: Vec::new(),
            everywhere: Vec::new(),
            requests: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                case.line(index + 1, line);
            }
        }
        case
    }

    /// Panics if a difference is of no kind that is compared.
    pub(super) fn check_differences(&self) {
        let of_requests = self.requests.iter().flat_map(|request| &request.differs);
        for Difference { what, by } in self.everywhere.iter().chain(of_requests) {
            let is_field = ["sees ", "gets "].iter().any(|verb| what.starts_with(verb));
            let is_kind =
                is_field || ["status", "node", "target", "version", "body"].contains(&&**what);
            assert!(is_kind && !by.is_empty(), "{}: {what} by {by}", self.name);
        }
    }

    fn line(&mut self, number: usize, line: &str) {
        let (word, rest) = line.trim().split_once(' ').unwrap_or_else(|| (line.trim(), ""));
        let rest = rest.trim();
        if line.starts_with(' ') {
            let request = self.requests.last_mut().expect("a request comes before its details");
            return match word {
                ">" => request.fields.push(rest.to_owned()),
                "<" => request.fields.push(format!("X-Node-Says: {rest}")),
                "body" => request.body = rest.to_owned(),
                "long" => request.body = "x".repeat(rest.parse().unwrap()),
                "differs" => request.differs.push(difference(rest)),
                _ => panic!("{}:{number}: {line}", self.name),
            };
        }
        let pair =
            || rest.split_once(' ').map(|(one, other)| (one.to_owned(), other.trim().to_owned()));
        match word {
            "file" => self.file = rest.to_owned(),
            "inside" => {
                self.inside = match rest {
                    "http" => Inside::Http,
                    "server" => Inside::Server,
                    "location" => Inside::Location,
                    _ => panic!("{}:{number}: {line}", self.name),
                }
            }
            "node" => {
                let (name, text) = pair().expect("node NAME TEXT");
                let (text, is_tls) = match text.strip_suffix(" tls") {
                    Some(text) => (text.to_owned(), true),
                    None => (text, false),
                };
                self.nodes.push(Node { name, text, is_tls });
            }
            "port" => {
                let (port, kind) = rest.split_once(' ').unwrap_or((rest, ""));
                let (is_tls, has_proxy_header) = (kind == "tls", kind == "proxy");
                let number = port.parse().unwrap();
                self.ports.push(Port { number, is_tls, has_proxy_header });
            }
            "path" => self.paths.push(pair().expect("path TEXT DIRECTORY")),
            "certificates" => self.certificates = Some(rest.to_owned()),
            "write" => self.writes.push(replacement(rest)),
            "repair" => self.repairs.push(replacement(rest)),
            "everywhere" => self.everywhere.push(difference(rest)),
            // A test next to the findings reads these.
            "finds" => (),
            _ => {
                let request = self.request(number, word, rest);
                self.requests.push(request);
            }
        }
    }

    fn request(&self, line: usize, method: &str, rest: &str) -> Request {
        let (url, expected) = rest.split_once(" -> ").expect("METHOD URL -> STATUS NODE");
        let (scheme, rest) = url.trim().split_once("://").expect("a URL");
        let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().unwrap()),
            None => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        assert!(
            self.ports.iter().any(|it| it.number == port),
            "{}:{line}: no port {port}",
            self.name
        );
        let (status, node) = expected.trim().split_once(' ').expect("STATUS NODE");
        let kind = match method {
            "WS" => Kind::WebSocket,
            "SESSIONS" => Kind::Sessions,
            _ => Kind::Plain(method.to_owned()),
        };
        Request {
            line,
            kind,
            port,
            host: host.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: String::new(),
            status: status.to_owned(),
            node: node.to_owned(),
            differs: Vec::new(),
        }
    }
}

/// `WHAT by FINDING`.
fn difference(text: &str) -> Difference {
    let (what, by) = text.rsplit_once(" by ").expect("WHAT by FINDING");
    Difference { what: what.to_owned(), by: by.to_owned() }
}

/// `TEXT => OTHER`; `OTHER` may be empty.
fn replacement(text: &str) -> (String, String) {
    let (from, to) = text.split_once("=>").expect("TEXT => OTHER");
    (from.trim().to_owned(), to.trim().to_owned())
}
