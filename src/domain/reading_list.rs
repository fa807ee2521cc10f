//! Filter and order of lists of readings.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::page::Order;
use super::reading::{Karma, PrivacyLevel};
use super::spread::SpreadType;
use super::voice::VoiceKey;

/// Filter and order of a list of readings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReadingList {
    /// Filter of the list.
    pub filter: ReadingFilter,
    /// Order of the list.
    pub order: ReadingOrder,
}

/// Filter of readings. All conditions apply; `None` matches everything, and a list matches any of its
/// items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReadingFilter {
    /// Voices of the interpretation.
    pub voices: Option<Vec<VoiceKey>>,
    /// Karma contexts.
    pub karma: Option<Vec<Karma>>,
    /// Spread types.
    pub spread_types: Option<Vec<SpreadType>>,
    /// Tags of which a reading has at least one.
    pub tags_any: Option<Vec<String>>,
    /// Tags of which a reading has all.
    pub tags_all: Option<Vec<String>>,
    /// Start of the creation time, included.
    pub from: Option<DateTime<Utc>>,
    /// End of the creation time, excluded.
    pub to: Option<DateTime<Utc>>,
    /// Search term in the question or, for the owner, in the notes.
    pub search: Option<String>,
    /// Conditions on private data of the owner.
    pub own: OwnFilter,
}

/// Conditions on private data of the owner. For others they match nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OwnFilter {
    /// Privacy levels.
    pub privacy_levels: Option<Vec<PrivacyLevel>>,
    /// Favorites only, or others only.
    pub is_favorite: Option<bool>,
    /// Category of the reading.
    pub category: Option<Uuid>,
    /// Categorized readings only, or uncategorized ones only.
    pub has_category: Option<bool>,
    /// Minimum satisfaction rating, 1 to 5.
    pub min_satisfaction: Option<i16>,
    /// Archived or not.
    pub archive: ArchiveFilter,
}

/// Filter by archive state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ArchiveFilter {
    /// Not archived.
    #[default]
    Active,
    /// Archived.
    Archived,
    /// Both.
    Any,
}

/// Order of readings. Ties are ordered by id in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingOrder {
    /// Sort field.
    pub field: ReadingOrderField,
    /// Ascending or descending.
    pub order: Order,
}

impl Default for ReadingOrder {
    fn default() -> Self {
        Self { field: ReadingOrderField::CreatedAt, order: Order::Desc }
    }
}

/// Sort field of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadingOrderField {
    /// Creation time.
    CreatedAt,
    /// Time of the last change.
    UpdatedAt,
    /// Satisfaction rating; unrated readings come last in either direction.
    Satisfaction,
}

impl OwnFilter {
    /// `true` if any condition is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

impl ReadingFilter {
    /// `true` if any condition is set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }
}
