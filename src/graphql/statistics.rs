//! Statistics of a user's readings: totals, and charts that are resolved one by one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use uuid::Uuid;

use super::card::Card;
use super::context::{RequestContext, request};
use super::enums::{Karma, SpreadType, VoiceKey};
use super::errors::ApiError;
use super::id::opaque_id;
use super::inputs::DateTimeRange;
use super::list::List;
use super::scalars::{Date, DateTime};
use super::spread::Spread;
use crate::cache::keys;
use crate::config::content::{CHART_DAYS, RATING, TOP_CARDS, UTC_OFFSET_MINUTES};
use crate::db::DbError;
use crate::db::statistics::{
    CountGroup, CountedReadings, ReadingCount, reading_patterns, readings_before_and_since,
    readings_by_rating,
};
use crate::db::user_card_stats::user_cards;
use crate::domain::reading;
use crate::domain::spread;
use crate::domain::statistics::{
    self, AdjacentPeriods, PeriodStats, RatingTally, Ratings, ReadingGroup, Summary, Tally,
    TimeWindow, UserReadingStats, UtcOffset, dates_until, percent, sort_by_use,
};
use crate::domain::voice;
use crate::loaders::{ReadingCountOfChart, UserStatsKey};

/// Day of the week.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::Weekday")]
pub enum Weekday {
    /// First day of the week.
    Monday,
    /// Second day.
    Tuesday,
    /// Third day.
    Wednesday,
    /// Fourth day.
    Thursday,
    /// Fifth day.
    Friday,
    /// Sixth day.
    Saturday,
    /// Last day of the week.
    Sunday,
}

/// Trend of satisfaction: mean rating of the later half compared with that of the earlier half.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::SatisfactionTrend")]
pub enum SatisfactionTrend {
    /// Later half better by more than 0.3.
    Increasing,
    /// Later half worse by more than 0.3.
    Decreasing,
    /// Difference of at most 0.3.
    Stable,
}

/// Direction of a change in the number of readings.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::ChangeDirection")]
pub enum ChangeDirection {
    /// More than before.
    Up,
    /// Fewer than before.
    Down,
    /// As many as before.
    Same,
}

/// The argument `utcOffsetMinutes`.
///
/// # Errors
///
/// The offset is out of the range of the world's time zones.
pub(super) fn utc_offset(minutes: i32) -> Result<UtcOffset, ApiError> {
    number_within("utcOffsetMinutes", minutes, &UTC_OFFSET_MINUTES).map(UtcOffset)
}

fn number_within(
    argument: &'static str,
    number: i32,
    range: &std::ops::RangeInclusive<i32>,
) -> Result<i32, ApiError> {
    if range.contains(&number) {
        return Ok(number);
    }
    let message =
        format!("`{argument}` is {number}; it must be from {} to {}", range.start(), range.end());
    Err(ApiError::BadInput { argument, message })
}

fn chart_days(days: i32) -> Result<u16, ApiError> {
    let days = number_within("days", days, &CHART_DAYS)?;
    Ok(u16::try_from(days).unwrap_or_default())
}

/// The time window of a range; an empty range matches nothing.
fn window(range: Option<DateTimeRange>) -> TimeWindow {
    let range = range.unwrap_or_default();
    TimeWindow { from: range.from.map(|from| from.0), to: range.to.map(|to| to.0) }
}

/// Statistics of a user's complete readings, archived ones included. Days, weeks and months begin
/// at local midnight (`utcOffsetMinutes`). Of equally used favourites, the most recently used one
/// is returned.
#[derive(SimpleObject)]
pub struct UserStats {
    /// Id for client caches, of this user and time zone. `node` does not accept it.
    id: ID,
    /// Number of readings.
    total_readings: i64,
    /// Number of readings of this calendar month.
    readings_this_month: i64,
    /// Number of readings of this week, from Monday.
    readings_this_week: i64,
    /// Number of readings of the last 168 hours, up to the end of the current minute.
    #[graphql(name = "readingsLast7Days")]
    readings_last_7_days: i64,
    /// Mean satisfaction rating, 1 to 5, one decimal; null without ratings.
    mean_satisfaction: Option<f64>,
    /// Most used voice; null without readings.
    favorite_voice: Option<VoiceKey>,
    /// Most used spread; null without readings.
    favorite_spread: Option<Spread>,
    /// Number of cards drawn in all readings.
    cards_drawn: i64,
    /// Number of readings of each karma context, in the order good, neutral, evil. Always 3.
    karma: Vec<KarmaCount>,
    /// Current streak: consecutive dates with a reading, up to today or yesterday; 0 if both have
    /// none.
    current_streak_days: i64,
}

