//! What a lookup changed, for the log.
//!
//! Pure. Runs at start, at reload, or on a timer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::upstream::Node;

/// What differs between two sets of nodes. Displays as `+10.0.0.4:3000 -10.0.0.2:3000`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeChanges {
    came: Vec<Arc<str>>,
    left: Vec<Arc<str>>,
    /// Another weight, or another address under the same name.
    differ: Vec<Arc<str>>,
}

impl NodeChanges {
    /// From `before` to `after`.
    pub(crate) fn between(before: &[Arc<Node>], after: &[Arc<Node>]) -> Self {
        let by_name = |nodes: &[Arc<Node>]| -> BTreeMap<Arc<str>, Arc<Node>> {
            nodes.iter().map(|node| (node.name().clone(), node.clone())).collect()
        };
        let (before, after) = (by_name(before), by_name(after));
        let mut changes = Self::default();
        for (name, node) in &after {
            match before.get(name) {
                None => changes.came.push(name.clone()),
                Some(former) if Arc::ptr_eq(former, node) => (),
                Some(_) => changes.differ.push(name.clone()),
            }
        }
        let left = before.into_keys().filter(|name| !after.contains_key(name));
        changes.left.extend(left);
        changes
    }

    /// Whether both are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.came.is_empty() && self.left.is_empty() && self.differ.is_empty()
    }
}

impl fmt::Display for NodeChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = |sign, names| std::iter::repeat(sign).zip::<&Vec<Arc<str>>>(names);
        let all =
            signed('+', &self.came).chain(signed('-', &self.left)).chain(signed('~', &self.differ));
        let count = self.came.len() + self.left.len() + self.differ.len();
        for (index, (sign, name)) in all.take(SHOWN_MAX).enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{sign}{name}")?;
        }
        match count.checked_sub(SHOWN_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}

/// A line of the log should be read.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::settings::{NodeAddress, NodeSettings};

    fn node(name: &str) -> Arc<Node> {
        let address = NodeAddress { host: name.into(), port: 3000 };
        Arc::new(Node::new(&NodeSettings::new(name, address)))
    }

    #[test]
    fn added_removed_and_changed_objects_are_listed() {
        let [a, b, c] = ["a", "b", "c"].map(node);
        let check = |before: &[&Arc<Node>], after: &[&Arc<Node>], expected: &str| {
            let owned = |nodes: &[&Arc<Node>]| -> Vec<Arc<Node>> {
                nodes.iter().map(|node| Arc::clone(node)).collect()
            };
            let changes = NodeChanges::between(&owned(before), &owned(after));
            assert_eq!(changes.to_string(), expected);
            assert_eq!(changes.is_empty(), expected.is_empty());
        };
        check(&[], &[], "");
        check(&[&a, &b], &[&b, &a], "");
        check(&[], &[&a, &b], "+a +b");
        check(&[&a, &b], &[&b, &c], "+c -a");
        check(&[&a, &b], &[], "-a -b");
        check(&[&a, &b], &[&a, &node("b")], "~b");
    }

    #[test]
    fn a_long_line_is_cut() {
        let many: Vec<Arc<Node>> = (0..25).map(|number| node(&format!("n{number:02}"))).collect();
        let line = NodeChanges::between(&[], &many).to_string();
        assert!(line.starts_with("+n00 +n01 ") && line.ends_with(" +n19 and 5 more"), "{line}");
    }
}
