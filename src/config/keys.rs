//! Which keys the file's types know: the list that the manual is checked against.
//!
//! The types are asked, not a second list: offered a key that nobody knows, each names its own.
//!
//! Pure. Runs at start, at reload, or on a timer.

use serde_yaml::{Mapping, Value};

use super::file::File;
use crate::yaml::typed::{self, Mismatch};
use crate::yaml::{KeyPath, Step};

/// All keys of the configuration, such as `routes[].tunnel.idle_timeout`; `*` is a name that the
/// operator chooses.
#[doc(hidden)]
pub fn keys() -> Vec<String> {
    let mut found = Vec::new();
    explore(&KeyPath::root(), "", &mut found);
    found
}

fn explore(path: &KeyPath, shown: &str, found: &mut Vec<String>) {
    for key in known_at(path) {
        let path = path.key(key);
        let shown = if shown.is_empty() { (*key).to_owned() } else { format!("{shown}.{key}") };
        found.push(shown.clone());
        explore(&path, &shown, found);
        explore(&path.index(0), &format!("{shown}[]"), found);
        explore(&path.key(ANY_NAME), &format!("{shown}.*"), found);
    }
}

/// The keys that a map at `path` may have.
fn known_at(path: &KeyPath) -> &'static [&'static str] {
    let asked = path.key(UNKNOWN_KEY);
    let tree = asked.steps().iter().rfold(Value::Null, |value, step| match step {
        Step::Key(key) => Value::Mapping(Mapping::from_iter([((&**key).into(), value)])),
        Step::Index(_) => Value::Sequence(vec![value]),
    });
    match typed::read_once::<File>(&tree) {
        Err((path, Mismatch::UnknownKey { known })) if path == asked => known,
        Err((
            _,
            Mismatch::UnknownKey { .. }
            | Mismatch::NoMap { .. }
            | Mismatch::Kind { .. }
            | Mismatch::Other(_),
        ))
        | Ok(_) => &[],
    }
}

const UNKNOWN_KEY: &str = "?";
const ANY_NAME: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_tell_their_keys_at_every_depth() {
        let keys = keys();
        for key in [
            "listeners[].bind",
            "upstreams.*.nodes[].weight",
            "upstreams.*.affinity.rendezvous.by.header",
            "routes[].path.exact",
            "routes[].tunnel.idle_timeout",
            "shutdown.delay",
            "log",
            "log.level",
        ] {
            assert!(keys.iter().any(|known| known == key), "{key} is not in {keys:?}");
        }
        assert_eq!(keys.len(), 242, "{keys:?}");
    }
}
