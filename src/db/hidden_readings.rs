//! Statements on readings that an admin may moderate: public ones, and those that are hidden.
//!
//! A hidden reading is private: so every statement on public readings leaves it out. Its row here has the reason
//! and the privacy level that it gets back.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query, SelectStatement, SimpleExpr};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait, Select};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::hidden_readings::{Column, Entity, Model};
use super::entities::reading_sessions;
use super::query::columns::ReadingColumns;
use super::query::membership::is_one_of;
use super::readings::{ReadingRow, decode_reading, has_public_level, select_readings};
use super::{DbError, Session, Transaction};
use crate::domain::reading::PrivacyLevel;

/// A hidden reading.
pub type HiddenReadingRow = Model;

/// The hidden ones among these readings. The caller has checked that the viewer may see them.
pub async fn hidden_readings_by_id(
    session: &Session,
    readings: &[Uuid],
) -> Result<HashMap<Uuid, HiddenReadingRow>, DbError> {
    let query = Entity::find()
        .filter(is_one_of(session.dialect(), Column::ReadingId, readings))
        .into_query();
    let rows = session.all::<HiddenReadingRow>("hidden_readings_by_id", &query).await?;
    Ok(rows.into_iter().map(|row| (row.reading_id, row)).collect())
}

/// True if the reading of the statement is hidden.
pub(super) fn is_hidden() -> SimpleExpr {
    let reading = (reading_sessions::Entity, reading_sessions::Column::Id);
    let hidden = Query::select()
        .column(Column::ReadingId)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::ReadingId)).equals(reading))
        .to_owned();
    Expr::exists(hidden)
}

/// The reading with that id, if it is public or hidden. Its owner may be deactivated. For admins, whose role the
/// caller has checked.
pub async fn moderated_reading_by_id(
    session: &Session,
    id: Uuid,
) -> Result<Option<ReadingRow>, DbError> {
    let is_moderated = Condition::any().add(has_public_level()).add(is_hidden());
    let query = reading(id).filter(is_moderated).into_query();
    one(session, "moderated_reading_by_id", &query).await
}

/// A public or hidden reading.
#[derive(Debug, Clone)]
pub struct ModeratedReading {
    /// The reading, with its texts.
    pub reading: ReadingRow,
    /// Row of a hidden reading; `None` if it is public.
    pub hidden: Option<HiddenReadingRow>,
}

/// The reading with that id, locked against changes until the end of the transaction, if it is public or hidden.
pub async fn moderated_reading_locked(
    transaction: &Transaction,
    id: Uuid,
) -> Result<Option<ModeratedReading>, DbError> {
    let query = reading(id).lock(LockType::NoKeyUpdate).into_query();
    let Some(reading) = one(transaction, "moderated_reading_locked", &query).await? else {
        return Ok(None);
    };
    // A statement of its own: that of the lock does not see what was committed while it waited.
    let hidden = hidden_readings_by_id(transaction, &[id]).await?.remove(&id);
    let is_moderated = reading.privacy_level == PrivacyLevel::Public || hidden.is_some();
    Ok(is_moderated.then_some(ModeratedReading { reading, hidden }))
}

/// The reading with that id, which the transaction has moderated.
pub async fn any_reading_by_id(
    transaction: &Transaction,
    id: Uuid,
) -> Result<Option<ReadingRow>, DbError> {
    one(transaction, "moderated_reading_after", &reading(id).into_query()).await
}

fn reading(id: Uuid) -> Select<reading_sessions::Entity> {
    select_readings(ReadingColumns::WithTexts).filter(reading_sessions::Column::Id.eq(id))
}

async fn one(
    session: &Session,
    statement: &'static str,
    query: &SelectStatement,
) -> Result<Option<ReadingRow>, DbError> {
    let rows = session.rows(statement, query).await?;
    rows.first()
        .map(|row| decode_reading(ReadingColumns::WithTexts, row, 0))
        .transpose()
        .map_err(|error| DbError::of(statement, error))
}

/// Hides a public reading.
pub async fn reading_hide(
    transaction: &Transaction,
    reading: &ReadingRow,
    reason: String,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = HiddenReadingRow {
        reading_id: reading.id,
        privacy_level: reading.privacy_level,
        reason,
        created_at: now,
        updated_at: now,
    };
    transaction.execute("hidden_reading_insert", &insert([row])).await?;
    set_privacy(transaction, reading.id, PrivacyLevel::Private, now).await
}

/// Makes a hidden reading as visible as its owner has chosen.
pub async fn reading_unhide(
    transaction: &Transaction,
    hidden: &HiddenReadingRow,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = Query::delete()
        .from_table(Entity)
        .and_where(Column::ReadingId.eq(hidden.reading_id))
        .to_owned();
    transaction.execute("hidden_reading_delete", &statement).await?;
    set_privacy(transaction, hidden.reading_id, hidden.privacy_level, now).await
}

async fn set_privacy(
    transaction: &Transaction,
    reading: Uuid,
    privacy_level: PrivacyLevel,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use reading_sessions::Column as Reading;
    let statement = Query::update()
        .table(reading_sessions::Entity)
        .value(Reading::PrivacyLevel, privacy_level)
        .value(Reading::Version, Expr::col(Reading::Version).add(1))
        .value(Reading::UpdatedAt, now)
        .and_where(Reading::Id.eq(reading))
        .to_owned();
    transaction.execute("reading_set_privacy", &statement).await.map(drop)
}

/// Sets the privacy level that a hidden reading gets back.
pub async fn hidden_reading_set_privacy(
    transaction: &Transaction,
    reading: Uuid,
    privacy_level: PrivacyLevel,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = Query::update()
        .table(Entity)
        .value(Column::PrivacyLevel, privacy_level)
        .value(Column::UpdatedAt, now)
        .and_where(Column::ReadingId.eq(reading))
        .to_owned();
    transaction.execute("hidden_reading_set_privacy", &statement).await.map(drop)
}
