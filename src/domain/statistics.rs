//! Figures of somebody's readings: what is counted, and the rules that are no sums.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, Days, DurationRound, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reading::Karma;
use super::voice::VoiceKey;
use super::words::words;

/// How many ratings a trend takes at least.
const RATINGS_OF_A_TREND: i64 = 4;
/// By how many tenths the mean of one half must differ from the other's to be a trend.
const TENTHS_OF_A_TREND: i64 = 3;

words! {
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

words! {
    /// Whether readings satisfy more and more.
    SatisfactionTrend {
        /// They do.
        Increasing = "increasing",
        /// Less and less.
        Decreasing = "decreasing",
        /// Neither.
        Stable = "stable",
    }
}

words! {
    /// Whether there is more or less than before.
    ChangeDirection {
        /// More.
        Up = "up",
        /// Less.
        Down = "down",
        /// As much.
        Same = "same",
    }
}

impl ChangeDirection {
    /// From the one number to the other.
    #[must_use]
    pub fn from_to(previous: i64, current: i64) -> Self {
        match current.cmp(&previous) {
            std::cmp::Ordering::Greater => Self::Up,
            std::cmp::Ordering::Less => Self::Down,
            std::cmp::Ordering::Equal => Self::Same,
        }
    }
}

/// How many minutes somebody's clock is ahead of UTC: where their days begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UtcOffset(pub i32);

/// In minutes, with a sign.
impl fmt::Display for UtcOffset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:+}", self.0)
    }
}

impl UtcOffset {
    fn ahead(self) -> TimeDelta {
        TimeDelta::minutes(self.0.into())
    }

    /// The date on that clock.
    #[must_use]
    pub fn date_of(self, time: DateTime<Utc>) -> NaiveDate {
        (time + self.ahead()).date_naive()
    }

    /// When that date begins there.
    #[must_use]
    pub fn start_of(self, date: NaiveDate) -> DateTime<Utc> {
        date.and_time(NaiveTime::MIN).and_utc() - self.ahead()
    }

    /// From the start of the one date to the start of the other.
    #[must_use]
    pub fn between(self, first: NaiveDate, end: NaiveDate) -> Window {
        Window { from: Some(self.start_of(first)), to: Some(self.start_of(end)) }
    }

    /// The week of a time, from Monday.
    #[must_use]
    pub fn week_of(self, time: DateTime<Utc>) -> Window {
        let date = self.date_of(time);
        let monday = date - Days::new(date.weekday().num_days_from_monday().into());
        self.between(monday, monday + Days::new(7))
    }

    /// The calendar month of a time.
    #[must_use]
    pub fn month_of(self, time: DateTime<Utc>) -> Window {
        let date = self.date_of(time);
        let first = date - Days::new(date.day0().into());
        self.between(first, first + chrono::Months::new(1))
    }
}

/// So many dates in their order, of which today is the last.
#[must_use]
pub fn dates_until(today: NaiveDate, days: u16) -> Vec<NaiveDate> {
    (0..days).rev().map(|before| today - Days::new(before.into())).collect()
}

/// So many numbers, in JSON as a list: serde knows no array whose length is a parameter.
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

/// A time span, `[from, to)`. `None` is without end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Option<DateTime<Utc>>,
    /// Its end.
    pub to: Option<DateTime<Utc>>,
}

impl Window {
    /// So many times 24 hours before a time.
    #[must_use]
    pub fn before(end: DateTime<Utc>, days: u16) -> Self {
        Self { from: Some(end - TimeDelta::days(days.into())), to: Some(end) }
    }
}

/// A minute of the clock. Windows that roll on with the time end where the minute of the question ends:
/// within a minute they are the same for everybody who asks, and hold all that was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Minute(DateTime<Utc>);

impl Minute {
    /// The minute of a time.
    #[must_use]
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(time.duration_trunc(TimeDelta::minutes(1)).unwrap_or(time))
    }

    /// Its first moment. It is of the same day as the rest of it on every clock.
    #[must_use]
    pub fn start(self) -> DateTime<Utc> {
        self.0
    }

    /// When it is over.
    #[must_use]
    pub fn end(self) -> DateTime<Utc> {
        self.0 + TimeDelta::minutes(1)
    }
}

/// As a number, of seconds since 1970.
impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.timestamp())
    }
}

/// How often something was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally<K> {
    /// What.
    pub key: K,
    /// How often.
    pub count: i64,
    /// When last.
    pub last_used_at: DateTime<Utc>,
}

/// The most used first, of those the last used, of those by name.
pub fn sort_by_use<K: Copy, N: Ord>(tallies: &mut [Tally<K>], name: impl Fn(K) -> N) {
    tallies.sort_by_cached_key(|tally| {
        (Reverse(tally.count), Reverse(tally.last_used_at), name(tally.key))
    });
}

/// What is used most.
#[must_use]
pub fn most_used<K: Copy, N: Ord>(mut tallies: Vec<Tally<K>>, name: impl Fn(K) -> N) -> Option<K> {
    sort_by_use(&mut tallies, name);
    tallies.first().map(|tally| tally.key)
}