/// Statistics of a user.
///
/// # Errors
///
/// The offset is out of range.
pub(super) async fn user_stats(
    request: &RequestContext,
    user: Uuid,
    utc_offset_minutes: i32,
) -> Result<UserStats, ApiError> {
    let offset = utc_offset(utc_offset_minutes)?;
    let loader = &request.loaders.user_stats_by_user_id;
    let key = keys::user_stats(user, offset, request.minute());
    let stats = async || {
        let stats = loader.load_one(UserStatsKey { user, offset }).await?;
        Ok(stats.map_or_else(UserReadingStats::none, |stats| *stats))
    };
    let stats = request.cached(&key, stats()).await?;
    let UserReadingStats { summary, draws, current_streak_days } = *stats;
    let [this_month, this_week, last_7_days] = summary.within;
    Ok(UserStats {
        id: statistics_id("UserStats", user, offset),
        total_readings: summary.readings,
        readings_this_month: this_month,
        readings_this_week: this_week,
        readings_last_7_days: last_7_days,
        mean_satisfaction: summary.ratings.mean(),
        favorite_voice: summary.favorite_voice.map(Into::into),
        favorite_spread: spread_of(request, summary.favorite_spread),
        cards_drawn: draws,
        karma: karma_counts(summary.karma),
        current_streak_days,
    })
}

fn statistics_id(kind: &str, user: Uuid, offset: UtcOffset) -> ID {
    opaque_id(kind, &format!("{}:{}", user.simple(), offset.0))
}

fn spread_of(request: &RequestContext, id: Option<Uuid>) -> Option<Spread> {
    request.catalogue.spread(id?).map(Spread::of)
}

fn karma_counts(counts: [i64; reading::Karma::ALL.len()]) -> Vec<KarmaCount> {
    let all = reading::Karma::ALL.iter().zip(counts);
    all.map(|(karma, count)| KarmaCount { karma: (*karma).into(), count }).collect()
}

/// User and time zone of the charts.
pub struct Analytics {
    user: Uuid,
    offset: UtcOffset,
}

impl Analytics {
    /// Charts of that user.
    ///
    /// # Errors
    ///
    /// The offset is out of range.
    pub(super) fn of(user: Uuid, utc_offset_minutes: i32) -> Result<Self, ApiError> {
        Ok(Self { user, offset: utc_offset(utc_offset_minutes)? })
    }

    /// Counts of the readings in a window, loaded together with those of other charts.
    async fn counted(
        &self,
        request: &RequestContext,
        field: &'static str,
        window: TimeWindow,
        group: CountGroup,
    ) -> Result<Arc<CountedReadings>, DbError> {
        let count = ReadingCount { user: self.user, window, group };
        let key = ReadingCountOfChart { chart: field, count };
        let counted = request.loaders.reading_counts.load_one_for(field, key).await?;
        Ok(counted.unwrap_or_default())
    }

    /// Tallies of the readings in a window by a key.
    async fn tallies<K: Copy + Ord>(
        &self,
        request: &RequestContext,
        field: &'static str,
        window: TimeWindow,
        key: impl Fn(&ReadingGroup<2>) -> K,
    ) -> Result<Vec<Tally<K>>, DbError> {
        let counted = self.counted(request, field, window, CountGroup::Attributes).await?;
        Ok(statistics::tallies(&counted.groups, key))
    }

    async fn summary_of(
        &self,
        request: &RequestContext,
        window: TimeWindow,
    ) -> Result<AnalyticsSummary, DbError> {
        let counted = self.counted(request, "Analytics.summary", window, CountGroup::Attributes);
        let key = keys::analytics_summary(self.user, window, request.minute());
        let summary = async { Ok(Summary::of(&counted.await?.groups)) };
        let summary = request.cached(&key, summary).await?;
        let [last_7_days, last_30_days] = summary.within;
        Ok(AnalyticsSummary {
            total_readings: summary.readings,
            readings_last_7_days: last_7_days,
            readings_last_30_days: last_30_days,
            mean_satisfaction: summary.ratings.mean(),
            favorite_voice: summary.favorite_voice.map(Into::into),
            favorite_spread: spread_of(request, summary.favorite_spread),
        })
    }

