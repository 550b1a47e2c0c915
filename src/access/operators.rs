//! The operators that may use the admin listener, and their roles: bearer keys and passwords, stored as hashes.
//!
//! A bearer key is random and long, so that its SHA-256 is enough, which is compared in constant time. A
//! password is checked as those of routes are. An address that was wrong too often is not listened to for a
//! while.
//!
//! Runs at start, at reload, or on a timer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::basic::{PasswordCheck, PasswordFault};
use super::credentials::TokenPlaces;
use super::passwords::check_line;
use super::refusal::Refusal;
use super::settings::{BasicSettings, TokenSecret};
use crate::Instant;
use crate::metrics::AuthCounts;
use crate::net::ClientNetwork;

/// What someone may ask of the admin listener. Each role includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Metrics alone.
    Metrics,
    /// Whatever changes nothing and shows no payload.
    Read,
    /// Everything.
    Operate,
}

/// One who may use the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorKey {
    /// What the log calls the holder.
    pub(crate) name: Box<str>,
    role: Role,
    secret: KeyHash,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyHash {
    /// The SHA-256 of a bearer key.
    Bearer([u8; 32]),
    /// A line of `name:hash`.
    Password(TokenSecret),
}

/// Those who may use the admin listener.
#[derive(Debug)]
pub(crate) struct Operators {
    keys: Vec<OperatorKey>,
    has_open_metrics: bool,
    passwords: Option<PasswordCheck>,
    counts: AuthCounts,
    guesses: WrongGuesses,
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The name of the key.
    pub(crate) name: Box<str>,
    /// What the key is for.
    pub(crate) role: Role,
}

/// Why it is not known who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperatorFault {
    /// The request has neither a key nor a password.
    #[error("a key is needed")]
    Missing,
    /// It has one that is not right.
    #[error("the key or the password is wrong")]
    Wrong,
    /// There were too many wrong ones; nothing from this address is checked for so long.
    #[error("too many wrong keys came from this address")]
    TooMany(Duration),
    /// Too many passwords are to be checked.
    #[error("too many passwords wait to be checked")]
    Busy,
}

impl Role {
    /// All roles, with their words in the log.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

impl OperatorKey {
    /// The key in a line of `name:hash`, which is for `role`.
    ///
    /// # Errors
    ///
    /// What is wrong with the line. No hash is shown.
    pub(crate) fn parse(line: &str, role: Role) -> Result<Self, String> {
        let (name, hash) = line.split_once(':').ok_or("it is not `name:hash`")?;
        let secret = match hash.strip_prefix(BEARER) {
            Some(hex)
                if name.is_empty() || HeaderValue::from_str(name).is_err() || hex.is_empty() =>
            {
                return Err("the name or the hash is not usable".to_owned());
            }
            Some(hex) => KeyHash::Bearer(bytes_of(hex).ok_or("the SHA-256 has not 64 digits")?),
            None => {
                check_line(line)?;
                KeyHash::Password(TokenSecret::new(line))
            }
        };
        Ok(Self { name: name.into(), role, secret })
    }

