//! Statistics of a user's readings: types, and the rules that are not sums.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Datelike, Days, DurationRound, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::enums::text_enum;
use super::reading::Karma;
use super::spread::SpreadType;
use super::voice::VoiceKey;

/// Minimum number of ratings of a trend.
const RATINGS_OF_A_TREND: i64 = 4;
/// Minimum difference of the means of both halves for a trend, in tenths.
const TENTHS_OF_A_TREND: i64 = 3;

text_enum! {
    /// A day of the week.
    Weekday {
        /// Monday.
        Monday = "monday",
        /// Tuesday.
        Tuesday = "tuesday",
        /// Wednesday.
        Wednesday = "wednesday",
        /// Thursday.
        Thursday = "thursday",
        /// Friday.
        Friday = "friday",
        /// Saturday.
        Saturday = "saturday",
        /// Sunday.
        Sunday = "sunday",
    }
}

text_enum! {
    /// Trend of satisfaction ratings.
    SatisfactionTrend {
        /// Improving ratings.
        Increasing = "increasing",
        /// Declining ratings.
        Decreasing = "decreasing",
        /// No clear trend.
        Stable = "stable",
    }
}

text_enum! {
    /// Direction of a change between two periods.
    ChangeDirection {
        /// More.
        Up = "up",
        /// Less.
        Down = "down",
        /// Equal.
        Same = "same",
    }
}

impl ChangeDirection {
    /// Direction of the change from `previous` to `current`.
    #[must_use]
    pub fn from_to(previous: i64, current: i64) -> Self {
        match current.cmp(&previous) {
            std::cmp::Ordering::Greater => Self::Up,
            std::cmp::Ordering::Less => Self::Down,
            std::cmp::Ordering::Equal => Self::Same,
        }
    }
}

/// Offset of a user's clock from UTC, in minutes, which determines where their days start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UtcOffset(pub i32);

/// Minutes with a sign.
impl fmt::Display for UtcOffset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:+}", self.0)
    }
}

impl UtcOffset {
    fn ahead(self) -> TimeDelta {
        TimeDelta::minutes(self.0.into())
    }

    /// Local date of a time.
    #[must_use]
    pub fn date_of(self, time: DateTime<Utc>) -> NaiveDate {
        (time + self.ahead()).date_naive()
    }

    /// Start of a local date.
    #[must_use]
    pub fn start_of(self, date: NaiveDate) -> DateTime<Utc> {
        date.and_time(NaiveTime::MIN).and_utc() - self.ahead()
    }

    /// Window from the start of `first` to the start of `end`.
    #[must_use]
    pub fn between(self, first: NaiveDate, end: NaiveDate) -> TimeWindow {
        TimeWindow { from: Some(self.start_of(first)), to: Some(self.start_of(end)) }
    }

    /// Local week of a time, from Monday.
    #[must_use]
    pub fn week_of(self, time: DateTime<Utc>) -> TimeWindow {
        let date = self.date_of(time);
        let monday = date - Days::new(date.weekday().num_days_from_monday().into());
        self.between(monday, monday + Days::new(7))
    }

    /// Local calendar month of a time.
    #[must_use]
    pub fn month_of(self, time: DateTime<Utc>) -> TimeWindow {
        let date = self.date_of(time);
        let first = date - Days::new(date.day0().into());
        self.between(first, first + chrono::Months::new(1))
    }
}

/// The last `days` dates in ascending order, today included.
#[must_use]
pub fn dates_until(today: NaiveDate, days: u16) -> Vec<NaiveDate> {
    (0..days).rev().map(|before| today - Days::new(before.into())).collect()
}

/// JSON lists for arrays of generic length, which serde does not support.
mod numbers {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        numbers: &[i64; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        numbers.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[i64; N], D::Error> {
        let numbers = Vec::deserialize(deserializer)?;
        let count = numbers.len();
        numbers.try_into().map_err(|_| D::Error::invalid_length(count, &"another count of numbers"))
    }
}

/// Time window `[from, to)`; `None` is unbounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TimeWindow {
    /// Start, included.
    pub from: Option<DateTime<Utc>>,
    /// End, excluded.
    pub to: Option<DateTime<Utc>>,
}

impl TimeWindow {
    /// Window of `days` times 24 hours before `end`.
    #[must_use]
    pub fn before(end: DateTime<Utc>, days: u16) -> Self {
        Self { from: Some(end - TimeDelta::days(days.into())), to: Some(end) }
    }
}

/// Two periods, one right after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjacentPeriods {
    /// Start of the previous period.
    pub previous_start: DateTime<Utc>,
    /// Start of the current period, the end of the previous one.
    pub current_start: DateTime<Utc>,
    /// End of the current period.
    pub end: DateTime<Utc>,
}