    async fn frequency_of(
        &self,
        request: &RequestContext,
        days: i32,
    ) -> Result<Vec<DayCount>, ApiError> {
        let today = self.offset.date_of(request.services.clock.now());
        let days = chart_days(days)?;
        let dates = dates_until(today, days);
        let first = dates.first().copied().unwrap_or(today);
        let window = self.offset.between(first, today + chrono::Days::new(1));
        let group = CountGroup::Date(self.offset);
        let counted = self.counted(request, "Analytics.frequency", window, group);
        let key = keys::analytics_frequency(self.user, self.offset, today, days);
        let counted = request.cached(&key, async { Ok(counted.await?.dates.clone()) }).await?;
        let counted: HashMap<_, _> = counted.iter().copied().collect();
        let count = |date| counted.get(&date).copied().unwrap_or_default();
        Ok(dates
            .into_iter()
            .map(|date| DayCount { date: Date(date), count: count(date) })
            .collect())
    }

    async fn satisfaction_of(
        &self,
        request: &RequestContext,
        days: i32,
    ) -> Result<SatisfactionAnalytics, ApiError> {
        let (minute, days) = (request.minute(), chart_days(days)?);
        let session = request.session.for_field("Analytics.satisfaction");
        let ratings =
            readings_by_rating(&session, self.user, TimeWindow::before(minute.end(), days));
        let key = keys::analytics_satisfaction(self.user, days, minute);
        Ok(SatisfactionAnalytics::of(&request.cached(&key, ratings).await?))
    }

    async fn top_cards_of(
        &self,
        request: &RequestContext,
        limit: i32,
    ) -> Result<List<CardFrequency>, ApiError> {
        let limit = number_within("limit", limit, &TOP_CARDS)?;
        let session = request.session.for_field("Analytics.topCards");
        let key = keys::analytics_cards(self.user);
        let cards = request.cached(&key, user_cards(&session, self.user)).await?;
        let draws: i64 = cards.iter().map(|card| i64::from(card.upright + card.reversed)).sum();
        let mut tallies: Vec<_> = cards
            .iter()
            .filter_map(|drawn| Some((drawn, request.catalogue.card(drawn.card)?)))
            .map(|(drawn, card)| Tally {
                key: (card, drawn),
                count: (drawn.upright + drawn.reversed).into(),
                last_used_at: drawn.last_drawn_at,
            })
            .collect();
        sort_by_use(&mut tallies, |(card, _)| card.code.as_str());
        let most = tallies.iter().take(usize::try_from(limit).unwrap_or_default());
        Ok(most
            .map(|Tally { key: (card, drawn), count, .. }| CardFrequency {
                card: Card::of(card),
                draws: *count,
                percent_of_draws: percent(*count, draws),
                upright: drawn.upright,
                reversed: drawn.reversed,
            })
            .collect())
    }

    async fn comparison_of(
        &self,
        request: &RequestContext,
        days: i32,
    ) -> Result<PeriodComparison, ApiError> {
        let (minute, days) = (request.minute(), chart_days(days)?);
        let periods = AdjacentPeriods::before(minute.end(), days);
        let session = request.session.for_field("Analytics.comparison");
        let stats = readings_before_and_since(&session, self.user, periods);
        let key = keys::analytics_comparison(self.user, days, minute);
        let [before, since] = *request.cached(&key, stats).await?;
        let direction =
            statistics::ChangeDirection::from_to(before.readings, since.readings).into();
        Ok(PeriodComparison {
            current: PeriodSummary::of(periods.current(), since),
            previous: PeriodSummary::of(periods.previous(), before),
            direction,
        })
    }
}

/// Charts of a user's complete readings, archived ones included. Days begin at local midnight
/// (`utcOffsetMinutes`). Highest counts come first; ties by most recent use. Each field reads all
/// of the user's readings and costs as much as 200 objects. A field that fails is null without
/// affecting the others.
#[Object]
impl Analytics {
    /// Id for client caches, of this user and time zone. `node` does not accept it.
    async fn id(&self) -> ID {
        statistics_id("Analytics", self.user, self.offset)
    }

    /// Totals, means and favourites.
    async fn summary(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Count readings made in this time range (default: all).")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<AnalyticsSummary, ApiError>> {
        let summary = self.summary_of(request(context), window(range)).await;
        Some(summary.map_err(ApiError::from))
    }

    /// Number of readings on each of the last `days` dates, today last, dates without readings
    /// included. At most 366.
    async fn frequency(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Number of dates, 1 to 366.", default = 30)] days: i32,
    ) -> Option<Result<Vec<DayCount>, ApiError>> {
        Some(self.frequency_of(request(context), days).await)
    }