/// How often a user drew a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardTally {
    /// Which card.
    pub card: Uuid,
    /// How often upright.
    pub upright: i32,
    /// How often upside down.
    pub reversed: i32,
    /// When last.
    pub last_drawn_at: DateTime<Utc>,
}

/// How many readings have a rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingTally {
    /// The rating.
    pub rating: i16,
    /// Whether they are of the later half of all rated ones. Of an odd number the middle one is.
    pub is_late: bool,
    /// How many.
    pub readings: i64,
}

/// What the readings of a time come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodFigures {
    /// How many.
    pub readings: i64,
    /// How satisfying.
    pub ratings: Ratings,
}

/// What a user's readings come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct UserFigures {
    /// All of them, and how many were made in this month, this week and the last 7 days.
    pub summary: Summary<3>,
    /// Cards drawn.
    pub draws: i64,
    /// Consecutive dates with a reading, up to today or yesterday.
    pub current_streak_days: i64,
}

impl UserFigures {
    /// Of no readings.
    #[must_use]
    pub fn none() -> Self {
        Self { summary: Summary::of(&[]), draws: 0, current_streak_days: 0 }
    }
}

/// Readings of a user with the same spread, voice and karma context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingGroup<const N: usize> {
    /// Whose.
    pub user: Uuid,
    /// With which spread.
    pub spread: Uuid,
    /// In which voice.
    pub voice: VoiceKey,
    /// In which tone.
    pub karma: Karma,
    /// How many.
    pub readings: i64,
    /// When the newest was made.
    pub last_made_at: DateTime<Utc>,
    /// How satisfying they were.
    pub ratings: Ratings,
    /// How many were made within several windows.
    pub within: [i64; N],
}

/// A sum of ratings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ratings {
    /// Of all.
    pub sum: i64,
    /// How many.
    pub count: i64,
}

impl Ratings {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// The mean to one decimal; `None` of nothing.
    #[must_use]
    pub fn mean(self) -> Option<f64> {
        mean(self.sum, self.count)
    }
}

/// A mean to one decimal; `None` of nothing.
#[must_use]
pub fn mean(sum: i64, count: i64) -> Option<f64> {
    // Rounded in whole numbers: 0.05 is none for a computer.
    (count > 0).then(|| number((20 * sum + count) / (2 * count)) / 10.0)
}

/// So many percent, to one decimal; 0 of nothing.
#[must_use]
pub fn percent(part: i64, whole: i64) -> f64 {
    mean(part * 100, whole).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far fewer than 2^52")]
const fn number(count: i64) -> f64 {
    count as f64
}

/// What all readings of a user come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary<const N: usize> {
    /// How many.
    pub readings: i64,
    /// How many were made within several windows.
    #[serde(with = "numbers")]
    pub within: [i64; N],
    /// How satisfying they were.
    pub ratings: Ratings,
    /// The voice used most.
    pub favorite_voice: Option<VoiceKey>,
    /// The spread used most.
    pub favorite_spread: Option<Uuid>,
    /// How many in each tone, in the order of [`Karma::ALL`].
    pub karma: [i64; Karma::ALL.len()],
}

impl<const N: usize> Summary<N> {
    /// Of a user's readings.
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

fn tallies<K: Copy + Ord, const N: usize>(
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

/// Consecutive dates with a reading, of which none is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// The last of them.
    pub last_date: NaiveDate,
    /// How many.
    pub days: i64,
}

impl Streak {
    /// How many days it has come to: it goes on today if its last date was yesterday.
    #[must_use]
    pub fn days_as_of(self, today: NaiveDate) -> i64 {
        if self.last_date + Days::new(1) >= today { self.days } else { 0 }
    }
}

/// Whether the later half of ratings is better than the earlier one; `None` of too few.
#[must_use]
pub fn trend(early: Ratings, late: Ratings) -> Option<SatisfactionTrend> {
    if early.count + late.count < RATINGS_OF_A_TREND {
        return None;
    }
    // The difference of the means times both counts, in whole numbers: 0.3 is none for a computer.
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

/// How many readings a week, to one decimal, over the time from the first to the last; less than a
/// week counts as one. 0 of a single one.
#[must_use]
pub fn readings_per_week(readings: i64, first: DateTime<Utc>, last: DateTime<Utc>) -> f64 {
    if readings <= 1 {
        return 0.0;
    }
    let weeks = number((last - first).num_seconds()) / number(TimeDelta::weeks(1).num_seconds());
    (number(readings) / weeks.max(1.0) * 10.0).round() / 10.0
}

/// When somebody makes their readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadingPatterns {
    /// The day of the week with the most readings.
    pub busiest_weekday: Option<Weekday>,
    /// The hour of the day with the most readings, 0 to 23.
    pub busiest_hour: Option<i32>,
    /// How many a week.
    pub readings_per_week: f64,
    /// The most consecutive dates with a reading.
    pub longest_streak_days: i64,
}
