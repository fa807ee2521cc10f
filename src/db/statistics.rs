//! Statements on the statistics of a user's readings: complete readings, archived ones included. Each
//! scans one user's range of a covering index. Results are bounded by days and groups, not by readings.
//!
//! Days are numbered from 1970 on both databases, because these number weekdays differently.
//!
//! SQL: `stats.snap` and `analytics_*.snap` in `tests/api/golden/`.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{
    CommonTableExpression, Condition, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr,
    UnionType, WindowStatement, WithClause,
};
use sea_orm::{ColumnTrait, DbErr, Order};
use uuid::Uuid;

use super::entities::reading_sessions::{Column, Entity};
use super::query::columns::{Cells, decode_rows};
use super::query::membership::is_one_of;
use super::query::{Dialect, constant, count_if};
use super::user_card_stats::draws_of;
use super::{DbError, Session};
use crate::config::database::READING_COUNTS_PER_STATEMENT;
use crate::domain::reading::ReadingStatus;
use crate::domain::statistics::{
    AdjacentPeriods, PeriodStats, RatingTally, Ratings, ReadingGroup, ReadingPatterns, Streak,
    Tally, TimeWindow, UtcOffset, Weekday, most_used, readings_per_week,
};

/// The complete readings of these users within a window.
fn readings(of_users: SimpleExpr, window: TimeWindow) -> SelectStatement {
    Query::select()
        .from(Entity)
        .and_where(of_users)
        .and_where(Column::Status.eq(ReadingStatus::Complete))
        .cond_where(within(window))
        .to_owned()
}

fn within(window: TimeWindow) -> Condition {
    Condition::all()
        .add_option(window.from.map(|from| Column::CreatedAt.gte(from)))
        .add_option(window.to.map(|to| Column::CreatedAt.lt(to)))
}

/// The creation time of a row in a time zone.
#[derive(Clone, Copy)]
struct LocalTime {
    dialect: Dialect,
    offset: UtcOffset,
}

impl LocalTime {
    /// The date, in days from 1970.
    fn day(self) -> SimpleExpr {
        if self.dialect.is_sqlite() {
            return self.sqlite("unixepoch(substr(created_at, 1, 19), ?) / 86400");
        }
        Expr::cust_with_values(
            "CAST(created_at AT TIME ZONE 'UTC' + make_interval(mins => $1) AS date) - DATE '1970-01-01'",
            [self.offset.0],
        )
    }

    /// The hour of the day.
    fn hour(self) -> SimpleExpr {
        if self.dialect.is_sqlite() {
            return self.sqlite("unixepoch(substr(created_at, 1, 19), ?) / 3600 % 24");
        }
        Expr::cust_with_values(
            "CAST(date_part('hour', created_at AT TIME ZONE 'UTC' + make_interval(mins => $1)) AS integer)",
            [self.offset.0],
        )
    }

    // Without the fraction of a second, which SQLite rounds up: the end of a day would be in the next.
    fn sqlite(self, sql: &'static str) -> SimpleExpr {
        Expr::cust_with_values(sql, [format!("{:+} minutes", self.offset.0)])
    }
}

fn rating_sum() -> SimpleExpr {
    Expr::col(Column::UserSatisfaction).sum().if_null(0_i64)
}

fn date(day: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(day).unwrap_or_default()
}