    /// Number of readings with each kind of spread, unused kinds left out. At most 8.
    async fn spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Count readings made in this time range (default: all).")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<SpreadCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let key = keys::analytics_spreads(self.user, window);
        let tallies = self.tallies(request, "Analytics.spreads", window, |group| group.spread_type);
        let tallies = request.cached(&key, tallies).await;
        let counts = |tallies: Arc<Vec<Tally<spread::SpreadType>>>| {
            let mut tallies = Arc::unwrap_or_clone(tallies);
            sort_by_use(&mut tallies, spread::SpreadType::as_str);
            let count = |tally: Tally<spread::SpreadType>| SpreadCount {
                spread_type: tally.key.into(),
                count: tally.count,
            };
            tallies.into_iter().map(count).collect()
        };
        Some(tallies.map(counts).map_err(ApiError::from))
    }

    /// Number of readings with each voice, unused voices left out. At most 14.
    async fn voices(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Count readings made in this time range (default: all).")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<VoiceCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let key = keys::analytics_voices(self.user, window);
        let tallies = self.tallies(request, "Analytics.voices", window, |group| group.voice);
        let tallies = request.cached(&key, tallies).await;
        let counts = |tallies: Arc<Vec<Tally<voice::VoiceKey>>>| {
            let mut tallies = Arc::unwrap_or_clone(tallies);
            sort_by_use(&mut tallies, voice::VoiceKey::as_str);
            let count = |tally: Tally<voice::VoiceKey>| VoiceCount {
                voice: tally.key.into(),
                count: tally.count,
            };
            tallies.into_iter().map(count).collect()
        };
        Some(tallies.map(counts).map_err(ApiError::from))
    }

    /// Number of readings of each karma context, in the order good, neutral, evil. Always 3.
    async fn karma(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Count readings made in this time range (default: all).")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<KarmaCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let key = keys::analytics_karma(self.user, window);
        let tallies = self.tallies(request, "Analytics.karma", window, |group| group.karma);
        let tallies = request.cached(&key, tallies).await;
        let counts = |tallies: Arc<Vec<Tally<reading::Karma>>>| {
            karma_counts(std::array::from_fn(|index| {
                let found = tallies.iter().find(|tally| tally.key == reading::Karma::ALL[index]);
                found.map_or(0, |tally| tally.count)
            }))
        };
        Some(tallies.map(counts).map_err(ApiError::from))
    }

    /// Satisfaction with the readings of the last days.
    async fn satisfaction(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Number of days, 1 to 366: times 24 hours, up to the end of the current minute.",
            default = 30
        )]
        days: i32,
    ) -> Option<Result<SatisfactionAnalytics, ApiError>> {
        Some(self.satisfaction_of(request(context), days).await)
    }

    /// Times at which readings are made.
    async fn patterns(&self, context: &Context<'_>) -> Option<Result<ReadingPatterns, ApiError>> {
        let request = request(context);
        let session = &request.session.for_field("Analytics.patterns");
        let key = keys::analytics_patterns(self.user, self.offset);
        let patterns = request.cached(&key, reading_patterns(session, self.user, self.offset));
        Some(patterns.await.map(|patterns| (*patterns).into()).map_err(ApiError::from))
    }

    /// Most often drawn cards. At most 50.
    async fn top_cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Maximum number of cards, 0 to 50.", default = 10)] limit: i32,
    ) -> Option<Result<List<CardFrequency>, ApiError>> {
        Some(self.top_cards_of(request(context), limit).await)
    }

    /// Comparison of the last days with as many days before.
    async fn comparison(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Length of each period in days, 1 to 366: times 24 hours, up to the end of the current minute.",
            default = 30
        )]
        days: i32,
    ) -> Option<Result<PeriodComparison, ApiError>> {
        Some(self.comparison_of(request(context), days).await)
    }
}

/// Totals of the readings in a time range.
#[derive(SimpleObject)]
pub struct AnalyticsSummary {
    /// Number of readings in the range.
    total_readings: i64,
    /// Number of these of the last 7 times 24 hours, up to the end of the current minute.
    #[graphql(name = "readingsLast7Days")]
    readings_last_7_days: i64,
    /// Number of these of the last 30 times 24 hours, up to the end of the current minute.
    #[graphql(name = "readingsLast30Days")]
    readings_last_30_days: i64,
    /// Mean satisfaction rating, 1 to 5, one decimal; null without ratings.
    mean_satisfaction: Option<f64>,
    /// Most used voice; null without readings.
    favorite_voice: Option<VoiceKey>,
    /// Most used spread; null without readings.
    favorite_spread: Option<Spread>,
}

/// Number of readings on a date.
#[derive(SimpleObject)]
pub struct DayCount {
    /// Date in the local time zone.
    date: Date,
    /// Number of readings.
    count: i64,
}

