//! Affinity by the session's own id: the tag, the table, and the cost of healing.
//!
//! Runs for every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::healing::Healing;
use super::settings::{SidSettings, TagForm};
use super::table::{Table, TableLimits};
use super::tag::{TagClash, TagContent, Tags};
use super::{Member, Placement, Remembered};
use crate::Instant;
use crate::engineio::{Form, OpenPacket, SessionBounds, Sid};
use crate::upstream::Node;

/// `affinity: sid` of one upstream; `affinity: rendezvous` also recognizes sessions by it.
#[derive(Debug)]
pub(super) struct BySid {
    members: Arc<[Member]>,
    indexes: HashMap<Arc<str>, usize>,
    tags: Tags,
    form: TagForm,
    eio3: Eio3,
    memory: Arc<Memory>,
}

/// How EIO=3 sessions are recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eio3 {
    /// By the table, because their clients would see a tag.
    Table,
    /// By the tag, as configured.
    Tag,
}

/// What is kept over a reload.
#[derive(Debug)]
pub(super) struct Memory {
    sessions: Table<StoredSession>,
    healing: Healing,
}

impl Default for Memory {
    fn default() -> Self {
        Self { sessions: Table::new(SESSIONS), healing: Healing::default() }
    }
}

/// What is stored for a session without a tag.
#[derive(Clone, Debug)]
struct StoredSession {
    node_name: Arc<str>,
    bounds: Option<SessionBounds>,
}

impl BySid {
    pub(super) fn new(
        settings: &SidSettings,
        members: &Arc<[Member]>,
        memory: Arc<Memory>,
    ) -> Result<Self, TagClash> {
        let names = members.iter().map(|member| member.node.name());
        let indexes = names.clone().enumerate().map(|(index, name)| (name.clone(), index));
        Ok(Self {
            indexes: indexes.collect(),
            tags: Tags::new(&settings.keys, names.map(|name| &**name))?,
            form: settings.tag,
            eio3: if settings.tag_eio3 { Eio3::Tag } else { Eio3::Table },
            memory,
            members: members.clone(),
        })
    }

    pub(super) fn locate(&self, sid: &Sid, now: Instant) -> Placement {
        match self.tags.read(sid) {
            TagContent::Node { index, sid: bare, bounds } => {
                match self.node_with_sessions(index, now) {
                    Some(node) => Placement::Bound { node, sid: Some(bare), bounds },
                    None => Placement::Gone { sid: bare },
                }
            }
            TagContent::Gone { sid } => Placement::Gone { sid },
            TagContent::Untagged => match self.memory.sessions.renew(sid, now) {
                Some(StoredSession { node_name, bounds }) => {
                    let index = self.indexes.get(&node_name);
                    match index.and_then(|index| self.node_with_sessions(*index, now)) {
                        Some(node) => Placement::Bound { node, sid: None, bounds },
                        None => Placement::Gone { sid: sid.clone() },
                    }
                }
                None => Placement::Unknown { sid: sid.clone(), order: Vec::new() },
            },
        }
    }

    pub(super) fn remember(&self, open: &OpenPacket, node: &Arc<Node>, now: Instant) -> Remembered {
        let index = self.indexes.get(node.name());
        let bounds = open.timings.as_ref().map(SessionBounds::new);
        let in_tag = match self.form {
            TagForm::Long => bounds,
            TagForm::Short => None,
        };
        let tag = match (open.form, self.eio3) {
            (Form::V4, _) | (Form::V3Text | Form::V3Binary, Eio3::Tag) => {
                index.and_then(|index| self.tags.tag(open.sid.as_str(), *index, in_tag))
            }
            (Form::V3Text | Form::V3Binary, Eio3::Table) => None,
        };
        if let Some(tag) = tag {
            return Remembered::Tag(tag);
        }
        self.put(&open.sid, node, bounds, now);
        Remembered::Learned
    }

    pub(super) fn learn(&self, sid: &Sid, node: &Arc<Node>, now: Instant) {
        self.put(sid, node, None, now);
    }

    fn put(&self, sid: &Sid, node: &Arc<Node>, bounds: Option<SessionBounds>, now: Instant) {
        self.memory.sessions.put(
            sid,
            StoredSession { node_name: node.name().clone(), bounds },
            now,
        );
    }

    /// What is kept over a reload.
    pub(super) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub(super) fn healing(&self) -> &Healing {
        &self.memory.healing
    }

    /// The node at `index`, unless it has left and its sessions are given up.
    fn node_with_sessions(&self, index: usize, now: Instant) -> Option<Arc<Node>> {
        let member = self.members.get(index).filter(|member| member.has_sessions(now))?;
        Some(member.node.clone())
    }
}

/// A polling session sends a request at least once per `pingInterval`, 25 s by default and minutes
/// on unusual servers; on a WebSocket it sends no more. A full table has 64 × 2 × 8192 buckets of
/// 41 bytes, whatever the length of a sid: 43 MB for 900 000 sessions. At 4500 handshakes per
/// second, an unused entry still lives for 100 s.
const SESSIONS: TableLimits =
    TableLimits { lifetime: Duration::from_secs(600), generation_entries_max: 8192 / 8 * 7 };