impl AdjacentPeriods {
    /// Periods of `days` times 24 hours each before `end`.
    #[must_use]
    pub fn before(end: DateTime<Utc>, days: u16) -> Self {
        let length = TimeDelta::days(days.into());
        let current_start = end - length;
        Self { previous_start: current_start - length, current_start, end }
    }

    /// The earlier period.
    #[must_use]
    pub fn previous(self) -> Range<DateTime<Utc>> {
        self.previous_start..self.current_start
    }

    /// The later period.
    #[must_use]
    pub fn current(self) -> Range<DateTime<Utc>> {
        self.current_start..self.end
    }
}

/// A minute of the clock. Rolling windows end with the minute of the request: within a minute they are
/// equal for all requests, so that they can be cached, and include all earlier readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Minute(DateTime<Utc>);

impl Minute {
    /// Minute that contains a time.
    #[must_use]
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(time.duration_trunc(TimeDelta::minutes(1)).unwrap_or(time))
    }

    /// Start of the minute. It has the same date as the rest of the minute at every offset.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.0
    }

    /// End of the minute.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        self.0 + TimeDelta::minutes(1)
    }
}

/// Seconds since 1970.
impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.timestamp())
    }
}

/// Usage count of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally<K> {
    /// Counted key.
    pub key: K,
    /// Number of uses.
    pub count: i64,
    /// Time of the last use.
    pub last_used_at: DateTime<Utc>,
}

/// Sorts by count descending, then most recently used first, then by name.
pub fn sort_by_use<K: Copy, N: Ord>(tallies: &mut [Tally<K>], name: impl Fn(K) -> N) {
    tallies.sort_by_cached_key(|tally| {
        (Reverse(tally.count), Reverse(tally.last_used_at), name(tally.key))
    });
}

/// The most used key.
#[must_use]
pub fn most_used<K: Copy, N: Ord>(mut tallies: Vec<Tally<K>>, name: impl Fn(K) -> N) -> Option<K> {
    sort_by_use(&mut tallies, name);
    tallies.first().map(|tally| tally.key)
}

/// Number of draws of a card by a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardTally {
    /// Card id.
    pub card: Uuid,
    /// Number of upright draws.
    pub upright: i32,
    /// Number of reversed draws.
    pub reversed: i32,
    /// Time of the last draw.
    pub last_drawn_at: DateTime<Utc>,
}

/// Number of readings with a rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingTally {
    /// Satisfaction rating, 1 to 5.
    pub rating: i16,
    /// `true` for the later half of all rated readings, the middle one of an odd number included.
    pub is_late: bool,
    /// Number of readings.
    pub readings: i64,
}

/// Statistics of the readings of a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodStats {
    /// Number of readings.
    pub readings: i64,
    /// Satisfaction ratings.
    pub ratings: Ratings,
}

/// Statistics of all readings of a user.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UserReadingStats {
    /// Summary, with the counts of this month, this week and the last 7 days.
    pub summary: Summary<3>,
    /// Number of drawn cards.
    pub draws: i64,
    /// Consecutive dates with a reading, up to today or yesterday.
    pub current_streak_days: i64,
}

impl UserReadingStats {
    /// Statistics without readings.
    #[must_use]
    pub fn none() -> Self {
        Self { summary: Summary::of(&[]), draws: 0, current_streak_days: 0 }
    }
}

/// Readings of a user with the same spread, voice and karma context, counted in `N` windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingGroup<const N: usize> {
    /// Owner.
    pub user: Uuid,
    /// Spread id.
    pub spread: Uuid,
    /// Kind of the spread.
    pub spread_type: SpreadType,
    /// Voice.
    pub voice: VoiceKey,
    /// Karma context.
    pub karma: Karma,
    /// Number of readings.
    pub readings: i64,
    /// Creation time of the newest reading.
    pub last_made_at: DateTime<Utc>,
    /// Satisfaction ratings.
    pub ratings: Ratings,
    /// Number of readings within each window.
    pub within: [i64; N],
}

/// Sum and number of ratings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratings {
    /// Sum of all ratings.
    pub sum: i64,
    /// Number of ratings.
    pub count: i64,
}

impl Ratings {
    /// Adds other ratings.
    pub fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Mean to one decimal; `None` without ratings.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        mean(self.sum, self.count)
    }
}

/// Mean to one decimal; `None` if `count` is 0.
#[must_use]
pub fn mean(sum: i64, count: i64) -> Option<f64> {
    // Rounded in whole numbers, because 0.05 has no exact binary representation.
    (count > 0).then(|| number((20 * sum + count) / (2 * count)) / 10.0)
}