/// The readings of these users within a window, grouped by spread with its kind, voice and karma context, with their
/// number within each of several narrower windows.
pub async fn reading_groups<const N: usize>(
    session: &Session,
    users: &[Uuid],
    window: TimeWindow,
    parts: [TimeWindow; N],
) -> Result<Vec<ReadingGroup<N>>, DbError> {
    const STATEMENT: &str = "reading_groups";
    let mut query = readings(is_one_of(session.dialect(), Column::UserId, users), window);
    query
        .column(Column::UserId)
        .columns(ATTRIBUTES)
        .expr(Expr::col(Column::Id).count())
        .expr(Expr::col(Column::CreatedAt).max())
        .expr(rating_sum())
        .expr(Expr::col(Column::UserSatisfaction).count())
        .exprs(parts.map(|part| count_if(within(part))))
        .group_by_col(Column::UserId)
        .add_group_by(ATTRIBUTES.map(Expr::col));
    let rows = session.rows(STATEMENT, &query).await?;
    decode_rows(STATEMENT, &rows, |cells| {
        let mut group = ReadingGroup {
            user: cells.next()?,
            spread: cells.next()?,
            spread_type: cells.next()?,
            voice: cells.next()?,
            karma: cells.next()?,
            readings: cells.next()?,
            last_made_at: cells.next()?,
            ratings: Ratings { sum: cells.next()?, count: cells.next()? },
            within: [0; N],
        };
        for part in &mut group.within {
            *part = cells.next()?;
        }
        Ok(group)
    })
}

/// A user's current streak and number of drawn cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreakAndDraws {
    /// The user.
    pub user: Uuid,
    /// The last consecutive dates with a reading.
    pub streak: Streak,
    /// Number of drawn cards.
    pub draws: i64,
}

/// Current streak and total number of drawn cards of each user; users without readings are missing.
pub async fn streaks_and_draws(
    session: &Session,
    users: &[Uuid],
    offset: UtcOffset,
) -> Result<Vec<StreakAndDraws>, DbError> {
    const STATEMENT: &str = "streaks_and_draws";
    let dialect = session.dialect();
    let of_users = is_one_of(dialect, Column::UserId, users);
    let mut days = readings(of_users, TimeWindow::default());
    days.distinct().column(Column::UserId).expr_as(LocalTime { dialect, offset }.day(), "day");
    // Consecutive dates: each differs from the last date by its row number.
    let of_user = || WindowStatement::partition_by("user_id");
    let placed = Query::select()
        .columns(["user_id", "day"])
        .expr_window_as(
            Func::cust("row_number"),
            of_user().order_by("day", Order::Desc).to_owned(),
            "place",
        )
        .expr_window_as(Expr::col("day").max(), of_user(), "last_day")
        .from_subquery(days, "days")
        .to_owned();
    let query = Query::select()
        .columns(["user_id", "last_day"])
        .expr(Expr::col("day").count())
        .expr(draws_of(Expr::col(("placed", "user_id"))))
        .from_subquery(placed, "placed")
        .and_where(
            Expr::col("day").add(Expr::col("place")).eq(Expr::col("last_day").add(constant(1))),
        )
        .group_by_columns(["user_id", "last_day"])
        .to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    decode_rows(STATEMENT, &rows, |cells| {
        let user = cells.next()?;
        let streak = Streak { last_date: date(cells.next()?), days: cells.next()? };
        Ok(StreakAndDraws { user, streak, draws: cells.next()? })
    })
}

/// Counts of a user's readings, of which charts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingCount {
    /// Owner of the readings.
    pub user: Uuid,
    /// Creation times of the counted readings.
    pub window: TimeWindow,
    /// How they are grouped.
    pub group: CountGroup,
}

/// Grouping of counted readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CountGroup {
    /// By spread with its kind, voice and karma context.
    Attributes,
    /// By date in that time zone.
    Date(UtcOffset),
}

/// Result of a [`ReadingCount`]: rows of its grouping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedReadings {
    /// By spread with its kind, voice and karma context, with the counts of the narrower windows.
    pub groups: Vec<ReadingGroup<2>>,
    /// By date; dates without readings are missing.
    pub dates: Vec<(NaiveDate, i64)>,
}

