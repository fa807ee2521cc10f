//! The keys of what is kept. A key is made of typed parts here, knows its row of the table and the type
//! of its value; no other code puts one together. What a value depends on is in its key: whose it is,
//! and every argument.

use std::fmt::Display;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::Row;
use super::shared::{self, Stamp};
use crate::domain::card::{Card, CardType};
use crate::domain::public_counts::PublicCounts;
use crate::domain::reading::Karma;
use crate::domain::spread::{Spread, SpreadType};
use crate::domain::statistics::{
    CardTally, Minute, PeriodStats, RatingTally, ReadingPatterns, Summary, Tally, TimeWindow,
    UserReadingStats, UtcOffset,
};
use crate::domain::voice::VoiceKey;

/// What stands between the parts of a key.
pub(super) const SEPARATOR: char = ':';

/// The key of a value of that type.
#[derive(Debug)]
pub struct Key<V> {
    row: Row,
    text: String,
    codec: Option<Codec<V>>,
}

/// How a value is written for other servers, and read.
#[derive(Debug)]
pub struct Codec<V> {
    /// With what lies beside it.
    pub(super) encode: fn(&Stamp, &V) -> Option<Vec<u8>>,
    /// Nothing if it is no such value.
    pub(super) decode: fn(&[u8]) -> Option<(Stamp, V)>,
}

impl<V: Serialize + for<'de> Deserialize<'de>> Key<V> {
    /// Of a value that other servers need not compute again.
    fn shared(row: Row, text: String) -> Self {
        Self { row, text, codec: Some(Codec { encode: shared::encode, decode: shared::decode }) }
    }
}

impl<V> Key<V> {
    /// Of a value that refers to what this process has in memory.
    const fn of_process(row: Row, text: String) -> Self {
        Self { row, text, codec: None }
    }

    /// How it is shared with other servers, if it is.
    pub(super) fn codec(&self) -> Option<&Codec<V>> {
        self.codec.as_ref()
    }

    /// Its row of the table.
    #[must_use]
    pub fn row(&self) -> Row {
        self.row
    }

    /// As operators see it, and patterns find it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn analytics<V: Serialize + for<'de> Deserialize<'de>>(user: Uuid, chart: impl Display) -> Key<V> {
    Key::shared(Row::Analytics, format!("analytics:{user}:{chart}"))
}

/// Within a part of a key there is no separator, so times are numbers.
fn time(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.timestamp_micros().to_string()).unwrap_or_default()
}

fn range(window: TimeWindow) -> String {
    format!("{}..{}", time(window.from), time(window.to))
}

/// What a user's readings within a range come to, as of a minute.
#[must_use]
pub fn analytics_summary(user: Uuid, window: TimeWindow, minute: Minute) -> Key<Summary<2>> {
    analytics(user, format_args!("summary({},{minute})", range(window)))
}

/// How many readings a user made on each of so many dates up to that one, of their clock. Dates without
/// any are not there.
#[must_use]
pub fn analytics_frequency(
    user: Uuid,
    offset: UtcOffset,
    (today, days): (NaiveDate, u16),
) -> Key<Vec<(NaiveDate, i64)>> {
    analytics(user, format_args!("frequency({days},{today},{offset})"))
}

/// How many of a user's readings within a range used each kind of spread.
#[must_use]
pub fn analytics_spreads(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<SpreadType>>> {
    analytics(user, format_args!("spreads({})", range(window)))
}

/// How many of a user's readings within a range spoke in each voice.
#[must_use]
pub fn analytics_voices(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<VoiceKey>>> {
    analytics(user, format_args!("voices({})", range(window)))
}

/// How many of a user's readings within a range have each karma context.
#[must_use]
pub fn analytics_karma(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<Karma>>> {
    analytics(user, format_args!("karma({})", range(window)))
}

/// How satisfying a user's readings of the last days were, as of a minute.
#[must_use]
pub fn analytics_satisfaction(user: Uuid, days: u16, minute: Minute) -> Key<Vec<RatingTally>> {
    analytics(user, format_args!("satisfaction({days},{minute})"))
}

/// When a user's readings are made, by their clock.
#[must_use]
pub fn analytics_patterns(user: Uuid, offset: UtcOffset) -> Key<ReadingPatterns> {
    analytics(user, format_args!("patterns({offset})"))
}

/// How often a user drew each card.
#[must_use]
pub fn analytics_cards(user: Uuid) -> Key<Vec<CardTally>> {
    analytics(user, "cards")
}

/// A user's readings of the last days, and of as many days before them, as of a minute.
#[must_use]
pub fn analytics_comparison(user: Uuid, days: u16, minute: Minute) -> Key<[PeriodStats; 2]> {
    analytics(user, format_args!("comparison({days},{minute})"))
}

/// What a user's readings come to by their clock, as of a minute.
#[must_use]
pub fn user_stats(user: Uuid, offset: UtcOffset, minute: Minute) -> Key<UserReadingStats> {
    Key::shared(Row::UserStats, format!("user:{user}:stats({offset},{minute})"))
}

/// The cards of a type, in the order of the deck; all of them where none is named.
#[must_use]
pub fn cards_list(card_type: Option<CardType>) -> Key<Vec<Arc<Card>>> {
    let card_type = card_type.map_or("all", |card_type| card_type.as_str());
    Key::of_process(Row::CardsList, format!("cards:list:{card_type}"))
}

/// The spreads that are offered, or all.
#[must_use]
pub fn spreads_list(includes_inactive: bool) -> Key<Vec<Arc<Spread>>> {
    let which = if includes_inactive { "all" } else { "active" };
    Key::of_process(Row::SpreadsList, format!("spreads:list:{which}"))
}

/// What the landing page counts.
#[must_use]
pub fn public_counts() -> Key<PublicCounts> {
    Key::shared(Row::PublicData, "public:stats:landing".to_owned())
}
