//! One of the two proxies with nodes, ports and files of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};

use super::nodes::recording_node;
use super::table::Case;
use crate::support::node::FakeNode;
use crate::support::tls::{Authority, TlsFront};

/// The nodes, ports and files of one proxy; what it is made of in the configuration is replaced by them.
pub(super) struct Side {
    pub(super) nodes: Vec<(String, FakeNode)>,
    /// A port of the configuration, and the one that stands for it.
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) directory: tempfile::TempDir,
    /// What was written for what, to compare answers.
    replaced: Vec<(String, String)>,
    /// What ends TLS before nodes.
    fronts: Vec<Option<TlsFront>>,
}

impl Side {
    pub(super) async fn new(case: &Case, authority: &Authority) -> Self {
        let mut nodes = Vec::new();
        for node in &case.nodes {
            nodes.push((node.name.clone(), recording_node(&node.name).await));
        }
        let ports = case.ports.iter().map(|port| (port.number, free_port())).collect();
        let directory = tempfile::tempdir().unwrap();
        let mut side = Self { nodes, ports, directory, replaced: Vec::new(), fronts: Vec::new() };
        for (index, node) in case.nodes.iter().enumerate() {
            let address = side.nodes[index].1.address;
            let front = match node.is_tls {
                true => Some(TlsFront::start(authority, "fullchain", false, address).await),
                false => None,
            };
            side.fronts.push(front);
            if node.text.starts_with('/') {
                let path = side.directory.path().join(format!("{index}.sock"));
                relay_from(UnixListener::bind(&path).unwrap(), address);
                side.replaced.push((node.text.clone(), path.display().to_string()));
            }
        }
        side.write(case, authority);
        side
    }

    /// The address that stands for `port`.
    pub(super) fn address(&self, port: u16) -> SocketAddr {
        let (_, free) = self.ports.iter().find(|(number, _)| *number == port).unwrap();
        SocketAddr::from(([127, 0, 0, 1], *free))
    }

    /// `text` as the configuration of the case would have it.
    pub(super) fn original(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (original, written) in &self.replaced {
            text = text.replace(written, original);
        }
        for (name, node) in &self.nodes {
            text = text.replace(&node.address.to_string(), name);
        }
        for (port, free) in &self.ports {
            text = text.replace(&format!(":{free}"), &format!(":{port}"));
            if text == free.to_string() {
                text = port.to_string();
            }
        }
        text
    }

    fn write(&mut self, case: &Case, authority: &Authority) {
        let root = self.directory.path().to_owned();
        std::fs::create_dir(root.join("logs")).unwrap();
        self.replaced.push(("/var/log/nginx".to_owned(), root.join("logs").display().to_string()));
        for (text, directory) in &case.paths {
            self.replaced.push((text.clone(), root.join(directory).display().to_string()));
        }
        if let Some(text) = &case.certificates {
            self.replaced.push((text.clone(), authority.directory.path().display().to_string()));
        }
        self.copy(case, &case.directory, &root);
    }

    fn copy(&self, case: &Case, from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                std::fs::create_dir_all(&target).unwrap();
                self.copy(case, &path, &target);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(target, self.rendered(case, &text)).unwrap();
            }
        }
    }

    /// `text` with what stands for its addresses and files.
    fn rendered(&self, case: &Case, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &case.writes {
            text = text.replace(from, to);
        }
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        for (node, ((_, started), front)) in
            case.nodes.iter().zip(self.nodes.iter().zip(&self.fronts))
        {
            let address = front.as_ref().map_or(started.address, |front| front.address);
            if !node.text.starts_with('/') {
                text = replace_address(&text, &node.text, address);
            }
        }
        self.listening(&text)
    }

    /// `text` with the free ports behind `listen`.
    fn listening(&self, text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("listen ") {
            result.push_str(before);
            result.push_str("listen ");
            let space = after.len() - after.trim_start().len();
            let (space, after) = after.split_at(space);
            result.push_str(space);
            let end = after.find([';', ' ', '\n']).unwrap_or(after.len());
            let (address, behind) = after.split_at(end);
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) if !address.ends_with(']') => (host, port),
                _ => ("", address),
            };
            let free = self.ports.iter().find(|(number, _)| port == number.to_string());
            match free {
                Some((_, free)) if host.starts_with('[') => {
                    result.push_str(&format!("[::1]:{free}"))
                }
                Some((_, free)) => result.push_str(&format!("127.0.0.1:{free}")),
                None => result.push_str(address),
            }
            rest = behind;
        }
        result + rest
    }
}

/// `text` with `address` instead of `written`, where it is a whole word. A scheme or a space before it, and a
/// `;` or `/` behind it, stay.
fn replace_address(text: &str, written: &str, address: SocketAddr) -> String {
    let core = written.trim_start_matches('/').trim_end_matches([';', '/', ' ']);
    let address = match core.parse::<u16>() {
        Ok(_) => address.port().to_string(),
        Err(_) => address.to_string(),
    };
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(written) {
        let (before, found) = rest.split_at(at);
        let behind = &found[written.len()..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_whole = !behind.starts_with(is_word) && !before.ends_with(is_word)
            || !written.ends_with(is_word);
        result.push_str(before);
        match is_whole {
            true => result.push_str(&written.replace(core, &address)),
            false => result.push_str(written),
        }
        rest = behind;
    }
    result + rest
}

/// Passes connections to the Unix socket on to `address`.
fn relay_from(listener: UnixListener, address: SocketAddr) {
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut inside) = TcpStream::connect(address).await {
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
