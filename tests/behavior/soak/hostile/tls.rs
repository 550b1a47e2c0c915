//! Attacks on the TLS handshake of a listener with TLS.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::interval;

use super::Stranger;
use super::http1::{any_byte, garbage, until_end};

/// Bytes that mean nothing; half of them behind the head of a handshake record, so that they reach the
/// parser of the ClientHello.
pub async fn noise(mut stranger: Stranger) {
    if any_byte().is_multiple_of(2) {
        let head = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        let _ = stranger.stream.write_all(&head).await;
    }
    garbage(stranger).await;
}

/// The first half of a ClientHello, and then nothing.
pub async fn half_hello(mut stranger: Stranger) {
    let hello = hello();
    let _ = stranger.stream.write_all(hello.split_at(hello.len() / 2).0).await;
    stranger.sent(1);
    until_end(&stranger).await;
}

/// A ClientHello, a byte now and then.
pub async fn slow_hello(mut stranger: Stranger) {
    let mut pace = interval(Duration::from_millis(50));
    for byte in hello() {
        pace.tick().await;
        if stranger.stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        stranger.sent(1);
    }
    until_end(&stranger).await;
}

/// A whole ClientHello, and a reset before or behind the answer, which costs the proxy a signature.
pub async fn aborted(mut stranger: Stranger) {
    let _ = stranger.stream.write_all(hello()).await;
    stranger.sent(1);
    if any_byte().is_multiple_of(2) && stranger.stream.read(&mut [0; 4096]).await.is_ok() {
        stranger.answered(1);
    }
}

/// A whole ClientHello, and then nothing, whatever the answer is.
pub async fn unfinished(mut stranger: Stranger) {
    let _ = stranger.stream.write_all(hello()).await;
    stranger.sent(1);
    until_end(&stranger).await;
}

/// What a client of rustls sends first.
fn hello() -> &'static [u8] {
    static HELLO: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    });
    &HELLO
}
