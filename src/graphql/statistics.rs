//! What somebody's readings come to: figures, and charts of which each is asked for by itself.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::TimeDelta;
use uuid::Uuid;

use super::card::Card;
use super::context::{RequestContext, request};
use super::enums::{Karma, SpreadType, VoiceKey};
use super::errors::ApiError;
use super::guard::Surcharge;
use super::id::opaque_id;
use super::inputs::DateTimeRange;
use super::scalars::{Date, DateTime};
use super::spread::Spread;
use crate::cache::keys;
use crate::config::content::{CHART_DAYS, RATING, TOP_CARDS, UTC_OFFSET_MINUTES};
use crate::config::limits::STATISTICS_COST;
use crate::db::DbError;
use crate::db::statistics::{
    reading_groups, reading_patterns, readings_before_and_since, readings_by_date,
    readings_by_karma, readings_by_rating, readings_by_spread_type, readings_by_voice,
};
use crate::db::user_card_stats::user_cards;
use crate::domain::reading;
use crate::domain::spread;
use crate::domain::statistics::{
    self, PeriodStats, RatingTally, Ratings, Summary, Tally, TimeWindow, UserReadingStats,
    UtcOffset, dates_until, percent, sort_by_use,
};
use crate::domain::voice;
use crate::loaders::FiguresOfUser;

/// What the fields cost besides that read all of somebody's readings: otherwise a hundred of them would
/// be as cheap as a hundred objects.
pub const SURCHARGES: [Surcharge<'static>; 10] = [
    reads_all("User", "stats"),
    reads_all("Analytics", "summary"),
    reads_all("Analytics", "frequency"),
    reads_all("Analytics", "spreads"),
    reads_all("Analytics", "voices"),
    reads_all("Analytics", "karma"),
    reads_all("Analytics", "satisfaction"),
    reads_all("Analytics", "patterns"),
    reads_all("Analytics", "topCards"),
    reads_all("Analytics", "comparison"),
];

const fn reads_all(type_name: &'static str, field: &'static str) -> Surcharge<'static> {
    Surcharge { type_name, field, objects: STATISTICS_COST }
}

/// Days of a rolling week, and of a rolling month.
const ROLLING: [u16; 2] = [7, 30];

/// A day of the week.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::Weekday")]
pub enum Weekday {
    /// The first day of a week.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
    /// The fourth.
    Thursday,
    /// The fifth.
    Friday,
    /// The sixth.
    Saturday,
    /// The last.
    Sunday,
}

/// Whether readings satisfy more and more: the mean of the later half of the ratings against that of
/// the earlier half.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::SatisfactionTrend")]
pub enum SatisfactionTrend {
    /// The later half is better by more than 0.3.
    Increasing,
    /// The later half is worse by more than 0.3.
    Decreasing,
    /// Neither.
    Stable,
}

/// Whether there are more readings than before.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "statistics::ChangeDirection")]
pub enum ChangeDirection {
    /// More.
    Up,
    /// Fewer.
    Down,
    /// As many.
    Same,
}

/// Reads the argument that says where days begin.
///
/// # Errors
///
/// No clock of the world is so far from UTC.
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
        format!("`{argument}` is {number}; it may be {} to {}", range.start(), range.end());
    Err(ApiError::BadInput { argument, message })
}

fn chart_days(days: i32) -> Result<u16, ApiError> {
    let days = number_within("days", days, &CHART_DAYS)?;
    Ok(u16::try_from(days).unwrap_or_default())
}

/// An empty range finds nothing.
fn window(range: Option<DateTimeRange>) -> TimeWindow {
    let range = range.unwrap_or_default();
    TimeWindow { from: range.from.map(|from| from.0), to: range.to.map(|to| to.0) }
}

