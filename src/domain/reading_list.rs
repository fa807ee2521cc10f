//! Lists of readings: what they are narrowed to and how they are ordered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::page::Order;
use super::reading::{Karma, PrivacyLevel};
use super::spread::SpreadType;
use super::voice::VoiceKey;

/// A list of readings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReadingList {
    /// Which of them.
    pub filter: ReadingFilter,
    /// In which order.
    pub order: ReadingOrder,
}

/// What a reading must be to be listed: all of it. What is `None` may be anything, and of a list one
/// has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReadingFilter {
    /// The voice that speaks.
    pub voices: Option<Vec<VoiceKey>>,
    /// The tone.
    pub karma: Option<Vec<Karma>>,
    /// The kind of spread.
    pub spread_types: Option<Vec<SpreadType>>,
    /// It has one of these tags.
    pub tags_any: Option<Vec<String>>,
    /// It has all of these tags.
    pub tags_all: Option<Vec<String>>,
    /// It was made then or later.
    pub from: Option<DateTime<Utc>>,
    /// It was made before then.
    pub to: Option<DateTime<Utc>>,
    /// This text is in the question or, for its owner, in the notes.
    pub search: Option<String>,
    /// What only its owner knows of a reading.
    pub own: OwnFilter,
}

/// What only its owner knows of a reading. Nobody else finds anything by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct OwnFilter {
    /// Who may see it.
    pub privacy_levels: Option<Vec<PrivacyLevel>>,
    /// Whether it is marked.
    pub is_favorite: Option<bool>,
    /// The folder that it is in.
    pub category: Option<Uuid>,
    /// Whether it is in a folder.
    pub has_category: Option<bool>,
    /// How satisfying it was at least.
    pub min_satisfaction: Option<i16>,
    /// Whether it is put away.
    pub archive: Archive,
}

/// Whether readings are put away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Archive {
    /// They are not.
    #[default]
    Active,
    /// They are.
    Archived,
    /// They may be or not.
    Any,
}

/// How readings are ordered. What is equal is ordered by id in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingOrder {
    /// By what.
    pub field: ReadingOrderField,
    /// Which end comes first.
    pub order: Order,
}

impl Default for ReadingOrder {
    fn default() -> Self {
        Self { field: ReadingOrderField::CreatedAt, order: Order::Desc }
    }
}

/// What readings are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadingOrderField {
    /// When they were made.
    CreatedAt,
    /// When they were last changed.
    UpdatedAt,
    /// How satisfying they were; those without a rating come last either way.
    Satisfaction,
}

impl OwnFilter {
    /// Whether it leaves anything out that strangers are shown.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }
}

impl ReadingFilter {
    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }
}