    /// What it is for.
    pub(crate) fn role(&self) -> Role {
        self.role
    }
}

impl Operators {
    /// The holders of `keys`. With `has_open_metrics`, anyone may read metrics.
    pub(crate) fn new(keys: Vec<OperatorKey>, has_open_metrics: bool) -> Self {
        let lines = keys.iter().filter_map(|key| match &key.secret {
            KeyHash::Password(line) => Some(line.clone()),
            KeyHash::Bearer(_) => None,
        });
        let settings = BasicSettings {
            passwords: lines.collect(),
            file: None,
            realm: REALM.to_owned(),
            user_field: Some(NAME),
        };
        // Without a file, nothing can fail.
        let passwords = PasswordCheck::new(&settings).ok();
        Self {
            passwords: passwords.filter(|_| !settings.passwords.is_empty()),
            keys,
            has_open_metrics,
            counts: AuthCounts::default(),
            guesses: WrongGuesses::default(),
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &[OperatorKey] {
        &self.keys
    }

    /// Whether anyone may read metrics.
    pub(crate) fn has_open_metrics(&self) -> bool {
        self.has_open_metrics
    }

    /// The sender of a request with these fields from `address`.
    ///
    /// # Errors
    ///
    /// It is not known.
    pub(crate) async fn check(
        &self,
        headers: &HeaderMap,
        address: IpAddr,
        now: Instant,
    ) -> Result<Operator, OperatorFault> {
        let network = ClientNetwork::new(address);
        if let Some(left) = self.guesses.blocked_for(network, now) {
            return Err(OperatorFault::TooMany(left));
        }
        let found = match TokenPlaces::default().find(headers, None) {
            Ok(Some(key)) => self.holder(key.as_bytes()).ok_or(OperatorFault::Wrong),
            Ok(None) => self.check_password(headers).await,
            Err(_) => Err(OperatorFault::Wrong),
        };
        if found == Err(OperatorFault::Wrong) {
            self.guesses.count(network, now);
        }
        found
    }

    /// What a client is asked for.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let password = HeaderValue::from_static("Basic realm=\"Sockeye admin\", charset=\"UTF-8\"");
        let key = HeaderValue::from_static("Bearer realm=\"Sockeye admin\"");
        self.passwords.iter().map(move |_| password.clone()).chain([key])
    }

    /// The holder of a bearer key. All keys are compared, so that the time tells nothing.
    fn holder(&self, key: &[u8]) -> Option<Operator> {
        let hash = digest(&SHA256, key);
        let mut holder = None;
        for known in &self.keys {
            let KeyHash::Bearer(expected) = &known.secret else { continue };
            if verify_slices_are_equal(hash.as_ref(), expected).is_ok() {
                holder = Some(known);
            }
        }
        holder.map(OperatorKey::operator)
    }

    async fn check_password(&self, headers: &HeaderMap) -> Result<Operator, OperatorFault> {
        let Some(passwords) = &self.passwords else { return Err(OperatorFault::Missing) };
        let grant = match passwords.check(headers, &self.counts).await {
            Ok(grant) => grant,
            Err(Refusal::Password(PasswordFault::Missing, _)) => {
                return Err(OperatorFault::Missing);
            }
            Err(Refusal::PasswordsBusy) => return Err(OperatorFault::Busy),
            Err(_) => return Err(OperatorFault::Wrong),
        };
        let name =
            grant.fields.first().and_then(|(_, name)| std::str::from_utf8(name.as_bytes()).ok());
        let named = self
            .keys
            .iter()
            .find(|key| matches!(key.secret, KeyHash::Password(_)) && Some(&*key.name) == name);
        named.map(OperatorKey::operator).ok_or(OperatorFault::Wrong)
    }
}

impl OperatorKey {
    fn operator(&self) -> Operator {
        Operator { name: self.name.clone(), role: self.role }
    }
}

/// By settings.
impl PartialEq for Operators {
    fn eq(&self, other: &Self) -> bool {
        (&self.keys, self.has_open_metrics) == (&other.keys, other.has_open_metrics)
    }
}

impl Eq for Operators {}

/// The addresses that were wrong recently.
#[derive(Debug, Default)]
struct WrongGuesses(Mutex<HashMap<ClientNetwork, (Instant, u32)>>);

impl WrongGuesses {
    fn blocked_for(&self, network: ClientNetwork, now: Instant) -> Option<Duration> {
        let guesses = self.guesses();
        let (since, count) = guesses.get(&network)?;
        let left = GUESSES_EVERY.saturating_sub(now.saturating_duration_since(*since));
        (*count >= GUESSES_MAX && left > Duration::ZERO).then_some(left)
    }

    fn count(&self, network: ClientNetwork, now: Instant) {
        let mut guesses = self.guesses();
        guesses.retain(|_, (since, _)| now.saturating_duration_since(*since) < GUESSES_EVERY);
        if guesses.len() >= NETWORKS_MAX && !guesses.contains_key(&network) {
            let oldest = guesses.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                guesses.remove(&oldest);
            }
        }
        guesses.entry(network).or_insert((now, 0)).1 += 1;
    }

    fn guesses(&self) -> MutexGuard<'_, HashMap<ClientNetwork, (Instant, u32)>> {
        // No code under the lock panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        for digit in pair {
            let digit = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(bytes)
}

/// What marks a bearer key in a line.
pub(crate) const BEARER: &str = "sha256$";

const REALM: &str = "Sockeye admin";

/// By which a right password says whose it is; it is on no wire.
const NAME: HeaderName = HeaderName::from_static("x-operator");

/// So many wrong keys of an address, and nothing more of it is checked for the rest of the minute.
const GUESSES_MAX: u32 = 10;
const GUESSES_EVERY: Duration = Duration::from_mins(1);

/// How many addresses are remembered.
const NETWORKS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;

