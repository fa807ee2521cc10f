//! Keys of cached values. A key is built from typed parts here and nowhere else, and carries its cache policy and the
//! type of its value. It contains everything that the value depends on: the owner and every argument.

use std::fmt::Display;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::policy::CachePolicy;
use super::redis_tier::{self, EnvelopeHeader};
use crate::domain::card::{Card, CardType};
use crate::domain::public_counts::PublicCounts;
use crate::domain::reading::Karma;
use crate::domain::spread::{Spread, SpreadType};
use crate::domain::statistics::{
    CardTally, Minute, PeriodStats, RatingTally, ReadingPatterns, Summary, Tally, TimeWindow,
    UserReadingStats, UtcOffset,
};
use crate::domain::voice::VoiceKey;

/// Key of a value of type `V`.
#[derive(Debug)]
pub struct Key<V> {
    policy: CachePolicy,
    text: String,
    codec: Option<Codec<V>>,
}

/// Encoding of a value in Redis.
#[derive(Debug)]
pub struct Codec<V> {
    /// `None` if the value cannot be encoded.
    pub(super) encode: fn(&EnvelopeHeader, &V) -> Option<Vec<u8>>,
    /// `None` if the bytes are no such value.
    pub(super) decode: fn(&[u8]) -> Option<(EnvelopeHeader, V)>,
}

impl<V: Serialize + for<'de> Deserialize<'de>> Key<V> {
    /// Key of a value that servers share through Redis.
    fn shared(policy: CachePolicy, text: String) -> Self {
        Self {
            policy,
            text,
            codec: Some(Codec { encode: redis_tier::encode, decode: redis_tier::decode }),
        }
    }
}

impl<V> Key<V> {
    /// Key of a value that refers to memory of this process.
    const fn local(policy: CachePolicy, text: String) -> Self {
        Self { policy, text, codec: None }
    }

    /// Encoding in Redis, if servers share the value.
    pub(super) fn codec(&self) -> Option<&Codec<V>> {
        self.codec.as_ref()
    }

    /// Cache policy.
    #[must_use]
    pub fn policy(&self) -> CachePolicy {
        self.policy
    }

    /// The key as text, which patterns match.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn analytics<V: Serialize + for<'de> Deserialize<'de>>(user: Uuid, chart: impl Display) -> Key<V> {
    Key::shared(CachePolicy::Analytics, format!("analytics:{user}:{chart}"))
}

/// Times are numbers, because a part of a key has no separator.
fn time(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.timestamp_micros().to_string()).unwrap_or_default()
}

fn range(window: TimeWindow) -> String {
    format!("{}..{}", time(window.from), time(window.to))
}

/// Totals of a user's readings within a range, at a minute.
#[must_use]
pub fn analytics_summary(user: Uuid, window: TimeWindow, minute: Minute) -> Key<Summary<2>> {
    analytics(user, format_args!("summary({},{minute})", range(window)))
}

/// Number of a user's readings on each of the last `days` dates up to `today`, in the user's time zone. Dates
/// without readings are missing.
#[must_use]
pub fn analytics_frequency(
    user: Uuid,
    offset: UtcOffset,
    today: NaiveDate,
    days: u16,
) -> Key<Vec<(NaiveDate, i64)>> {
    analytics(user, format_args!("frequency({days},{today},{offset})"))
}

/// Number of a user's readings within a range for each kind of spread.
#[must_use]
pub fn analytics_spreads(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<SpreadType>>> {
    analytics(user, format_args!("spreads({})", range(window)))
}

/// Number of a user's readings within a range for each voice.
#[must_use]
pub fn analytics_voices(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<VoiceKey>>> {
    analytics(user, format_args!("voices({})", range(window)))
}

/// Number of a user's readings within a range for each karma context.
#[must_use]
pub fn analytics_karma(user: Uuid, window: TimeWindow) -> Key<Vec<Tally<Karma>>> {
    analytics(user, format_args!("karma({})", range(window)))
}

/// Ratings of a user's readings of the last days, at a minute.
#[must_use]
pub fn analytics_satisfaction(user: Uuid, days: u16, minute: Minute) -> Key<Vec<RatingTally>> {
    analytics(user, format_args!("satisfaction({days},{minute})"))
}

/// Distribution of a user's readings over weekdays and hours, in the user's time zone.
#[must_use]
pub fn analytics_patterns(user: Uuid, offset: UtcOffset) -> Key<ReadingPatterns> {
    analytics(user, format_args!("patterns({offset})"))
}

/// Number of times that a user drew each card.
#[must_use]
pub fn analytics_cards(user: Uuid) -> Key<Vec<CardTally>> {
    analytics(user, "cards")
}

/// Totals of a user's readings of the last days, and of as many days before them, at a minute.
#[must_use]
pub fn analytics_comparison(user: Uuid, days: u16, minute: Minute) -> Key<[PeriodStats; 2]> {
    analytics(user, format_args!("comparison({days},{minute})"))
}

/// Totals of a user's readings in the user's time zone, at a minute.
#[must_use]
pub fn user_stats(user: Uuid, offset: UtcOffset, minute: Minute) -> Key<UserReadingStats> {
    Key::shared(CachePolicy::UserStats, format!("user:{user}:stats({offset},{minute})"))
}

/// Cards of a type, in the order of the deck; all cards without a type.
#[must_use]
pub fn cards_list(card_type: Option<CardType>) -> Key<Vec<Arc<Card>>> {
    let card_type = card_type.map_or("all", |card_type| card_type.as_str());
    Key::local(CachePolicy::CardsList, format!("cards:list:{card_type}"))
}

/// The spreads of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpreadSelection {
    /// Spreads that are offered.
    Active,
    /// All spreads, inactive ones included.
    All,
}

/// Active spreads, or all spreads.
#[must_use]
pub fn spreads_list(selection: SpreadSelection) -> Key<Vec<Arc<Spread>>> {
    let which = match selection {
        SpreadSelection::Active => "active",
        SpreadSelection::All => "all",
    };
    Key::local(CachePolicy::SpreadsList, format!("spreads:list:{which}"))
}

/// Counts of the landing page.
#[must_use]
pub fn public_counts() -> Key<PublicCounts> {
    Key::shared(CachePolicy::PublicData, "public:stats:landing".to_owned())
}
