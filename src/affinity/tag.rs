//! The tag after the last dot of a sid, which every proxy with the same configuration can read,
//! after any restart.
//!
//! `ABC` becomes `ABC.nnnnnnbbbcc`, all of it in the alphabet of base64url:
//!
//! - `nnnnnn`: the first 36 bits of a keyed hash of the node's name
//! - `bbb`: the session's bounds, the 18 bits of [`SessionBounds::code`], the highest first
//! - `cc`: the first 12 bits of a keyed hash of the sid and all characters before
//!
//! The short tag, `ABC.nnnnnncc`, has no bounds. It is written for older proxies, which know no
//! other (`tag: short`), if an open packet states no bounds, and as the value of cookies. It stays
//! valid.
//!
//! Pure. Runs for every request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hasher;

use sha1::{Digest, Sha1};
use siphasher::sip::SipHasher24;

use super::settings::Secret;
use crate::engineio::{SessionBounds, Sid};

/// Makes and reads the tags of one upstream's nodes, which it knows by their index.
#[derive(Debug)]
pub(super) struct Tags {
    /// Not empty; the first makes tags.
    keyed: Vec<KeyedNames>,
}

/// The content of a sid's tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagContent {
    /// There is no tag of ours: the whole sid, including its dots, is the node's own.
    Untagged,
    /// The session is on this node, which knows it as `sid`.
    Node {
        /// The node's index in the list that [`Tags::new`] got.
        index: usize,
        /// The sid without the tag.
        sid: Sid,
        /// The session's bounds; `None` in a short tag.
        bounds: Option<SessionBounds>,
    },
    /// The tag is ours, and its node is unknown.
    Gone {
        /// The sid without the tag.
        sid: Sid,
    },
}

/// Two nodes have the same tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nodes {first} and {second} have the same tag: give one of them another name")]
pub struct TagClash {
    /// The name of one.
    pub first: Box<str>,
    /// The name of the other.
    pub second: Box<str>,
}

impl Tags {
    /// The tags of nodes with these names; without secrets, with the one that is compiled in.
    ///
    /// # Errors
    /// [`TagClash`] if two nodes have the same tag with any of the keys, which is so for one pair of names
    /// in 2^36. A name that appears twice clashes with itself.
    pub(super) fn new<'a>(
        secrets: &[Secret],
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, TagClash> {
        let mut keys: Vec<Key> = secrets.iter().map(|secret| Key::derive(&secret.0)).collect();
        if keys.is_empty() {
            keys.push(Key::derive(COMPILED_IN));
        }
        let keyed = keys.into_iter().map(|key| KeyedNames::new(key, names.clone()));
        Ok(Self { keyed: keyed.collect::<Result<_, _>>()? })
    }

    /// The tag, with its dot, of a session on the node at `index`; a short one without `bounds`.
    /// `None` if there is no such node, or if the tagged sid would be longer than
    /// [`Sid::BYTES_MAX`].
    pub(super) fn tag(
        &self,
        sid: &str,
        index: usize,
        bounds: Option<SessionBounds>,
    ) -> Option<String> {
        let mark = match bounds {
            Some(bounds) => self.mark_with(sid, index, &write_bounds(bounds))?,
            None => self.mark(sid, index)?,
        };
        (sid.len() + 1 + mark.len() <= Sid::BYTES_MAX).then(|| format!("{SEPARATOR}{mark}"))
    }

    /// Reads a sid as a client sends it, decoded.
    pub(super) fn read(&self, tagged: &Sid) -> TagContent {
        let Some((sid, mark)) = tagged.as_str().rsplit_once(SEPARATOR) else {
            return TagContent::Untagged;
        };
        let Some(sid) = Sid::new(sid) else { return TagContent::Untagged };
        let mark = mark.as_bytes();
        let bounds = mark.get(NAME_CHARS..LONG_CHARS - CHECK_CHARS);
        let (reading, bounds) = match bounds.filter(|_| mark.len() == LONG_CHARS) {
            Some(characters) => match read_bounds(characters) {
                Some(bounds) => (self.read_checked(sid.as_str(), mark), Some(bounds)),
                None => return TagContent::Untagged,
            },
            None => (self.read_mark(sid.as_str(), mark), None),
        };
        match reading {
            MarkContent::Foreign => TagContent::Untagged,
            MarkContent::Node(index) => TagContent::Node { index, sid, bounds },
            MarkContent::Gone => TagContent::Gone { sid },
        }
    }

