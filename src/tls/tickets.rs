//! Session tickets that survive reloads and restarts, and that several proxies share (RFC 5077; RFC
//! 8446, section 4.6.1).
//!
//! The keys are derived from a secret and the number of the current [`EPOCH`] since 1970, so that all
//! processes with the secret have the same ones at the same time, and nothing is stored. A ticket of the
//! previous epoch is still accepted, and one of the next, because clocks differ.
//!
//! A ticket carries the client's certificate, which is not verified again. So the keys also depend on
//! what the listener demands of clients: a ticket of a listener that asks for no certificate, or that
//! trusts other authorities, resumes nothing here.
//!
//! Pure but for the clock. Runs for every request.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use super::settings::TicketSecret;

/// How long a key encrypts. A ticket is accepted for this long at least, and for twice as long at most.
pub(super) const EPOCH: Duration = Duration::from_hours(12);

/// The tickets of a listener.
pub(super) struct SharedTickets {
    /// The first one encrypts.
    secrets: Vec<TicketSecret>,
    /// What the listener demands of clients.
    policy: [u8; 32],
    now: fn() -> u64,
    keys: ArcSwapOption<Keys>,
}

/// The keys at a time.
struct Keys {
    epoch: u64,
    encrypts: Key,
    /// All that are accepted, most likely first.
    decrypt: Vec<Key>,
}

struct Key {
    name: [u8; NAME_BYTES],
    key: RandomizedNonceKey,
}

impl SharedTickets {
    /// Tickets with keys from `secrets`, for a listener with this `policy`.
    pub(super) fn new(secrets: Vec<TicketSecret>, policy: [u8; 32]) -> Self {
        Self::with_clock(secrets, policy, seconds_now)
    }

    fn with_clock(secrets: Vec<TicketSecret>, policy: [u8; 32], now: fn() -> u64) -> Self {
        Self { secrets, policy, now, keys: ArcSwapOption::empty() }
    }

    /// The keys of the current epoch, which are derived at its first handshake.
    fn keys(&self) -> Option<Arc<Keys>> {
        let epoch = (self.now)() / EPOCH.as_secs();
        let known = self.keys.load();
        if let Some(known) = known.as_ref().filter(|known| known.epoch == epoch) {
            return Some(known.clone());
        }
        let keys = Arc::new(self.derive(epoch).ok()?);
        self.keys.store(Some(keys.clone()));
        Some(keys)
    }

    fn derive(&self, epoch: u64) -> Result<Keys, Unspecified> {
        let first = self.secrets.first().ok_or(Unspecified)?;
        let mut decrypt = Vec::new();
        for epoch in [epoch, epoch.saturating_sub(1), epoch.saturating_add(1)] {
            for secret in &self.secrets {
                decrypt.push(self.key(secret, epoch)?);
            }
        }
        Ok(Keys { epoch, encrypts: self.key(first, epoch)?, decrypt })
    }

    fn key(&self, secret: &TicketSecret, epoch: u64) -> Result<Key, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, PURPOSE).extract(secret.bytes());
        let mut bytes = [0; NAME_BYTES + KEY_BYTES];
        secret.expand(&[&self.policy, &epoch.to_be_bytes()], KeyBytes)?.fill(&mut bytes)?;
        let (name, key) = bytes.split_at(NAME_BYTES);
        let name = name.try_into().map_err(|_| Unspecified)?;
        Ok(Key { name, key: RandomizedNonceKey::new(&AES_256_GCM, key)? })
    }
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(EPOCH.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys()?;
        let Key { name, key } = &keys.encrypts;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut sealed).ok()?;
        Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys()?;
        // The name is sent in the clear, so that comparing it tells nobody anything.
        let Key { name, key } = keys.decrypt.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl fmt::Debug for SharedTickets {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTickets").finish_non_exhaustive()
    }
}

/// The secret of a process that has none configured. All listeners have the same one at all times, so
/// that a reload forgets no session. `None` if the system gives no randomness.
pub(super) fn process_secret() -> Option<TicketSecret> {
    static SECRET: OnceLock<Option<TicketSecret>> = OnceLock::new();
    let new = || {
        let mut bytes = [0; KEY_BYTES];
        rand::fill(&mut bytes).ok().map(|()| TicketSecret::new(bytes))
    };
    SECRET.get_or_init(new).clone()
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The length of what is derived for a key.
#[derive(Clone, Copy)]
struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        NAME_BYTES + KEY_BYTES
    }
}

const NAME_BYTES: usize = 16;
/// Of AES-256.
const KEY_BYTES: usize = 32;
/// Another form of tickets needs another purpose.
const PURPOSE: &[u8] = b"sockeye session tickets 1";

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn proxy(secrets: &[&str], policy: u8) -> SharedTickets {
        let secrets = secrets.iter().map(|secret| TicketSecret::new(secret.as_bytes()));
        SharedTickets::with_clock(secrets.collect(), [policy; 32], || NOW.get())
    }

    fn at(epochs: f64) {
        NOW.set((1_000_000.0 + epochs * EPOCH.as_secs_f64()) as u64);
    }

    #[test]
    fn another_proxy_with_the_secret_reads_a_ticket_and_nobody_else() {
        at(0.0);
        let ticket = proxy(&["one"], 0).encrypt(b"session").unwrap();
        assert_eq!(proxy(&["one"], 0).decrypt(&ticket).unwrap(), b"session");
        assert_eq!(proxy(&["two"], 0).decrypt(&ticket), None);
        assert_eq!(
            proxy(&["one"], 1).decrypt(&ticket),
            None,
            "it demands something else of clients"
        );
    }

    #[test]
    fn a_ticket_is_read_in_three_epochs() {
        let tickets = proxy(&["one"], 0);
        at(10.0);
        let ticket = tickets.encrypt(b"session").unwrap();
        for (epoch, is_read) in
            [(8.0, false), (9.0, true), (10.0, true), (11.0, true), (12.0, false), (10.5, true)]
        {
            at(epoch);
            assert_eq!(tickets.decrypt(&ticket).is_some(), is_read, "{epoch}");
        }
    }

    #[test]
    fn a_secret_that_was_the_first_is_still_read() {
        at(0.0);
        let old = proxy(&["one"], 0).encrypt(b"session").unwrap();
        let both = proxy(&["two", "one"], 0);
        assert!(both.decrypt(&old).is_some());
        let new = both.encrypt(b"session").unwrap();
        assert!(proxy(&["two"], 0).decrypt(&new).is_some());
        assert!(proxy(&["one"], 0).decrypt(&new).is_none());
    }

    #[test]
    fn no_ticket_that_was_changed_or_cut_is_read() {
        at(0.0);
        let tickets = proxy(&["one"], 0);
        let ticket = tickets.encrypt(b"session").unwrap();
        assert_ne!(ticket, tickets.encrypt(b"session").unwrap(), "each has a nonce of its own");
        for index in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[index] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "{index}");
            assert_eq!(tickets.decrypt(&ticket[..index]), None, "{index}");
        }
    }

    #[test]
    fn a_process_has_one_secret() {
        assert!(process_secret().is_some() && process_secret() == process_secret());
        assert_eq!(format!("{:?}", process_secret()), "Some(TicketSecret(hidden))");
    }
}