/// What somebody's readings come to. Counted are complete readings, archived ones included; days,
/// weeks and months begin at midnight of the clock that `utcOffsetMinutes` tells. Of what was used
/// equally often, what was used last is the favourite.
#[derive(SimpleObject)]
pub struct UserStats {
    /// An id of its own, of this user and clock.
    id: ID,
    /// All readings.
    total_readings: i64,
    /// Readings of this calendar month.
    readings_this_month: i64,
    /// Readings of this week, from Monday.
    readings_this_week: i64,
    /// Readings of the 168 hours up to the end of this minute.
    #[graphql(name = "readingsLast7Days")]
    readings_last_7_days: i64,
    /// The mean of the satisfaction ratings, 1 to 5 with one decimal; null if nothing was rated.
    mean_satisfaction: Option<f64>,
    /// The voice used most; null without readings.
    favorite_voice: Option<VoiceKey>,
    /// The spread used most; null without readings.
    favorite_spread: Option<Spread>,
    /// Cards drawn in all readings.
    cards_drawn: i64,
    /// How many readings have each karma context: good, neutral and evil, in this order.
    karma: Vec<KarmaCount>,
    /// Consecutive dates with a reading, of which the last is today or yesterday; 0 if neither has one.
    current_streak_days: i64,
}

/// The figures of a user.
///
/// # Errors
///
/// The offset is out of range, or a statement fails.
pub(super) async fn user_stats(
    request: &RequestContext,
    user: Uuid,
    utc_offset_minutes: i32,
) -> Result<UserStats, ApiError> {
    let offset = utc_offset(utc_offset_minutes)?;
    let loader = &request.loaders.user_figures_by_user_id;
    let key = keys::user_stats(user, offset, request.minute());
    let figures = async || {
        let figures = loader.load_one(FiguresOfUser { user, offset }).await?;
        Ok(figures.map_or_else(UserReadingStats::none, |figures| *figures))
    };
    let figures = request.cached(&key, figures()).await?;
    let UserReadingStats { summary, draws, current_streak_days } = *figures;
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

/// Whose readings the charts are of, and where their days begin.
pub struct Analytics {
    user: Uuid,
    offset: UtcOffset,
}

impl Analytics {
    /// Of that user.
    ///
    /// # Errors
    ///
    /// The offset is out of range.
    pub(super) fn of(user: Uuid, utc_offset_minutes: i32) -> Result<Self, ApiError> {
        Ok(Self { user, offset: utc_offset(utc_offset_minutes)? })
    }

    async fn summary_of(
        &self,
        request: &RequestContext,
        window: TimeWindow,
    ) -> Result<AnalyticsSummary, DbError> {
        let minute = request.minute();
        let rolling = ROLLING.map(|days| TimeWindow::before(minute.end(), days));
        let session = request.session.for_field("Analytics.summary");
        let groups = async || {
            let groups = reading_groups(&session, &[self.user], window, rolling).await?;
            Ok(Summary::of(&groups))
        };
        let key = keys::analytics_summary(self.user, window, minute);
        let summary = request.cached(&key, groups()).await?;
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
        let session = request.session.for_field("Analytics.frequency");
        let counted = readings_by_date(&session, self.user, window, self.offset);
        let key = keys::analytics_frequency(self.user, self.offset, (today, days));
        let counted = request.cached(&key, counted).await?;
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
    ) -> Result<Vec<CardFrequency>, ApiError> {
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
        let (end, length) = (minute.end(), TimeDelta::days(days.into()));
        let times = [end - length - length, end - length, end];
        let session = request.session.for_field("Analytics.comparison");
        let figures = readings_before_and_since(&session, self.user, times);
        let key = keys::analytics_comparison(self.user, days, minute);
        let [before, since] = *request.cached(&key, figures).await?;
        let direction =
            statistics::ChangeDirection::from_to(before.readings, since.readings).into();
        Ok(PeriodComparison {
            current: PeriodSummary::of([times[1], times[2]], since),
            previous: PeriodSummary::of([times[0], times[1]], before),
            direction,
        })
    }
}

/// Charts of somebody's readings. Counted are complete readings, archived ones included; days begin at
/// midnight of the clock that `utcOffsetMinutes` tells. What counts most comes first; of what counts
/// the same, what was used last. Each field reads all of the readings and costs as much as 200 objects;
/// if one fails, it is null and the others are there.
#[Object]
impl Analytics {
    /// An id of its own, of this user and clock.
    async fn id(&self) -> ID {
        statistics_id("Analytics", self.user, self.offset)
    }

    /// What the readings come to.
    async fn summary(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only readings made within it. Absent: all.")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<AnalyticsSummary, ApiError>> {
        let summary = self.summary_of(request(context), window(range)).await;
        Some(summary.map_err(ApiError::from))
    }

    /// How many readings were made on each date, the oldest first, today last. Dates without one are
    /// there as well. As many as asked for, at most 366.
    async fn frequency(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many dates: 1 to 366.", default = 30)] days: i32,
    ) -> Option<Result<Vec<DayCount>, ApiError>> {
        Some(self.frequency_of(request(context), days).await)
    }

    /// How many readings used each kind of spread, those that none used left out. At most 8.
    async fn spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only readings made within it. Absent: all.")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<SpreadCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let session = &request.session.for_field("Analytics.spreads");
        let key = keys::analytics_spreads(self.user, window);
        let tallies = readings_by_spread_type(session, self.user, window);
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

    /// How many readings spoke in each voice, those in which none did left out. At most 14.
    async fn voices(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only readings made within it. Absent: all.")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<VoiceCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let session = &request.session.for_field("Analytics.voices");
        let key = keys::analytics_voices(self.user, window);
        let tallies = readings_by_voice(session, self.user, window);
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

    /// How many readings have each karma context: good, neutral and evil, in this order. Always 3.
    async fn karma(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only readings made within it. Absent: all.")] range: Option<
            DateTimeRange,
        >,
    ) -> Option<Result<Vec<KarmaCount>, ApiError>> {
        let (request, window) = (request(context), window(range));
        let session = &request.session.for_field("Analytics.karma");
        let key = keys::analytics_karma(self.user, window);
        let tallies = readings_by_karma(session, self.user, window);
        let tallies = request.cached(&key, tallies).await;
        let counts = |tallies: Arc<Vec<Tally<reading::Karma>>>| {
            karma_counts(std::array::from_fn(|index| {
                let found = tallies.iter().find(|tally| tally.key == reading::Karma::ALL[index]);
                found.map_or(0, |tally| tally.count)
            }))
        };
        Some(tallies.map(counts).map_err(ApiError::from))
    }

    /// How satisfying the readings of the last days were.
    async fn satisfaction(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Readings made in so many times 24 hours up to the end of this minute: 1 to 366.",
            default = 30
        )]
        days: i32,
    ) -> Option<Result<SatisfactionAnalytics, ApiError>> {
        Some(self.satisfaction_of(request(context), days).await)
    }

    /// When the readings are made.
    async fn patterns(&self, context: &Context<'_>) -> Option<Result<ReadingPatterns, ApiError>> {
        let request = request(context);
        let session = &request.session.for_field("Analytics.patterns");
        let key = keys::analytics_patterns(self.user, self.offset);
        let patterns = request.cached(&key, reading_patterns(session, self.user, self.offset));
        Some(patterns.await.map(|patterns| (*patterns).into()).map_err(ApiError::from))
    }

    /// The cards drawn most often. At most 50.
    async fn top_cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many: 0 to 50.", default = 10)] limit: i32,
    ) -> Option<Result<Vec<CardFrequency>, ApiError>> {
        Some(self.top_cards_of(request(context), limit).await)
    }

    /// The last days beside as many days before them.
    async fn comparison(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "So many times 24 hours up to the end of this minute, and as many before those: 1 to 366.",
            default = 30
        )]
        days: i32,
    ) -> Option<Result<PeriodComparison, ApiError>> {
        Some(self.comparison_of(request(context), days).await)
    }
}

