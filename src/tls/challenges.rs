//! The answers to challenges: files of a directory that proxies share, so that each of them can answer,
//! whichever of them the authority reaches.
//!
//! A stranger may ask for anything, so a name is looked at before it becomes part of a path, only a few
//! lookups run at once, and none runs on a worker's thread.
//!
//! Runs for every request.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Where the answers to challenges are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenges {
    directory: Arc<Path>,
}

impl Challenges {
    /// The paths of all challenges begin so (RFC 8555, section 8.3).
    pub(crate) const PATH: &str = "/.well-known/acme-challenge/";

    /// The protocol of a handshake that asks for the proof (RFC 8737, section 3).
    pub(crate) const ALPN: &[u8] = b"acme-tls/1";

    /// Those of the store in this directory.
    pub(crate) fn new(store: &Path) -> Self {
        Self { directory: store.join("challenges").into() }
    }

    /// The answer to a request for this path. `None`: no challenge is at this path.
    pub(crate) async fn key_authorization(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(Self::PATH).filter(|token| is_token(token))?;
        let read = look_up(self.of_token(token)).await?;
        String::from_utf8(read).ok()
    }

    /// The certificate that proves `name`, in lower case, which no client asked for but the authority.
    pub(crate) async fn certificate(&self, name: &str) -> Option<CertifiedKey> {
        let name = Some(name).filter(|name| is_file_name(name))?;
        let pem = look_up(self.of_name(name)).await?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().ok()?;
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(&pem).ok()?).ok()?;
        Some(CertifiedKey::new(chain, key))
    }

    /// The file of the answer for `token`.
    pub(crate) fn of_token(&self, token: &str) -> PathBuf {
        self.directory.join(HTTP_01).join(token)
    }

    /// The file of the certificate that proves `name`.
    pub(crate) fn of_name(&self, name: &str) -> PathBuf {
        self.directory.join(TLS_ALPN_01).join(format!("{name}.pem"))
    }

    /// The directories of the files.
    pub(crate) fn directories(&self) -> [PathBuf; 2] {
        [HTTP_01, TLS_ALPN_01].map(|kind| self.directory.join(kind))
    }
}

/// Whether `text` is what a token may be (RFC 8555, section 8.1): base64url without padding.
pub(crate) fn is_token(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=TOKEN_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_base64)
}

/// Whether `name` is a host name in lower case that can be the name of a file.
fn is_file_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let is_short = (1..=NAME_BYTES_MAX).contains(&name.len());
    is_short && name.bytes().all(is_plain) && !name.starts_with('.')
}

async fn look_up(path: PathBuf) -> Option<Vec<u8>> {
    // A lookup that has to wait is one of many, and those are not the authority's.
    let permit = LOOK_UPS.try_acquire().ok()?;
    let read = spawn_blocking(move || {
        let read = read(&path);
        drop(permit);
        read
    });
    read.await.ok()?.ok()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

const HTTP_01: &str = "http-01";
const TLS_ALPN_01: &str = "tls-alpn-01";

/// The tokens of Let's Encrypt have 43 bytes.
const TOKEN_BYTES_MAX: usize = 200;

/// The file system allows 255 for a file's name, and it has an ending.
pub(crate) const NAME_BYTES_MAX: usize = 240;

const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Look-ups of the whole process that may run at once. An authority asks from a handful of places.
static LOOK_UPS: Semaphore = Semaphore::const_new(16);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_token_of_a_challenge_has_an_answer() {
        let store = tempfile::tempdir().unwrap();
        let challenges = Challenges::new(store.path());
        for directory in challenges.directories() {
            std::fs::create_dir_all(directory).unwrap();
        }
        std::fs::write(challenges.of_token("abc-_1"), "abc-_1.thumb").unwrap();
        std::fs::write(store.path().join("secret"), "secret").unwrap();
        let check = async |path: &str, expected: Option<&str>| {
            let answer = challenges.key_authorization(path).await;
            assert_eq!(answer.as_deref(), expected, "{path}");
        };
        check("/.well-known/acme-challenge/abc-_1", Some("abc-_1.thumb")).await;
        check("/.well-known/acme-challenge/abc", None).await;
        check("/.well-known/acme-challenge/", None).await;
        check("/.well-known/acme-challenge/../../secret", None).await;
        check("/.well-known/acme-challenge/..", None).await;
        check("/abc-_1", None).await;
    }

    #[test]
    fn a_name_cannot_lead_out_of_its_directory() {
        for name in ["..", ".", "a/b", "../a", "", "a\0", "A", &"a".repeat(241)] {
            assert!(!is_file_name(name), "{name}");
        }
        for name in ["chat.example.com", "a_b-c.1", &"a".repeat(240)] {
            assert!(is_file_name(name), "{name}");
        }
    }
}
