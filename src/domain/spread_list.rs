//! Filter and order of lists of spreads.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::faction::FactionKey;
use super::page::Order;
use super::range::Range;
use super::search::Search;
use super::spread::{Difficulty, Spread, SpreadType};

/// Filter of spreads. All conditions apply; `None` matches everything, and a list matches any of its
/// items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpreadFilter {
    /// Spread types.
    pub spread_types: Option<Vec<SpreadType>>,
    /// Difficulties.
    pub difficulties: Option<Vec<Difficulty>>,
    /// Number of cards.
    pub card_count: Range<i32>,
    /// Faction that prefers the spread.
    pub faction: Option<FactionKey>,
    /// Premium spreads only, or others only.
    pub is_premium: Option<bool>,
    /// Includes spreads that are not available for new readings.
    pub includes_inactive: bool,
    /// Search term in the name, or in a display name or description of any language.
    pub search: Option<Search>,
}

impl SpreadFilter {
    /// `true` if the spread meets all conditions.
    #[must_use]
    pub fn matches(&self, spread: &Spread) -> bool {
        (self.includes_inactive || spread.is_active)
            && self.spread_types.as_ref().is_none_or(|types| types.contains(&spread.spread_type))
            && self.difficulties.as_ref().is_none_or(|levels| levels.contains(&spread.difficulty))
            && self.card_count.contains(&i32::try_from(spread.card_count()).unwrap_or(i32::MAX))
            && self.faction.is_none_or(|faction| spread.faction == Some(faction))
            && self.is_premium.is_none_or(|is_premium| spread.is_premium == is_premium)
            && self.search.as_ref().is_none_or(|search| search.is_in(searched_texts(spread)))
    }
}

fn searched_texts(spread: &Spread) -> impl Iterator<Item = &str> {
    let of_all_languages = spread
        .texts
        .iter()
        .flat_map(|(_, text)| [text.display_name.as_str(), text.description.as_str()]);
    std::iter::once(spread.name.as_str()).chain(of_all_languages)
}

/// Sort field of spreads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpreadOrderField {
    /// Number of readings.
    UsageCount,
    /// Stable name.
    Name,
    /// Number of cards.
    CardCount,
    /// Creation time.
    CreatedAt,
}

/// Order of spreads. Ties are ordered by id, ascending in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpreadOrder {
    /// Sort field.
    pub field: SpreadOrderField,
    /// Ascending or descending.
    pub order: Order,
}

/// Sort key of a spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadKey {
    /// Value of the sort field.
    pub value: SpreadValue,
    /// Id of the spread, the tie-breaker.
    pub id: Uuid,
}

/// Value of the sort field of a spread. All keys of one list have the same variant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpreadValue {
    /// Number of readings.
    UsageCount(i64),
    /// Stable name.
    Name(String),
    /// Number of cards.
    CardCount(usize),
    /// Creation time.
    CreatedAt(DateTime<Utc>),
}

impl SpreadOrder {
    /// Sort key of a spread with that number of readings.
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

    /// `true` if the key has a value of this order's sort field.
    #[must_use]
    pub const fn is_key_of_order(self, key: &SpreadKey) -> bool {
        matches!(
            (self.field, &key.value),
            (SpreadOrderField::UsageCount, SpreadValue::UsageCount(_))
                | (SpreadOrderField::Name, SpreadValue::Name(_))
                | (SpreadOrderField::CardCount, SpreadValue::CardCount(_))
                | (SpreadOrderField::CreatedAt, SpreadValue::CreatedAt(_))
        )
    }

    /// Comparison of two keys in this order.
    #[must_use]
    pub fn compare(self, one: &SpreadKey, other: &SpreadKey) -> Ordering {
        self.order.of(one.value.cmp(&other.value)).then(one.id.cmp(&other.id))
    }
}
