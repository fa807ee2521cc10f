//! Tags: labels of the viewer's readings. A tag has no row of its own: it exists while a reading has it.

use std::cmp::Reverse;

use async_graphql::{Enum, ID};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use object_macro::object;
use uuid::Uuid;

use super::id::opaque_id;
use super::pagination::{CursorKey, Paginated};
use super::scalars::DateTime;
use crate::db::reading_writes::TagRow;
use crate::services::tags;

/// Order of tags. Ties are ordered by name.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tags::TagOrder")]
pub enum TagOrder {
    /// Most readings first, then most recently used.
    MostUsed,
    /// By name, ascending.
    Name,
    /// Most recently used first.
    RecentlyUsed,
}

impl TagOrder {
    /// Name of the list in this order, which cursors are bound to.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::MostUsed => "User.tags:MOST_USED",
            Self::Name => "User.tags:NAME",
            Self::RecentlyUsed => "User.tags:RECENTLY_USED",
        }
    }
}

/// A label of a user's readings.
#[derive(Clone)]
pub struct Tag {
    /// Owner of the readings.
    pub owner: Uuid,
    /// Name and counts.
    pub row: TagRow,
}

impl Paginated for Tag {
    const EDGE: &'static str = "TagEdge";
    const CONNECTION: &'static str = "TagConnection";
}

/// A label of the viewer's readings, visible to the viewer alone.
#[object]
impl Tag {
    /// Id for client caches, derived from the name. `node` does not accept it.
    fn id(&self) -> ID {
        tag_id(self.owner, &self.row.name)
    }

    /// Name, 1 to 50 characters.
    fn name(&self) -> &str {
        &self.row.name
    }

    /// Number of the viewer's readings with this tag, archived ones included.
    fn reading_count(&self) -> i64 {
        self.row.readings
    }

    /// Creation time of the newest reading with this tag.
    fn last_used_at(&self) -> DateTime {
        DateTime(self.row.last_used_at)
    }
}

/// Id of a user's tag, for client caches.
#[must_use]
pub fn tag_id(owner: Uuid, name: &str) -> ID {
    opaque_id("Tag", &format!("{}:{name}", owner.simple()))
}

/// Sort key of a tag: descending numbers, then the name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagKey {
    down: Reverse<(i64, i64)>,
    name: String,
}

impl TagKey {
    pub(super) fn of(order: TagOrder, row: &TagRow) -> Self {
        let last_used = row.last_used_at.timestamp_micros();
        let down = match order {
            TagOrder::MostUsed => (row.readings, last_used),
            TagOrder::Name => (0, 0),
            TagOrder::RecentlyUsed => (last_used, 0),
        };
        Self { down: Reverse(down), name: row.name.clone() }
    }
}

impl CursorKey for TagKey {
    fn write(&self) -> String {
        let Reverse((first, second)) = self.down;
        format!("{first},{second},{}", URL_SAFE_NO_PAD.encode(&self.name))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let down = Reverse((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?));
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        parts.next().is_none().then_some(Self { down, name })
    }
}