/// What readings of a time come to.
#[derive(SimpleObject)]
pub struct AnalyticsSummary {
    /// All readings within the range.
    total_readings: i64,
    /// Those of them that were made in the 7 times 24 hours up to the end of this minute.
    #[graphql(name = "readingsLast7Days")]
    readings_last_7_days: i64,
    /// Those of them that were made in the 30 times 24 hours up to the end of this minute.
    #[graphql(name = "readingsLast30Days")]
    readings_last_30_days: i64,
    /// The mean of their satisfaction ratings, 1 to 5 with one decimal; null if nothing was rated.
    mean_satisfaction: Option<f64>,
    /// The voice used most; null without readings.
    favorite_voice: Option<VoiceKey>,
    /// The spread used most; null without readings.
    favorite_spread: Option<Spread>,
}

/// How many readings were made on a date.
#[derive(SimpleObject)]
pub struct DayCount {
    /// The date.
    date: Date,
    /// How many.
    count: i64,
}

/// How many readings used a kind of spread.
#[derive(SimpleObject)]
pub struct SpreadCount {
    /// The kind.
    spread_type: SpreadType,
    /// How many.
    count: i64,
}

/// How many readings spoke in a voice.
#[derive(SimpleObject)]
pub struct VoiceCount {
    /// The voice.
    voice: VoiceKey,
    /// How many.
    count: i64,
}

