//! What was granted recently, by a keyed digest of the credentials: none of them is kept.
//!
//! It has two generations; when the younger one is full, the older one is forgotten. So its size is
//! bounded, whatever strangers send.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;

use super::grant::Fields;
use crate::Instant;

/// A digest of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CredentialKey([u8; 32]);

/// What was granted, for a while.
pub(super) struct GrantCache {
    lifetime: Duration,
    /// Random, so that a digest in a memory dump reveals nothing, and nobody can aim at one.
    secret: hmac::Key,
    generations: Mutex<[HashMap<CredentialKey, Entry>; 2]>,
}

#[derive(Clone, Debug)]
struct Entry {
    until: Instant,
    fields: Fields,
}

/// A key to which parts are added.
pub(super) struct KeyDigest(hmac::Context);

impl GrantCache {
    /// An empty cache, whose entries live for `lifetime`; zero keeps none.
    pub(super) fn new(lifetime: Duration) -> Self {
        let mut secret = [0; 32];
        let random = aws_lc_rs::rand::fill(&mut secret);
        debug_assert!(random.is_ok(), "the system has random bytes");
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Self { lifetime, secret, generations: Mutex::default() }
    }

    /// Begins a key.
    pub(super) fn key(&self) -> KeyDigest {
        KeyDigest(hmac::Context::with_key(&self.secret))
    }

    /// What was granted for `key`.
    pub(super) fn find(&self, key: CredentialKey, now: Instant) -> Option<Fields> {
        let generations = self.generations();
        let entry = generations.iter().find_map(|entries| entries.get(&key))?;
        (now < entry.until).then(|| entry.fields.clone())
    }

    /// Remembers what was granted for `key`.
    pub(super) fn put(&self, key: CredentialKey, fields: Fields, now: Instant) {
        let bytes: usize =
            fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if self.lifetime.is_zero() || bytes > ENTRY_BYTES_MAX {
            return;
        }
        let mut generations = self.generations();
        let [young, old] = &mut *generations;
        if young.len() >= GENERATION_ENTRIES_MAX {
            *old = std::mem::take(young);
        }
        young.insert(key, Entry { until: now + self.lifetime, fields });
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.generations().iter().map(HashMap::len).sum()
    }

    fn generations(&self) -> MutexGuard<'_, [HashMap<CredentialKey, Entry>; 2]> {
        // Each change of the maps is whole, so a panic elsewhere spoils nothing.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyDigest {
    /// Adds a part, which cannot be taken for the end of the one before.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// The key of all parts.
    pub(super) fn finish(self) -> CredentialKey {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.sign().as_ref());
        CredentialKey(digest)
    }
}

impl fmt::Debug for GrantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantCache").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Of one generation: some megabytes in all, as long as the fields are short.
pub(super) const GENERATION_ENTRIES_MAX: usize = 4096;

/// Names and values of the fields of one entry; more are not remembered.
const ENTRY_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_grant_is_known_for_its_time_and_their_number_is_bounded() {
        let cache = GrantCache::new(Duration::from_secs(5));
        let now = Instant::now();
        let key = |parts: &[&str]| {
            let mut key = cache.key();
            parts.iter().for_each(|part| key.add(part.as_bytes()));
            key.finish()
        };
        cache.put(key(&["ab", "c"]), Vec::new(), now);
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(cache.find(key(&["ab", "c"]), at(4)).is_some());
        assert!(cache.find(key(&["a", "bc"]), at(4)).is_none());
        assert!(cache.find(key(&["ab", "c"]), at(5)).is_none());
        for number in 0..20_000 {
            cache.put(key(&[&number.to_string()]), Vec::new(), now);
        }
        let held = cache.len();
        assert!(held <= 2 * GENERATION_ENTRIES_MAX, "{held}");
    }

    #[test]
    fn fields_that_are_very_long_are_not_kept() {
        let cache = GrantCache::new(Duration::from_secs(5));
        let value = HeaderValue::try_from("x".repeat(ENTRY_BYTES_MAX)).unwrap();
        let key = cache.key().finish();
        cache.put(key, vec![(HeaderName::from_static("x-user"), value)], Instant::now());
        assert!(cache.find(key, Instant::now()).is_none());
    }
}
