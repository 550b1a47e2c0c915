//! Session ids that no node gave.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Stranger;
use crate::support::request;

/// The sids of [`crate::sids`], each asked for on one connection.
pub async fn abuse(mut stranger: Stranger) {
    for sid in crate::sids::forged() {
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        if stranger.stream.write_all(request("GET", &target, &[], "").as_bytes()).await.is_err() {
            return stranger.ended();
        }
        stranger.sent(1);
        match stranger.stream.read(&mut [0; 4096]).await {
            Ok(0) | Err(_) => return stranger.ended(),
            Ok(_) => stranger.answered(1),
        }
    }
}