    /// Of `let me in`, by `sha256sum`.
    const KEY: &str = "sha256$3f1d3ab1c6fbd2dbc1bd0a6ffd9fca3aeb4a1d2c6b5e7b3f1d3ab1c6fbd2dbc1";

    const ANN: &str = "ann:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

    fn hash(key: &str) -> String {
        let hash = digest(&SHA256, key.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn operators() -> Operators {
        let line = |name: &str| format!("{name}:{BEARER}{}", hash(&format!("key of {name}")));
        let keys = [
            OperatorKey::parse(&line("prometheus"), Role::Metrics).unwrap(),
            OperatorKey::parse(&line("ci"), Role::Operate).unwrap(),
            OperatorKey::parse(ANN, Role::Read).unwrap(),
        ];
        Operators::new(keys.into(), false)
    }

    async fn check(
        operators: &Operators,
        authorization: Option<&'static str>,
        now: Instant,
    ) -> Result<(String, Role), OperatorFault> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let address = IpAddr::from([192, 0, 2, 1]);
        let found = operators.check(&headers, address, now).await;
        found.map(|operator| (operator.name.into(), operator.role))
    }

    #[tokio::test]
    async fn a_key_and_a_password_say_who_somebody_is() {
        let (operators, now) = (operators(), Instant::now());
        let is = |name: &str, role| Ok((name.to_owned(), role));
        let who = async |authorization| check(&operators, authorization, now).await;
        assert_eq!(who(None).await, Err(OperatorFault::Missing));
        let bearer = who(Some("Bearer key of prometheus")).await;
        assert_eq!(bearer, is("prometheus", Role::Metrics));
        assert_eq!(who(Some("bearer key of ci")).await, is("ci", Role::Operate));
        assert_eq!(who(Some("Bearer key of ann")).await, Err(OperatorFault::Wrong));
        // ann:secret, ann:other
        assert_eq!(who(Some("Basic YW5uOnNlY3JldA==")).await, is("ann", Role::Read));
        assert_eq!(who(Some("Basic YW5uOm90aGVy")).await, Err(OperatorFault::Wrong));
        // ci:key of ci
        assert_eq!(who(Some("Basic Y2k6a2V5IG9mIGNp")).await, Err(OperatorFault::Wrong));
        assert_eq!(operators.challenges().count(), 2);
        assert!(Role::Operate > Role::Read && Role::Read > Role::Metrics);
    }

    #[tokio::test]
    async fn an_address_that_was_wrong_too_often_is_not_listened_to_for_a_minute() {
        let (operators, now) = (operators(), Instant::now());
        for _ in 0..GUESSES_MAX {
            let guess = check(&operators, Some("Bearer x"), now).await;
            assert_eq!(guess, Err(OperatorFault::Wrong));
        }
        let right = "Bearer key of ci";
        let blocked = check(&operators, Some(right), now + Duration::from_secs(20)).await;
        assert_eq!(blocked, Err(OperatorFault::TooMany(Duration::from_secs(40))));
        let elsewhere = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(right))]);
        let address = IpAddr::from([192, 0, 2, 2]);
        assert!(operators.check(&elsewhere, address, now).await.is_ok());
        assert!(check(&operators, Some(right), now + GUESSES_EVERY).await.is_ok());
        for last in 0..=u16::MAX {
            let [a, b] = last.to_be_bytes();
            operators.guesses.count(ClientNetwork::V4([198, 51, a, b]), now);
        }
        assert_eq!(operators.guesses.guesses().len(), NETWORKS_MAX);
    }

    #[test]
    fn a_line_that_cannot_be_used_is_said_without_its_hash() {
        for (line, expected) in [
            ("ann", "it is not `name:hash`"),
            ("ann:sha256$0123secret", "the SHA-256 has not 64 digits"),
            (":sha256$00", "not usable"),
            ("ann:secret", "htpasswd -B"),
        ] {
            let fault = OperatorKey::parse(line, Role::Read).unwrap_err();
            assert!(fault.contains(expected) && !fault.contains("secret"), "{line}: {fault}");
        }
        let key = OperatorKey::parse(&format!("a:{KEY}"), Role::Read).unwrap();
        assert_eq!((&*key.name, key.role()), ("a", Role::Read));
        assert!(!format!("{:?}", OperatorKey::parse(ANN, Role::Read)).contains("abcdef"));
    }
}