/// Percentage to one decimal; 0 if `whole` is 0.
#[must_use]
pub fn percent(part: i64, whole: i64) -> f64 {
    mean(part * 100, whole).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far fewer than 2^52")]
const fn number(count: i64) -> f64 {
    count as f64
}

/// Summary of a user's readings, with counts in `N` windows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary<const N: usize> {
    /// Number of readings.
    pub readings: i64,
    /// Number of readings within each window.
    #[serde(with = "numbers")]
    pub within: [i64; N],
    /// Satisfaction ratings.
    pub ratings: Ratings,
    /// Most used voice.
    pub favorite_voice: Option<VoiceKey>,
    /// Id of the most used spread.
    pub favorite_spread: Option<Uuid>,
    /// Number of readings by karma context, in the order of [`Karma::ALL`].
    pub karma: [i64; Karma::ALL.len()],
}

impl<const N: usize> Summary<N> {
    /// Summary of the groups of one user.
    #[must_use]
    pub fn of(groups: &[ReadingGroup<N>]) -> Self {
        let mut within = [0; N];
        let mut ratings = Ratings::default();
        let mut karma = [0; Karma::ALL.len()];
        for group in groups {
            for (all, some) in within.iter_mut().zip(group.within) {
                *all += some;
            }
            ratings.add(group.ratings);
            for (all, key) in karma.iter_mut().zip(Karma::ALL) {
                *all += if *key == group.karma { group.readings } else { 0 };
            }
        }
        Self {
            readings: groups.iter().map(|group| group.readings).sum(),
            within,
            ratings,
            favorite_voice: most_used(tallies(groups, |group| group.voice), VoiceKey::as_str),
            favorite_spread: most_used(tallies(groups, |group| group.spread), |spread| spread),
            karma,
        }
    }
}

/// Uses of each key in the groups, in the order of the keys.
#[must_use]
pub fn tallies<K: Copy + Ord, const N: usize>(
    groups: &[ReadingGroup<N>],
    key: impl Fn(&ReadingGroup<N>) -> K,
) -> Vec<Tally<K>> {
    let mut by_key: BTreeMap<K, Tally<K>> = BTreeMap::new();
    for group in groups {
        let (key, last_used_at) = (key(group), group.last_made_at);
        let tally = by_key.entry(key).or_insert(Tally { key, count: 0, last_used_at });
        tally.count += group.readings;
        tally.last_used_at = tally.last_used_at.max(last_used_at);
    }
    by_key.into_values().collect()
}

/// Consecutive dates with a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// Last date.
    pub last_date: NaiveDate,
    /// Number of days.
    pub days: i64,
}

impl Streak {
    /// Number of days of a current streak, whose last date is today or yesterday; otherwise 0.
    #[must_use]
    pub fn days_as_of(self, today: NaiveDate) -> i64 {
        if self.last_date + Days::new(1) >= today { self.days } else { 0 }
    }
}

/// Trend from the earlier half of ratings to the later one; `None` with too few ratings.
#[must_use]
pub fn trend(early: Ratings, late: Ratings) -> Option<SatisfactionTrend> {
    if early.count + late.count < RATINGS_OF_A_TREND {
        return None;
    }
    // Difference of the means times both counts, in whole numbers, because 0.3 has no exact binary
    // representation.
    let difference = 10 * (late.sum * early.count - early.sum * late.count);
    let least = TENTHS_OF_A_TREND * early.count * late.count;
    Some(if difference > least {
        SatisfactionTrend::Increasing
    } else if difference < -least {
        SatisfactionTrend::Decreasing
    } else {
        SatisfactionTrend::Stable
    })
}

/// Readings per week, to one decimal, from the first to the last reading; less than a week counts as one
/// week. 0 for a single reading.
#[must_use]
pub fn readings_per_week(readings: i64, first: DateTime<Utc>, last: DateTime<Utc>) -> f64 {
    if readings <= 1 {
        return 0.0;
    }
    let weeks = number((last - first).num_seconds()) / number(TimeDelta::weeks(1).num_seconds());
    (number(readings) / weeks.max(1.0) * 10.0).round() / 10.0
}

/// Temporal patterns of a user's readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadingPatterns {
    /// Weekday with the most readings.
    pub busiest_weekday: Option<Weekday>,
    /// Hour of the day with the most readings, 0 to 23.
    pub busiest_hour: Option<i32>,
    /// Readings per week.
    pub readings_per_week: f64,
    /// Maximum number of consecutive dates with a reading.
    pub longest_streak_days: i64,
}