/// Number of readings with a kind of spread.
#[derive(SimpleObject)]
pub struct SpreadCount {
    /// Kind of the spread.
    spread_type: SpreadType,
    /// Number of readings.
    count: i64,
}

/// Number of readings with a voice.
#[derive(SimpleObject)]
pub struct VoiceCount {
    /// Voice of the readings.
    voice: VoiceKey,
    /// Number of readings.
    count: i64,
}

/// Number of readings of a karma context.
#[derive(SimpleObject)]
pub struct KarmaCount {
    /// Karma context of the readings.
    karma: Karma,
    /// Number of readings.
    count: i64,
}

/// Satisfaction ratings of readings.
#[derive(SimpleObject)]
pub struct SatisfactionAnalytics {
    /// Mean rating, 1 to 5, one decimal; null without ratings.
    mean: Option<f64>,
    /// Number of readings of each rating, from 1 to 5. Always 5.
    histogram: Vec<RatingCount>,
    /// Later half of the ratings compared with the earlier half; of an odd number, the middle one
    /// counts as later. Null below 4 ratings.
    trend: Option<SatisfactionTrend>,
}

impl SatisfactionAnalytics {
    fn of(rows: &[RatingTally]) -> Self {
        let ratings_of = |is_late: bool| {
            let mut ratings = Ratings::default();
            for row in rows.iter().filter(|row| row.is_late == is_late) {
                ratings.add(Ratings {
                    sum: i64::from(row.rating) * row.readings,
                    count: row.readings,
                });
            }
            ratings
        };
        let (early, late) = (ratings_of(false), ratings_of(true));
        let mut all = early;
        all.add(late);
        let of_rating =
            |rating: i32| rows.iter().filter(move |row| i32::from(row.rating) == rating);
        let count = |rating| of_rating(rating).map(|row| row.readings).sum();
        Self {
            mean: all.mean(),
            histogram: RATING.map(|rating| RatingCount { rating, count: count(rating) }).collect(),
            trend: statistics::trend(early, late).map(Into::into),
        }
    }
}

/// Number of readings with a rating.
#[derive(SimpleObject)]
pub struct RatingCount {
    /// Rating, 1 to 5.
    rating: i32,
    /// Number of readings.
    count: i64,
}

/// Times at which a user makes readings.
#[derive(SimpleObject)]
pub struct ReadingPatterns {
    /// Day of the week with the most readings; null without readings.
    busiest_weekday: Option<Weekday>,
    /// Hour of the day with the most readings, 0 to 23; null without readings.
    busiest_hour: Option<i32>,
    /// Mean number of readings a week between the first and the last, one decimal. Less than a week
    /// counts as one; 0 below 2 readings.
    readings_per_week: f64,
    /// Longest streak ever: consecutive dates with a reading.
    longest_streak_days: i64,
}

impl From<statistics::ReadingPatterns> for ReadingPatterns {
    fn from(patterns: statistics::ReadingPatterns) -> Self {
        Self {
            busiest_weekday: patterns.busiest_weekday.map(Into::into),
            busiest_hour: patterns.busiest_hour,
            readings_per_week: patterns.readings_per_week,
            longest_streak_days: patterns.longest_streak_days,
        }
    }
}

/// Number of draws of a card.
#[derive(SimpleObject)]
pub struct CardFrequency {
    /// The card.
    card: Card,
    /// Number of draws.
    draws: i64,
    /// Percentage of all cards drawn, one decimal.
    percent_of_draws: f64,
    /// Number of upright draws.
    upright: i32,
    /// Number of reversed draws.
    reversed: i32,
}

/// Comparison of two periods of equal length.
#[derive(SimpleObject)]
pub struct PeriodComparison {
    /// The last days, up to the end of the current minute.
    current: PeriodSummary,
    /// As many days before the current period.
    previous: PeriodSummary,
    /// Change in the number of readings from the previous to the current period.
    direction: ChangeDirection,
}

/// Totals of the readings in a time range.
#[derive(SimpleObject)]
pub struct PeriodSummary {
    /// Start, inclusive.
    from: DateTime,
    /// End, exclusive.
    to: DateTime,
    /// Number of readings.
    readings: i64,
    /// Mean satisfaction rating, 1 to 5, one decimal; null without ratings.
    mean_satisfaction: Option<f64>,
}

impl PeriodSummary {
    fn of(period: Range<chrono::DateTime<chrono::Utc>>, stats: PeriodStats) -> Self {
        Self {
            from: DateTime(period.start),
            to: DateTime(period.end),
            readings: stats.readings,
            mean_satisfaction: stats.ratings.mean(),
        }
    }
}