    /// The mark after the dot in the short tag of `sid` on the node at `index`.
    pub(super) fn mark(&self, sid: &str, index: usize) -> Option<String> {
        self.mark_with(sid, index, &[])
    }

    /// Reads what [`mark`](Self::mark) made for the same `sid`.
    pub(super) fn read_mark(&self, sid: &str, mark: &[u8]) -> MarkContent {
        if mark.len() != SHORT_CHARS {
            return MarkContent::Foreign;
        }
        self.read_checked(sid, mark)
    }

    fn mark_with(&self, sid: &str, index: usize, bounds: &[u8]) -> Option<String> {
        let making = self.keyed.first()?;
        let name = making.names.get(index)?;
        let check = making.key.check(sid, name, bounds);
        let characters = name.iter().chain(bounds).chain(&check);
        Some(characters.copied().map(char::from).collect())
    }

    /// Reads a mark of either length.
    ///
    /// The comparisons need not take constant time, because a tag protects nothing: a client with a
    /// forged tag reaches a node of its choice, which still has to know the sid.
    fn read_checked(&self, sid: &str, mark: &[u8]) -> MarkContent {
        let parts = mark.split_first_chunk::<NAME_CHARS>();
        let parts = parts.and_then(|(name, rest)| {
            let (bounds, check) = rest.split_last_chunk::<CHECK_CHARS>()?;
            Some((name, bounds, check))
        });
        let Some((name, bounds, check)) = parts else { return MarkContent::Foreign };
        let mut reading = MarkContent::Foreign;
        for keyed in &self.keyed {
            if keyed.key.check(sid, name, bounds) != *check {
                continue;
            }
            match keyed.indexes.get(name) {
                Some(&index) => return MarkContent::Node(index),
                None => reading = MarkContent::Gone,
            }
        }
        reading
    }
}

/// The content of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkContent {
    /// It is not ours.
    Foreign,
    /// The index of the node.
    Node(usize),
    /// It is ours, and the node is unknown.
    Gone,
}

/// The nodes' names as one key hashes them.
#[derive(Debug)]
struct KeyedNames {
    key: Key,
    /// By the node's index.
    names: Vec<HashedName>,
    indexes: HashMap<HashedName, usize>,
}

impl KeyedNames {
    fn new<'a>(key: Key, names: impl Iterator<Item = &'a str> + Clone) -> Result<Self, TagClash> {
        let hashed: Vec<HashedName> = names.clone().map(|name| key.name(name)).collect();
        let mut indexes = HashMap::with_capacity(hashed.len());
        for (index, name) in names.clone().enumerate() {
            match indexes.entry(key.name(name)) {
                Entry::Vacant(entry) => _ = entry.insert(index),
                Entry::Occupied(other) => {
                    let first = names.clone().nth(*other.get()).unwrap_or_default();
                    return Err(TagClash { first: first.into(), second: name.into() });
                }
            }
        }
        Ok(Self { key, names: hashed, indexes })
    }
}

/// A key of the tag: two keys of SipHash, so that a name's hash is never a sid's check.
struct Key {
    name: SipHasher24,
    check: SipHasher24,
}

impl Key {
    fn derive(secret: &str) -> Self {
        let derive = |purpose: &str| {
            let digest: [u8; 20] =
                Sha1::new_with_prefix(purpose).chain_update(secret).finalize().into();
            let [key @ .., _, _, _, _] = digest;
            SipHasher24::new_with_key(&key)
        };
        Self { name: derive("sockeye tag name\0"), check: derive("sockeye tag check\0") }
    }

    fn name(&self, name: &str) -> HashedName {
        base64url(self.name.hash(name.as_bytes()))
    }

    fn check(&self, sid: &str, name: &HashedName, bounds: &[u8]) -> [u8; CHECK_CHARS] {
        let mut hasher = self.check;
        hasher.write(sid.as_bytes());
        hasher.write(name);
        hasher.write(bounds);
        base64url(hasher.finish())
    }
}

/// A key is never shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(...)")
    }
}

