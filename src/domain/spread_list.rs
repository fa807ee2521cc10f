//! Lists of spreads: what they are narrowed to and how they are ordered.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::faction::FactionKey;
use super::page::Order;
use super::range::Range;
use super::search::Search;
use super::spread::{Difficulty, Spread, SpreadType};

/// What a spread must be to be listed: all of it. What is `None` may be anything, and of a list one
/// has to fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpreadFilter {
    /// Its kind.
    pub spread_types: Option<Vec<SpreadType>>,
    /// How hard it is to read.
    pub difficulties: Option<Vec<Difficulty>>,
    /// How many cards it takes.
    pub card_count: Range<i32>,
    /// The faction that favours it.
    pub faction: Option<FactionKey>,
    /// Whether it is for premium users only.
    pub is_premium: Option<bool>,
    /// Whether those are listed that new readings may not use.
    pub includes_inactive: bool,
    /// In its name, or in a display name or a description of any language.
    pub search: Option<Search>,
}

impl SpreadFilter {
    /// Whether the spread is listed.
    #[must_use]
    pub fn fits(&self, spread: &Spread) -> bool {
        (self.includes_inactive || spread.is_active)
            && self.spread_types.as_ref().is_none_or(|types| types.contains(&spread.spread_type))
            && self.difficulties.as_ref().is_none_or(|levels| levels.contains(&spread.difficulty))
            && self.card_count.contains(&i32::try_from(spread.card_count()).unwrap_or(i32::MAX))
            && self.faction.is_none_or(|faction| spread.faction == Some(faction))
            && self.is_premium.is_none_or(|is_premium| spread.is_premium == is_premium)
            && self.search.as_ref().is_none_or(|search| search.is_in(searched(spread)))
    }
}

fn searched(spread: &Spread) -> impl Iterator<Item = &str> {
    let of_all_languages = spread
        .texts
        .iter()
        .flat_map(|(_, text)| [text.display_name.as_str(), text.description.as_str()]);
    std::iter::once(spread.name.as_str()).chain(of_all_languages)
}

/// What spreads are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpreadOrderField {
    /// How many readings used them.
    UsageCount,
    /// The stable name.
    Name,
    /// How many cards they take.
    CardCount,
    /// When they were made.
    CreatedAt,
}

/// How spreads are ordered. What is equal is ordered by id, the smallest first, whatever the
/// direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpreadOrder {
    /// By what.
    pub field: SpreadOrderField,
    /// Which end comes first.
    pub order: Order,
}

/// A spread's place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadKey {
    /// What the list is ordered by.
    pub value: SpreadValue,
    /// Key of the row.
    pub id: Uuid,
}

/// What a list of spreads is ordered by. In one list all are of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpreadValue {
    /// How many readings used it.
    UsageCount(i64),
    /// The stable name.
    Name(String),
    /// How many cards it takes.
    CardCount(usize),
    /// When it was made.
    CreatedAt(DateTime<Utc>),
}

impl SpreadOrder {
    /// The place of a spread that so many readings used.
    #[must_use]
    pub fn key_of(self, spread: &Spread, usage_count: i64) -> SpreadKey {
        let value = match self.field {
            SpreadOrderField::UsageCount => SpreadValue::UsageCount(usage_count),
            SpreadOrderField::Name => SpreadValue::Name(spread.name.clone()),
            SpreadOrderField::CardCount => SpreadValue::CardCount(spread.card_count()),
            SpreadOrderField::CreatedAt => SpreadValue::CreatedAt(spread.created_at),
        };
        SpreadKey { value, id: spread.id }
    }

    /// Whether a place is one of a list in this order.
    #[must_use]
    pub const fn knows(self, key: &SpreadKey) -> bool {
        matches!(
            (self.field, &key.value),
            (SpreadOrderField::UsageCount, SpreadValue::UsageCount(_))
                | (SpreadOrderField::Name, SpreadValue::Name(_))
                | (SpreadOrderField::CardCount, SpreadValue::CardCount(_))
                | (SpreadOrderField::CreatedAt, SpreadValue::CreatedAt(_))
        )
    }

    /// Which of two places in this order comes first.
    #[must_use]
    pub fn compare(self, one: &SpreadKey, other: &SpreadKey) -> Ordering {
        self.order.of(one.value.cmp(&other.value)).then(one.id.cmp(&other.id))
    }
}