/// Executes several counts, up to [`READING_COUNTS_PER_STATEMENT`] as one statement. Groups are also counted within each of two
/// narrower windows.
///
/// SQL: `analytics_counts.snap`, `analytics_summary.snap`, `analytics_frequency.snap`.
pub async fn count_readings(
    session: &Session,
    counts: &[ReadingCount],
    parts: [TimeWindow; 2],
) -> Result<Vec<CountedReadings>, DbError> {
    let mut results = Vec::with_capacity(counts.len());
    for counts in counts.chunks(READING_COUNTS_PER_STATEMENT) {
        results.extend(count_together(session, counts, parts).await?);
    }
    Ok(results)
}

async fn count_together(
    session: &Session,
    counts: &[ReadingCount],
    parts: [TimeWindow; 2],
) -> Result<Vec<CountedReadings>, DbError> {
    const STATEMENT: &str = "count_readings";
    let dialect = session.dialect();
    let queries =
        (0..).zip(counts).map(|(number, count)| count_query(dialect, number, *count, parts));
    let union = |mut all: SelectStatement, query| {
        all.union(UnionType::All, query);
        all
    };
    let mut results = vec![CountedReadings::default(); counts.len()];
    let Some(query) = queries.reduce(union) else { return Ok(results) };
    let rows = session.rows(STATEMENT, &query).await?;
    decode_rows(STATEMENT, &rows, |cells| {
        let number = usize::try_from(cells.next::<i32>()?).unwrap_or(usize::MAX);
        if let (Some(count), Some(result)) = (counts.get(number), results.get_mut(number)) {
            result.add(*count, cells)?;
        }
        Ok(())
    })?;
    Ok(results)
}

impl CountedReadings {
    /// Decodes a row of [`count_query`] after its number.
    fn add(&mut self, count: ReadingCount, cells: &mut Cells<'_>) -> Result<(), DbErr> {
        let (day, readings) = (cells.next::<Option<i32>>()?, cells.next()?);
        if let Some(day) = day {
            self.dates.push((date(day), readings));
            return Ok(());
        }
        self.groups.push(ReadingGroup {
            user: count.user,
            spread: cells.next()?,
            spread_type: cells.next()?,
            voice: cells.next()?,
            karma: cells.next()?,
            readings,
            last_made_at: cells.next()?,
            ratings: Ratings { sum: cells.next()?, count: cells.next()? },
            within: [cells.next()?, cells.next()?],
        });
        Ok(())
    }
}

/// Rows of a count, each with that number.
fn count_query(
    dialect: Dialect,
    number: i32,
    count: ReadingCount,
    parts: [TimeWindow; 2],
) -> SelectStatement {
    let ReadingCount { user, window, group } = count;
    let mut readings = readings(Column::UserId.eq(user), window);
    let CountGroup::Date(offset) = group else {
        readings
            .expr(constant(number))
            .expr(null("integer"))
            .expr(Expr::col(Column::Id).count())
            .columns(ATTRIBUTES)
            .expr(Expr::col(Column::CreatedAt).max())
            .expr(rating_sum())
            .expr(Expr::col(Column::UserSatisfaction).count())
            .exprs(parts.map(|part| count_if(within(part))))
            .add_group_by(ATTRIBUTES.map(Expr::col));
        return readings;
    };
    readings.expr_as(LocalTime { dialect, offset }.day(), "day");
    let types =
        ["uuid", "text", "text", "text", "timestamptz", "bigint", "bigint", "bigint", "bigint"];
    Query::select()
        .expr(constant(number))
        .column("day")
        .expr(Expr::col("day").count())
        .exprs(types.map(null))
        .from_subquery(readings, "days")
        .group_by_col("day")
        .to_owned()
}

/// Columns by which [`CountGroup::Attributes`] groups.
const ATTRIBUTES: [Column; 4] =
    [Column::SpreadTemplateId, Column::SpreadType, Column::CharacterVoice, Column::KarmaContext];

/// Null of a type: the columns of all parts of a UNION have the same types.
fn null(type_name: &'static str) -> SimpleExpr {
    Expr::cust(format!("CAST(NULL AS {type_name})"))
}

