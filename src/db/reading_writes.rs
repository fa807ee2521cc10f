//! Statements that write readings, and that read them for a write. Each takes the owner and affects only
//! the owner's readings.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query, SimpleExpr, UpdateStatement, Value};
use sea_orm::{ColumnTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};
use search_text::fold_for_trigrams;
use uuid::Uuid;

use super::bulk::{Searched, insert, insert_searched};
use super::entities::columns::TextList;
use super::entities::reading_sessions::{Column, Entity, Model};
use super::entities::{reading_cards, reading_sessions};
use super::query::columns::ReadingColumns;
use super::query::tags::TagLookup;
use super::query::{Dialect, set};
use super::readings::{
    ReadingRow, SEARCH_NOTES, SEARCH_QUESTION, TAGS, decode_reading, select_readings,
};
use super::user_card_stats::Draw;
use super::{DbError, Session, Transaction};
use crate::domain::reading::PrivacyLevel;

/// Inserts a reading and its cards.
pub async fn reading_insert(
    transaction: &Transaction,
    reading: Model,
    cards: Vec<reading_cards::Model>,
) -> Result<(), DbError> {
    transaction.execute("reading_insert", &insert_searched([reading])).await?;
    transaction.execute("drawn_cards_insert", &insert(cards)).await?;
    Ok(())
}

impl Searched for Model {
    const SEARCH_COLUMNS: &'static [&'static str] = &[SEARCH_QUESTION, SEARCH_NOTES];

    fn search_texts(&self) -> Vec<Value> {
        vec![
            fold_for_trigrams(&self.question).into(),
            self.notes.as_deref().map(fold_for_trigrams).into(),
        ]
    }
}

/// The owner's reading with an id, locked against changes until the end of the transaction.
pub async fn own_reading_locked(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
) -> Result<Option<ReadingRow>, DbError> {
    let query = own_reading(owner, id).lock(LockType::NoKeyUpdate).into_query();
    one(transaction, "own_reading_locked", &query).await
}

/// The owner's reading with an id.
pub async fn own_reading_by_id(
    session: &Session,
    owner: Uuid,
    id: Uuid,
) -> Result<Option<ReadingRow>, DbError> {
    one(session, "own_reading_by_id", &own_reading(owner, id).into_query()).await
}

fn own_reading(owner: Uuid, id: Uuid) -> sea_orm::Select<Entity> {
    select_readings(ReadingColumns::WithTexts)
        .filter(Column::Id.eq(id))
        .filter(Column::UserId.eq(owner))
}

async fn one(
    session: &Session,
    statement: &'static str,
    query: &sea_orm::sea_query::SelectStatement,
) -> Result<Option<ReadingRow>, DbError> {
    let rows = session.rows(statement, query).await?;
    rows.first()
        .map(|row| decode_reading(ReadingColumns::WithTexts, row, 0))
        .transpose()
        .map_err(|error| DbError::of(statement, error))
}

/// Changes of a reading; `None` leaves a column unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct ReadingChange {
    pub question: Option<String>,
    pub notes: Option<Option<String>>,
    pub focus_area: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
    pub category_id: Option<Option<Uuid>>,
    pub privacy_level: Option<PrivacyLevel>,
    pub is_favorite: Option<bool>,
    pub archived_at: Option<Option<DateTime<Utc>>>,
    pub mood_after: Option<Option<String>>,
    pub user_feedback: Option<Option<String>>,
    pub user_satisfaction: Option<Option<i16>>,
    pub accuracy_rating: Option<Option<i16>>,
    pub helpful_rating: Option<Option<i16>>,
}

/// Updates a reading of the owner. Returns the reading after the update.
pub async fn reading_change(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
    change: ReadingChange,
    now: DateTime<Utc>,
) -> Result<Option<ReadingRow>, DbError> {
    let mut statement = update_of_owner(owner, now);
    set(&mut statement, SEARCH_QUESTION, change.question.as_deref().map(fold_for_trigrams));
    let notes = change.notes.as_ref().map(|notes| notes.as_deref().map(fold_for_trigrams));
    set(&mut statement, SEARCH_NOTES, notes);
    set(&mut statement, Column::Question, change.question);
    set(&mut statement, Column::Notes, change.notes);
    set(&mut statement, Column::FocusArea, change.focus_area);
    set(&mut statement, Column::Tags, change.tags.map(TextList));
    set(&mut statement, Column::CategoryId, change.category_id);
    set(&mut statement, Column::PrivacyLevel, change.privacy_level);
    set(&mut statement, Column::IsFavorite, change.is_favorite);
    set(&mut statement, Column::ArchivedAt, change.archived_at);
    set(&mut statement, Column::MoodAfter, change.mood_after);
    set(&mut statement, Column::UserFeedback, change.user_feedback);
    set(&mut statement, Column::UserSatisfaction, change.user_satisfaction);
    set(&mut statement, Column::AccuracyRating, change.accuracy_rating);
    set(&mut statement, Column::HelpfulRating, change.helpful_rating);
    statement.and_where(Column::Id.eq(id));
    transaction.execute("reading_change", &statement).await?;
    own_reading_by_id(transaction, owner, id).await
}