/// The first bits of `hash` in the alphabet of base64url (RFC 4648, section 5).
fn base64url<const CHARS: usize>(hash: u64) -> [u8; CHARS] {
    let mut rest = hash;
    std::array::from_fn(|_| {
        rest = rest.rotate_left(6);
        ALPHABET[(rest & 63) as usize]
    })
}

fn write_bounds(bounds: SessionBounds) -> [u8; BOUNDS_CHARS] {
    base64url(u64::from(bounds.code()) << (u64::BITS - SessionBounds::CODE_BITS))
}

/// `None` if a character is not in the alphabet.
fn read_bounds(characters: &[u8]) -> Option<SessionBounds> {
    let digits = characters.iter().map(|character| DIGITS[usize::from(*character)]);
    let code = digits
        .map(u32::from)
        .try_fold(0, |code, digit| (digit < 64).then_some(code << 6 | digit))?;
    Some(SessionBounds::from_code(code))
}

/// The index of each byte in [`ALPHABET`]; 64 for others.
const DIGITS: [u8; 256] = {
    let mut digits = [64; 256];
    let mut digit = 0;
    while digit < 64 {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A node's name in a tag; 36 bits.
type HashedName = [u8; NAME_CHARS];
const NAME_CHARS: usize = 6;

/// A session's bounds; 18 bits.
const BOUNDS_CHARS: usize = 3;
const _: () = assert!(SessionBounds::CODE_BITS as usize == 6 * BOUNDS_CHARS);

/// One in 4096 application sids of the same form is misread.
const CHECK_CHARS: usize = 2;

/// The first character of a tag. It is not in the alphabet of servers' sids or of tags, and no
/// client encodes it; sids of applications may have it, so the last one counts.
const SEPARATOR: char = '.';

const SHORT_CHARS: usize = NAME_CHARS + CHECK_CHARS;
const LONG_CHARS: usize = NAME_CHARS + BOUNDS_CHARS + CHECK_CHARS;

/// The secret if none is configured. It is a constant, because the proxy after a restart and other
/// proxies have to read our tags; a new value would end all sessions at an update.
const COMPILED_IN: &str = "sockeye";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engineio::Timings;

    const SID: &str = "lv_VI97HAXpY6yYWAAAC";

    fn tags(secrets: &[&str], names: &[&str]) -> Tags {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret((*secret).into())).collect();
        Tags::new(&secrets, names.iter().copied()).expect("no clash")
    }

    fn sid(text: &str) -> Sid {
        Sid::new(text).expect("a sid")
    }

    fn bounds() -> Option<SessionBounds> {
        Some(SessionBounds::new(&Timings::from_millis(25_000, 20_000, 1_000_000)))
    }

    #[test]
    fn a_tag_is_the_same_in_every_release() {
        let check = |secrets: &[&str], index, bounds, expected: &str| {
            let tags = tags(secrets, &["10.0.0.1:3000", "n2"]);
            assert_eq!(tags.tag(SID, index, bounds).as_deref(), Some(expected));
            let tagged = sid(&format!("{SID}{expected}"));
            assert_eq!(tags.read(&tagged), TagContent::Node { index, sid: sid(SID), bounds });
        };
        check(&[], 0, None, ".fi3mzwOh");
        check(&[], 1, None, ".V3jipD_8");
        check(&["secret"], 0, None, ".p3mskEv_");
        check(&[], 0, bounds(), ".fi3mzwCSelk");
        check(&[], 1, bounds(), ".V3jipDCSedx");
        check(&["secret"], 0, bounds(), ".p3mskECSejw");
    }

    #[test]
    fn what_a_tag_says_cannot_be_changed_without_its_check() {
        let tags = tags(&[], &["n1", "n2"]);
        let tagged = format!("{SID}{}", tags.tag(SID, 0, bounds()).expect("a tag"));
        let misread = (1..=LONG_CHARS).flat_map(|back| {
            let at = tagged.len() - back;
            let changed = ALPHABET.iter().map(move |byte| (at, char::from(*byte)));
            changed.filter(|(at, character)| !tagged[*at..].starts_with(*character))
        });
        let misread = misread.filter(|(at, character)| {
            let changed = format!("{}{character}{}", &tagged[..*at], &tagged[at + 1..]);
            tags.read(&sid(&changed)) != TagContent::Untagged
        });
        // One in 4096 by chance.
        assert!(misread.count() <= 3);
    }

    #[test]
    fn what_is_not_ours_is_untagged() {
        let tags = tags(&[], &["n1", "n2"]);
        let ours = tags.tag(SID, 0, None).expect("a tag");
        let long = tags.tag(SID, 0, bounds()).expect("a tag");
        let check = |text: &str| assert_eq!(tags.read(&sid(text)), TagContent::Untagged, "{text}");
        check(SID);
        check(".");
        check(&ours);
        check(&format!("{SID}{}", &ours[..8]));
        check(&format!("{SID}{ours}A"));
        check(&format!("{SID}{}", ours.replace('.', "~")));
        check(&format!("x{SID}{ours}"));
        check(&format!("{SID}{ours}.custom"));
        check(&format!("{SID}.äääää"));
        check(&format!("{SID}{}", &long[..11]));
        check(&format!("{SID}{long}A"));
        check(&format!("x{SID}{long}"));
        check(&format!("{SID}{}", long.replace("CSe", "C=e")));
        // The check of a short tag says nothing about bounds.
        check(&format!("{SID}{}CSe{}", &ours[..7], &ours[7..]));
        check(&format!("{SID}{}{}", &long[..7], &long[10..]));
    }

    #[test]
    fn a_node_that_left_is_gone_and_its_session_is_not_untagged() {
        let made = tags(&[], &["n1", "n2"]);
        for bounds in [None, bounds()] {
            let tagged = sid(&format!("{SID}{}", made.tag(SID, 1, bounds).expect("a tag")));
            assert_eq!(tags(&[], &["n1", "n3"]).read(&tagged), TagContent::Gone { sid: sid(SID) });
            // Its place in the list does not matter.
            let moved = tags(&[], &["n3", "n2", "n1"]);
            assert_eq!(moved.read(&tagged), TagContent::Node { index: 1, sid: sid(SID), bounds });
        }
    }

    #[test]
    fn keys_rotate() {
        let made = tags(&["old"], &["n1", "n2"]).tag(SID, 1, bounds()).expect("a tag");
        let tagged = format!("{SID}{made}");
        let check = |secrets: &[&str], expected| {
            let tags = tags(secrets, &["n1", "n2"]);
            assert_eq!(tags.read(&sid(&tagged)), expected, "{secrets:?}");
        };
        let known = || TagContent::Node { index: 1, sid: sid(SID), bounds: bounds() };
        check(&["new", "old"], known());
        check(&["old", "new"], known());
        check(&["new"], TagContent::Untagged);
        check(&[], TagContent::Untagged);
    }

    #[test]
    fn nodes_that_cannot_be_told_apart_are_refused() {
        let clash = Tags::new(&[], ["a", "b", "a"].into_iter()).expect_err("the same name");
        assert_eq!(clash, TagClash { first: "a".into(), second: "a".into() });
    }

    #[test]
    fn a_tag_never_makes_a_sid_too_long() {
        let tags = tags(&[], &["n1"]);
        let check = |bytes: usize, bounds, expected: bool| {
            assert_eq!(tags.tag(&"x".repeat(bytes), 0, bounds).is_some(), expected, "{bytes}");
        };
        check(Sid::BYTES_MAX - 1 - SHORT_CHARS, None, true);
        check(Sid::BYTES_MAX - SHORT_CHARS, None, false);
        check(Sid::BYTES_MAX - 1 - LONG_CHARS, bounds(), true);
        check(Sid::BYTES_MAX - LONG_CHARS, bounds(), false);
        assert_eq!(tags.tag(SID, 1, None), None);
    }

    proptest! {
        #[test]
        fn a_tag_is_read_back(
            bare in "\\PC{1,60}", index in 0..3_usize, code in prop::option::of(0..1_u32 << 18),
        ) {
            let tags = tags(&["secret"], &["n1", "n2", "n3"]);
            let bounds = code.map(SessionBounds::from_code);
            let tagged = format!("{bare}{}", tags.tag(&bare, index, bounds).expect("short enough"));
            let expected = TagContent::Node { index, sid: sid(&bare), bounds };
            prop_assert_eq!(tags.read(&sid(&tagged)), expected);
        }
    }
}