/// Number of readings of a user within a window, by rating and half of the window's rated readings.
pub async fn readings_by_rating(
    session: &Session,
    user: Uuid,
    window: TimeWindow,
) -> Result<Vec<RatingTally>, DbError> {
    const STATEMENT: &str = "readings_by_rating";
    let mut rated = readings(Column::UserId.eq(user), window);
    rated
        .expr_as(Expr::col(Column::UserSatisfaction), "rating")
        .expr_window_as(
            Func::cust("row_number"),
            WindowStatement::new()
                .order_by(Column::CreatedAt, Order::Asc)
                .order_by(Column::Id, Order::Asc)
                .to_owned(),
            "place",
        )
        .expr_window_as(Expr::col(Column::Id).count(), WindowStatement::new(), "ratings")
        .and_where(Column::UserSatisfaction.is_not_null());
    let halves = Query::select()
        .column("rating")
        .expr_as(Expr::col("place").mul(constant(2)).gt(Expr::col("ratings")), "is_late")
        .from_subquery(rated, "rated")
        .to_owned();
    let query = Query::select()
        .columns(["rating", "is_late"])
        .expr_as(Expr::col("rating").count(), "readings")
        .from_subquery(halves, "halves")
        .group_by_columns(["rating", "is_late"])
        .to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    decode_rows(STATEMENT, &rows, |cells| {
        Ok(RatingTally { rating: cells.next()?, is_late: cells.next()?, readings: cells.next()? })
    })
}

/// Patterns in the times of a user's readings, by one scan that counts each hour.
pub async fn reading_patterns(
    session: &Session,
    user: Uuid,
    offset: UtcOffset,
) -> Result<ReadingPatterns, DbError> {
    const STATEMENT: &str = "reading_patterns";
    let local = LocalTime { dialect: session.dialect(), offset };
    let rows = session.rows(STATEMENT, &patterns_query(user, local)).await?;
    let rows = decode_rows(STATEMENT, &rows, |cells| {
        Ok(PatternRow {
            kind: cells.next()?,
            key: cells.next()?,
            count: cells.next()?,
            first_at: cells.next()?,
            last_at: cells.next()?,
        })
    })?;
    let mut patterns = ReadingPatterns::default();
    let (mut weekdays, mut hours) = (Vec::new(), Vec::new());
    for PatternRow { kind, key, count, first_at, last_at } in rows {
        // Null without readings.
        let (Some(first_at), Some(last_used_at)) = (first_at, last_at) else { continue };
        let tally = Tally { key, count, last_used_at };
        match kind {
            ALL => patterns.readings_per_week = readings_per_week(count, first_at, last_used_at),
            WEEKDAY => weekdays.push(tally),
            HOUR => hours.push(tally),
            _ => patterns.longest_streak_days = count,
        }
    }
    let weekday = most_used(weekdays, |day| day).and_then(|day| usize::try_from(day).ok());
    patterns.busiest_weekday = weekday.and_then(|day| Weekday::ALL.get(day).copied());
    patterns.busiest_hour = most_used(hours, |hour| hour);
    Ok(patterns)
}

/// Kinds of rows of [`patterns_query`].
const ALL: i32 = 0;
const WEEKDAY: i32 = 1;
const HOUR: i32 = 2;
const STREAK: i32 = 3;

struct PatternRow {
    kind: i32,
    key: i32,
    /// Number of readings, or of days.
    count: i64,
    first_at: Option<DateTime<Utc>>,
    last_at: Option<DateTime<Utc>>,
}