/// An update of the owner's readings. Each update increments the version.
fn update_of_owner(owner: Uuid, now: DateTime<Utc>) -> UpdateStatement {
    Query::update()
        .table(Entity)
        .value(Column::Version, Expr::col(Column::Version).add(1))
        .value(Column::UpdatedAt, now)
        .and_where(Column::UserId.eq(owner))
        .to_owned()
}

/// Deletes a reading of the owner, with its cards and share links.
pub async fn reading_delete(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
) -> Result<(), DbError> {
    let statement = Query::delete()
        .from_table(Entity)
        .and_where(Column::Id.eq(id))
        .and_where(Column::UserId.eq(owner))
        .to_owned();
    transaction.execute("reading_delete", &statement).await.map(drop)
}

/// The cards drawn in a reading.
pub async fn draws_of_reading(session: &Session, id: Uuid) -> Result<Vec<Draw>, DbError> {
    use reading_cards::Column as Drawn;
    let query = Query::select()
        .columns([Drawn::CardId, Drawn::Orientation])
        .from(reading_cards::Entity)
        .and_where(Drawn::ReadingId.eq(id))
        .to_owned();
    session.all("draws_of_reading", &query).await
}

/// Removes all readings from a category of the owner. Returns their number.
pub async fn readings_clear_category(
    transaction: &Transaction,
    owner: Uuid,
    category: Uuid,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let mut statement = update_of_owner(owner, now);
    statement
        .value(Column::CategoryId, Option::<Uuid>::None)
        .and_where(Column::CategoryId.eq(category));
    transaction.execute("readings_clear_category", &statement).await
}

/// Replaces tags by another one in all readings of the owner, or removes them if `to` is `None`. No tag is
/// duplicated. Returns the number of changed readings.
pub async fn tags_replace(
    transaction: &Transaction,
    owner: Uuid,
    from: &[String],
    to: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let mut statement = update_of_owner(owner, now);
    let dialect = transaction.dialect();
    statement.value(Column::Tags, replaced_tags(dialect, from, to)).and_where(TAGS.has_any(
        dialect,
        TagLookup::ByRow,
        from,
    ));
    transaction.execute("tags_replace", &statement).await
}

/// The row's tags after the replacement, in their order.
fn replaced_tags(dialect: Dialect, from: &[String], to: Option<&str>) -> SimpleExpr {
    let mut values: Vec<Value> = from.iter().map(|tag| tag.as_str().into()).collect();
    values.push(to.map(str::to_owned).into());
    if dialect.is_sqlite() {
        let places = vec!["?"; from.len()].join(", ");
        return Expr::cust_with_values(
            format!(
                "(SELECT coalesce(json_group_array(tag), '[]') FROM (SELECT tag FROM (\
                 SELECT CASE WHEN value IN ({places}) THEN ? ELSE value END AS tag, key AS place \
                 FROM json_each(reading_sessions.tags)) WHERE tag IS NOT NULL \
                 GROUP BY tag ORDER BY min(place)))"
            ),
            values,
        );
    }
    let places: Vec<String> = (1..=from.len()).map(|number| format!("${number}")).collect();
    let (places, to) = (places.join(", "), from.len() + 1);
    Expr::cust_with_values(
        format!(
            "(SELECT coalesce(jsonb_agg(tag ORDER BY place), CAST('[]' AS jsonb)) FROM (\
             SELECT tag, min(place) AS place FROM (\
             SELECT CASE WHEN value IN ({places}) THEN ${to} ELSE value END AS tag, place \
             FROM jsonb_array_elements_text(reading_sessions.tags) WITH ORDINALITY AS each (value, place)\
             ) AS renamed WHERE tag IS NOT NULL GROUP BY tag) AS merged)"
        ),
        values,
    )
}

/// A tag of a user.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct TagRow {
    /// The tag.
    pub name: String,
    /// Number of the user's readings with the tag, archived ones included.
    pub readings: i64,
    /// Creation time of the newest of them.
    pub last_used_at: DateTime<Utc>,
}

/// All tags of a user.
pub async fn tags_of_user(session: &Session, owner: Uuid) -> Result<Vec<TagRow>, DbError> {
    let tags = Expr::col((reading_sessions::Entity, Column::Tags));
    let (function, name) = if session.dialect().is_sqlite() {
        ("json_each", Expr::col(("tag", "value")))
    } else {
        ("jsonb_array_elements_text", Expr::col("tag"))
    };
    let function = sea_orm::sea_query::Func::cust(function).arg(tags);
    let query = Query::select()
        .expr_as(name.clone(), "name")
        .expr_as(Expr::col((Entity, Column::Id)).count(), "readings")
        .expr_as(Expr::col((Entity, Column::CreatedAt)).max(), "last_used_at")
        .from(Entity)
        .from_function(function, "tag")
        .and_where(Expr::col((Entity, Column::UserId)).eq(owner))
        .add_group_by([name])
        .to_owned();
    session.all("tags_of_user", &query).await
}