/// How many readings have a karma context.
#[derive(SimpleObject)]
pub struct KarmaCount {
    /// The karma context.
    karma: Karma,
    /// How many.
    count: i64,
}

/// How satisfying readings were.
#[derive(SimpleObject)]
pub struct SatisfactionAnalytics {
    /// The mean of the ratings, 1 to 5 with one decimal; null if nothing was rated.
    mean: Option<f64>,
    /// How many readings have each rating, from 1 to 5. Always 5.
    histogram: Vec<RatingCount>,
    /// Whether the later half of the ratings is better than the earlier half; of an odd number the
    /// middle one is of the later half. Null below 4 ratings.
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

/// How many readings have a rating.
#[derive(SimpleObject)]
pub struct RatingCount {
    /// The rating, 1 to 5.
    rating: i32,
    /// How many.
    count: i64,
}

/// When somebody makes their readings.
#[derive(SimpleObject)]
pub struct ReadingPatterns {
    /// The day of the week with the most readings; null without readings.
    busiest_weekday: Option<Weekday>,
    /// The hour of the day with the most readings, 0 to 23; null without readings.
    busiest_hour: Option<i32>,
    /// How many readings a week there were from the first to the last, with one decimal. Less than a
    /// week counts as one; 0 below 2 readings.
    readings_per_week: f64,
    /// The most consecutive dates with a reading that there ever were.
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

/// How often a card was drawn.
#[derive(SimpleObject)]
pub struct CardFrequency {
    /// The card.
    card: Card,
    /// How often.
    draws: i64,
    /// Of a hundred cards drawn, with one decimal.
    percent_of_draws: f64,
    /// How often upright.
    upright: i32,
    /// How often upside down.
    reversed: i32,
}

/// Two times beside each other.
#[derive(SimpleObject)]
pub struct PeriodComparison {
    /// The days before now.
    current: PeriodSummary,
    /// As many days before those.
    previous: PeriodSummary,
    /// Whether there are more readings in the current ones.
    direction: ChangeDirection,
}

/// What readings of a time come to.
#[derive(SimpleObject)]
pub struct PeriodSummary {
    /// Its first moment, which is part of it.
    from: DateTime,
    /// Its end, which is not part of it.
    to: DateTime,
    /// How many readings were made in it.
    readings: i64,
    /// The mean of their satisfaction ratings, 1 to 5 with one decimal; null if nothing was rated.
    mean_satisfaction: Option<f64>,
}

impl PeriodSummary {
    fn of([from, to]: [chrono::DateTime<chrono::Utc>; 2], figures: PeriodStats) -> Self {
        Self {
            from: DateTime(from),
            to: DateTime(to),
            readings: figures.readings,
            mean_satisfaction: figures.ratings.mean(),
        }
    }
}
