//! Users and the hashes of their passwords, in the format of `htpasswd`: bcrypt and Argon2id. Nothing
//! else knows the libraries.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::time::Duration;

use argon2::{Argon2, Params, PasswordHash, PasswordVerifier as _};
use http::HeaderValue;

use super::grant_cache::{CredentialKey, GrantCache};

/// The users of a file, and whose passwords were right recently. Both end together when the file changes.
#[derive(Debug)]
pub(super) struct Users {
    hashes: HashMap<Box<str>, Hash>,
    pub(super) cache: GrantCache,
}

/// A hash that can be checked within a bounded time.
enum Hash {
    Bcrypt(Box<str>),
    Argon2id(Box<PasswordHash>),
}

impl Users {
    /// Reads lines of `name:hash`.
    ///
    /// # Errors
    ///
    /// Which line is wrong, and why; or there is none. No hash is shown.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut hashes = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what: &str| format!("line {}: {what}", index + 1);
            let (name, hash) = parse_line(line).map_err(|what| wrong(&what))?;
            if hashes.insert(name.into(), hash).is_some() {
                return Err(wrong("the user appears twice"));
            }
        }
        match hashes.is_empty() {
            true => Err("it has no user, `name:hash`".to_owned()),
            false => Ok(Self { hashes, cache: GrantCache::new(REMEMBERED) }),
        }
    }

    /// Whether there is a user of this name.
    pub(super) fn know(&self, name: &str) -> bool {
        self.hashes.contains_key(name)
    }

    /// The key by which it is remembered that this password was right.
    pub(super) fn key(&self, name: &str, password: &str) -> CredentialKey {
        let mut key = self.cache.key();
        key.add(name.as_bytes());
        key.add(password.as_bytes());
        key.finish()
    }

    /// Whether the password is right. Blocks for up to about a second; as long for a user who does not
    /// exist, so that nobody can find out who does.
    pub(super) fn verify(&self, name: &str, password: &str) -> bool {
        let known = self.hashes.get(name);
        let Some(hash) = known.or_else(|| self.hashes.values().next()) else { return false };
        let is_right = match hash {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2id(hash) => {
                Argon2::default().verify_password(password.as_bytes(), &**hash).is_ok()
            }
        };
        is_right && known.is_some()
    }
}

/// Checks that `line` is `name:hash`.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn check_line(line: &str) -> Result<(), String> {
    parse_line(line).map(|_| ())
}

fn parse_line(line: &str) -> Result<(&str, Hash), String> {
    let (name, hash) = line.split_once(':').ok_or("it is not `name:hash`")?;
    if name.is_empty() || HeaderValue::from_str(name).is_err() {
        return Err(
            "the name is empty, or has characters that a header field cannot have".to_owned()
        );
    }
    let parsed = match hash.split('$').nth(1) {
        Some("2a" | "2b" | "2y") => bcrypt_hash(hash),
        Some("argon2id") => argon2id_hash(hash),
        _ => Err(UNSUPPORTED.to_owned()),
    };
    Ok((name, parsed?))
}

fn bcrypt_hash(hash: &str) -> Result<Hash, String> {
    let parts = bcrypt::HashParts::from_str(hash).map_err(|_| "the hash of bcrypt is not whole")?;
    match parts.get_cost() {
        4..=COST_MAX => Ok(Hash::Bcrypt(hash.into())),
        _ => Err(format!(
            "the cost of bcrypt is not 4 to {COST_MAX}: each check would take too long"
        )),
    }
}

fn argon2id_hash(hash: &str) -> Result<Hash, String> {
    let broken = "the hash of Argon2id is not whole";
    let parsed = PasswordHash::new(hash).map_err(|_| broken)?;
    let params = Params::try_from(&parsed).map_err(|_| broken)?;
    if parsed.hash.is_none() || parsed.salt.is_none() {
        return Err(broken.to_owned());
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > MEMORY_KIB_MAX || work > WORK_MAX {
        return Err(format!(
            "Argon2id takes more than {} MiB, or too long: m times t may be {WORK_MAX}",
            MEMORY_KIB_MAX / 1024
        ));
    }
    Ok(Hash::Argon2id(Box::new(parsed)))
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash(hidden)")
    }
}

const UNSUPPORTED: &str = "the hash is neither bcrypt nor Argon2id: MD5 (apr1), SHA and crypt can be \
                           guessed too fast; write the line again with `htpasswd -B`";

/// About a second.
const COST_MAX: u32 = 14;

/// Two checks of a route may run at the same time.
const MEMORY_KIB_MAX: u32 = 128 * 1024;

/// In KiB and passes; about a second.
const WORK_MAX: u64 = 512 * 1024;

/// How long a password that was right is not checked again.
const REMEMBERED: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// By libxcrypt: `secret`.
    const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

    /// By the reference implementation, `test.c`: `password`.
    const ARGON2ID: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn hashes_of_other_makers_are_checked() {
        let text = format!("# users\n\nann:{BCRYPT}\r\nbob:{ARGON2ID}\n");
        let users = Users::parse(text.as_bytes()).unwrap();
        let check = |name: &str, password: &str, expected: bool| {
            assert_eq!(users.verify(name, password), expected, "{name} {password}");
        };
        check("ann", "secret", true);
        check("bob", "password", true);
        check("ann", "password", false);
        check("bob", "secret", false);
        check("ann", "", false);
        check("ann", &"x".repeat(9000), false);
        check("ann", "secret\0", false);
        // The hash of somebody else is used, so that the time is the same.
        check("eve", "secret", false);
        check("eve", "password", false);
        check("", "secret", false);
        assert!(users.know("ann") && !users.know("eve"));
        assert_ne!(users.key("a", "bc"), users.key("ab", "c"));
        assert!(!format!("{users:?}").contains("abcdef"));
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named_without_its_hash() {
        let check = |text: &str, expected: &str| {
            let fault = Users::parse(text.as_bytes()).unwrap_err();
            assert!(fault.contains(expected), "{text}: {fault}");
            assert!(!fault.contains("secretpart"), "{fault}");
        };
        check("", "no user");
        check("# ann\n", "no user");
        check("ann", "line 1: it is not `name:hash`");
        check(&format!("ann:{BCRYPT}\nann:{BCRYPT}"), "line 2: the user appears twice");
        check(&format!(":{BCRYPT}"), "the name is empty");
        check(&format!("a\u{1}b:{BCRYPT}"), "the name is empty, or has characters");
        check("ann:$apr1$abcdefgh$secretpart", "htpasswd -B");
        check("ann:{SHA}secretpart=", "htpasswd -B");
        check("ann:secretpart", "htpasswd -B");
        check("ann:$2x$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "htpasswd -B");
        check("ann:$2y$05$secretpart", "bcrypt is not whole");
        check(&format!("ann:{}", BCRYPT.replace("$05$", "$15$")), "the cost of bcrypt");
        check("ann:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", "Argon2id is not whole");
        check(&format!("ann:{}", ARGON2ID.replace("m=256", "m=999999")), "Argon2id takes more");
        check(&format!("ann:{}", ARGON2ID.replace("t=2", "t=999999")), "Argon2id takes more");
    }
}