fn patterns_query(user: Uuid, local: LocalTime) -> SelectStatement {
    /// 1970 began on a Thursday, which is 3 days after a Monday.
    const FROM_MONDAY: i32 = 3;
    let mut made = readings(Column::UserId.eq(user), TimeWindow::default());
    made.column(Column::CreatedAt).expr_as(local.day(), "day").expr_as(local.hour(), "hour");
    let hours = Query::select()
        .columns(["day", "hour"])
        .expr_as(Expr::col("created_at").count(), "readings")
        .expr_as(Expr::col("created_at").min(), "first_at")
        .expr_as(Expr::col("created_at").max(), "last_at")
        .from_subquery(made, "made")
        .group_by_columns(["day", "hour"])
        .to_owned();
    let times = |query: &mut SelectStatement| {
        query
            .expr_as(Expr::col("first_at").min(), "first_at")
            .expr_as(Expr::col("last_at").max(), "last_at");
    };
    // PostgreSQL's sum of bigint is numeric.
    let readings = || Expr::col("readings").sum().if_null(0_i64).cast_as("bigint");
    let by = |kind: i32, key: SimpleExpr| {
        let mut query = Query::select();
        query.expr(constant(kind)).expr(key.clone()).expr(readings()).from("hours");
        times(&mut query);
        query.add_group_by([key]);
        query
    };
    let mut days = Query::select();
    days.column("day").from("hours").group_by_col("day");
    times(&mut days);
    let place = WindowStatement::new().order_by("day", Order::Asc).to_owned();
    let placed = Query::select()
        .columns(["day", "first_at", "last_at"])
        .expr_window_as(Func::cust("row_number"), place, "place")
        .from_subquery(days, "days")
        .to_owned();
    // Consecutive dates have the same difference from their row number.
    let island = || Expr::col("day").sub(Expr::col("place"));
    let mut streaks = Query::select();
    streaks.expr_as(Expr::col("day").count(), "days").from_subquery(placed, "placed");
    times(&mut streaks);
    streaks.add_group_by([island()]);
    let mut longest = Query::select();
    longest
        .expr(constant(STREAK))
        .expr(constant(0))
        .expr(Expr::col("days").max().if_null(0_i64))
        .from_subquery(streaks, "streaks");
    times(&mut longest);

    let mut all = Query::select();
    all.expr(constant(ALL)).expr(constant(0)).expr(readings()).from("hours");
    times(&mut all);
    let weekday = Expr::col("day").add(constant(FROM_MONDAY)).modulo(constant(7));
    all.union(UnionType::All, by(WEEKDAY, weekday))
        .union(UnionType::All, by(HOUR, Expr::col("hour")))
        .union(UnionType::All, longest)
        .with_cte(
            WithClause::new()
                .cte(CommonTableExpression::new().table_name("hours").query(hours).to_owned())
                .to_owned(),
        )
        .to_owned()
}

/// Figures of a user's readings in two adjacent periods: the previous one, then the current one.
pub async fn readings_before_and_since(
    session: &Session,
    user: Uuid,
    periods: AdjacentPeriods,
) -> Result<[PeriodStats; 2], DbError> {
    const STATEMENT: &str = "readings_before_and_since";
    let AdjacentPeriods { previous_start, current_start, end } = periods;
    let window = TimeWindow { from: Some(previous_start), to: Some(end) };
    let mut made = readings(Column::UserId.eq(user), window);
    made.column(Column::UserSatisfaction).expr_as(Column::CreatedAt.gte(current_start), "is_since");
    let query = Query::select()
        .column("is_since")
        .expr(Expr::col("is_since").count())
        .expr(rating_sum())
        .expr(Expr::col(Column::UserSatisfaction).count())
        .from_subquery(made, "made")
        .group_by_col("is_since")
        .to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    let rows = decode_rows(STATEMENT, &rows, |cells| {
        let is_since: bool = cells.next()?;
        let readings = cells.next()?;
        let ratings = Ratings { sum: cells.next()?, count: cells.next()? };
        Ok((is_since, PeriodStats { readings, ratings }))
    })?;
    let of = |since: bool| rows.iter().find(|row| row.0 == since).map(|row| row.1);
    Ok([of(false).unwrap_or_default(), of(true).unwrap_or_default()])
}
