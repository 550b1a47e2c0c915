//! Certificates change while clients are connected.

use std::os::unix::fs::symlink;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::support::tls::Authority;
use crate::support::websocket::UPGRADE;
use crate::support::{FakeNode, Reply, Site, config, request};

/// How many tunnels live through the change.
const TUNNELS: usize = 500;

async fn echo() -> FakeNode {
    FakeNode::start(|_| Reply::Echo { behind: Vec::new() }).await
}

fn yaml(node: &FakeNode, authority: &Authority, chain: &str, key: &str) -> String {
    let (chain, key) = (authority.path(chain), authority.path(key));
    let tls =
        format!("'127.0.0.1:0', tls: {{ chain: '{}', key: '{}' }}", chain.display(), key.display());
    config(&[node.address], "", "").replace("'127.0.0.1:0'", &tls)
}

/// A WebSocket to the node.
async fn tunnel(authority: &Authority, site: &Site) -> TlsStream<TcpStream> {
    let mut stream = authority.connect(site.address()).await;
    stream.write_all(request("GET", "/", &UPGRADE, "").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// The certificate that a new client gets.
async fn shown(authority: &Authority, site: &Site) -> CertificateDer<'static> {
    let stream = authority.connect(site.address()).await;
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

async fn until_other(authority: &Authority, site: &Site, old: &CertificateDer<'_>) {
    let changed = async {
        while shown(authority, site).await == *old {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), changed).await.expect("the new certificate in time");
}

/// As programs do it that write a file in place, that rename a new one, and, as certbot and Kubernetes do,
/// that let a symlink point elsewhere.
#[tokio::test]
async fn certificates_are_swapped_under_live_tunnels_and_none_ends() {
    let authority = Authority::new();
    issue_into(&authority, "one.d");
    issue_into(&authority, "two.d");
    symlink("one.d", authority.path("data")).unwrap();
    symlink("data/tls.pem", authority.path("tls.pem")).unwrap();
    symlink("data/tls.key", authority.path("tls.key")).unwrap();
    let node = echo().await;
    let site = Site::start(&yaml(&node, &authority, "tls.pem", "tls.key"));
    let mut tunnels = Vec::new();
    for _ in 0..TUNNELS {
        tunnels.push(tunnel(&authority, &site).await);
    }
    let in_place = || authority.issue("one.d/tls", "one", &["localhost"]);
    let renamed = || {
        authority.issue("new", "one", &["localhost"]);
        for end in ["pem", "key"] {
            let (new, old) = (format!("new.{end}"), format!("one.d/tls.{end}"));
            std::fs::rename(authority.path(&new), authority.path(&old)).unwrap();
        }
    };
    let by_symlink = || {
        symlink("two.d", authority.path("new")).unwrap();
        std::fs::rename(authority.path("new"), authority.path("data")).unwrap();
    };
    let swaps: [&dyn Fn(); 3] = [&in_place, &renamed, &by_symlink];
    for swap in swaps {
        let old = shown(&authority, &site).await;
        swap();
        until_other(&authority, &site, &old).await;
        for stream in &mut tunnels {
            // A masked text frame, and its echo.
            stream.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
            let mut echo = [0; 4];
            stream.read_exact(&mut echo).await.unwrap();
            assert_eq!(&echo, b"\x81\x02hi");
        }
    }
}

/// A certificate as `tls.pem` and `tls.key` in a directory of its own.
fn issue_into(authority: &Authority, directory: &str) {
    std::fs::create_dir(authority.path(directory)).unwrap();
    authority.issue(&format!("{directory}/tls"), "one", &["localhost"]);
}

#[tokio::test]
async fn a_pair_of_which_one_file_is_new_changes_nothing_until_the_other_one_is() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    authority.issue("new", "one", &["localhost"]);
    let node = echo().await;
    let site = Site::start(&yaml(&node, &authority, "one.pem", "one.key"));
    let old = shown(&authority, &site).await;

    std::fs::rename(authority.path("new.pem"), authority.path("one.pem")).unwrap();
    let refused = site.reloader.reload().await.unwrap_err();
    assert!(refused.to_string().contains("does not fit the certificate"), "{refused}");
    assert_eq!(shown(&authority, &site).await, old);

    std::fs::rename(authority.path("new.key"), authority.path("one.key")).unwrap();
    until_other(&authority, &site, &old).await;
}
