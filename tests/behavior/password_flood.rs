//! Strangers who guess passwords, each of which takes a good part of a second to check.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::support::websocket::{open, text};
use crate::support::{Client, FakeNode, Proxy, request};

/// By libxcrypt, at the cost of `htpasswd -B -C 12`: `secret`.
const ANN: &str = "ann:$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW";

/// Two of them are checked at the same time, the others wait for their turn.
const STRANGERS: usize = 60;

/// Far less than the flood takes, and far more than a request does while the processor is busy.
const SOON: Duration = Duration::from_secs(2);

async fn status(address: SocketAddr, pair: &str) -> u16 {
    let mut client = Client::connect(address).await;
    let field = format!("Authorization: Basic {}", STANDARD.encode(pair));
    client.send(request("GET", "/private/", &[&field], "")).await;
    client.response().await.status()
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_stalls_no_tunnel_and_nobody_whose_password_is_remembered() {
    let node = FakeNode::engineio("a").await;
    let proxy = Proxy::start(&format!(
        "listeners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ chat: {{ nodes: ['{}'] }} }}\n\
         routes:\n\
         - {{ path: /socket.io/, upstream: chat }}\n\
         - {{ path: /private/, upstream: chat, auth: {{ basic: {{ passwords: ['{ANN}'] }} }} }}\n",
        node.address
    ));
    let address = proxy.address;
    let mut tunnel = open(address, "/socket.io/?EIO=4&transport=websocket").await;
    assert_eq!(status(address, "ann:secret").await, 200);

    let begun = Arc::new(tokio::sync::Barrier::new(STRANGERS + 1));
    let strangers = (0..STRANGERS).map(|number| {
        let begun = begun.clone();
        async move {
            let mut client = Client::connect(address).await;
            let field =
                format!("Authorization: Basic {}", STANDARD.encode(format!("ann:{number}")));
            client.send(request("GET", "/private/", &[&field], "")).await;
            begun.wait().await;
            client.response().await.status()
        }
    });
    let flood = tokio::spawn(join_all(strangers));
    begun.wait().await;
    for number in 0..50 {
        let echo = async {
            let word = format!("4{number}");
            tunnel.send(text(&word)).await;
            assert_eq!(tunnel.frame().await, Some((1, word.into_bytes())));
        };
        timeout(SOON, echo).await.expect("the tunnel lives");
        let known = timeout(SOON, status(address, "ann:secret")).await;
        assert_eq!(known.expect("nobody checks it again"), 200);
    }
    assert!(!flood.is_finished(), "all of this was within the flood");
    let found = flood.await.unwrap();
    assert!(found.iter().all(|status| [401, 503].contains(status)), "{found:?}");
    assert!(found.contains(&401), "{found:?}");
}
