//! Statements on spreads.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::{
    spread_position_texts, spread_positions, spread_stats, spread_templates, spread_texts,
};
use super::query::membership::is_one_of;
use super::query::set;
use super::{DbError, Session, Transaction};
use crate::domain::faction::FactionKey;
use crate::domain::locale::Locale;
use crate::domain::spread::Difficulty;

/// A spread's row.
pub type SpreadRow = spread_templates::Model;
/// A spread's texts in one language.
pub type SpreadTextRow = spread_texts::Model;
/// A position's row.
pub type PositionRow = spread_positions::Model;
/// A position's texts in one language.
pub type PositionTextRow = spread_position_texts::Model;
/// A spread's usage and rating counters.
pub type SpreadStatsRow = spread_stats::Model;

/// All spreads, inactive ones included.
pub async fn spreads_all(session: &Session) -> Result<Vec<SpreadRow>, DbError> {
    session.all("spreads_all", &spread_templates::Entity::find().into_query()).await
}

/// The texts of all spreads.
pub async fn spread_texts_all(session: &Session) -> Result<Vec<SpreadTextRow>, DbError> {
    session.all("spread_texts_all", &spread_texts::Entity::find().into_query()).await
}

/// The positions of all spreads, by number within each.
pub async fn positions_all(session: &Session) -> Result<Vec<PositionRow>, DbError> {
    let query = spread_positions::Entity::find()
        .order_by_asc(spread_positions::Column::SpreadId)
        .order_by_asc(spread_positions::Column::Number)
        .into_query();
    session.all("positions_all", &query).await
}

/// The texts of all positions.
pub async fn position_texts_all(session: &Session) -> Result<Vec<PositionTextRow>, DbError> {
    session.all("position_texts_all", &spread_position_texts::Entity::find().into_query()).await
}

/// The counters of these spreads; spreads never used may be missing.
///
/// SQL: `uses_of_spreads.snap`.
pub async fn spread_stats_by_spread_id(
    session: &Session,
    spreads: &[Uuid],
) -> Result<Vec<SpreadStatsRow>, DbError> {
    let query = spread_stats::Entity::find()
        .filter(is_one_of(session.dialect(), spread_stats::Column::SpreadId, spreads))
        .into_query();
    session.all("spread_stats_by_spread_id", &query).await
}

/// Changes of a spread; `None` leaves a column unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct SpreadChange {
    pub difficulty: Option<Difficulty>,
    pub faction: Option<Option<FactionKey>>,
    pub is_active: Option<bool>,
    pub is_premium: Option<bool>,
}

/// Changes a spread.
pub async fn spread_change(
    transaction: &Transaction,
    id: Uuid,
    change: SpreadChange,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use spread_templates::{Column, Entity};
    let mut statement = Query::update();
    statement.table(Entity).value(Column::UpdatedAt, now).and_where(Column::Id.eq(id));
    set(&mut statement, Column::DifficultyLevel, change.difficulty);
    set(&mut statement, Column::FactionPreference, change.faction);
    set(&mut statement, Column::IsActive, change.is_active);
    set(&mut statement, Column::IsPremium, change.is_premium);
    transaction.execute("spread_change", &statement).await.map(drop)
}

/// Changes of a spread's texts; `None` leaves a column unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct SpreadTextChange {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub interpretation_guide: Option<Option<String>>,
}

/// Changes a spread's texts in one language.
pub async fn spread_text_change(
    transaction: &Transaction,
    id: Uuid,
    locale: Locale,
    change: SpreadTextChange,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use spread_texts::{Column, Entity};
    let mut statement = Query::update();
    statement
        .table(Entity)
        .value(Column::UpdatedAt, now)
        .and_where(Column::SpreadId.eq(id))
        .and_where(Column::Locale.eq(locale));
    set(&mut statement, Column::DisplayName, change.display_name);
    set(&mut statement, Column::Description, change.description);
    set(&mut statement, Column::InterpretationGuide, change.interpretation_guide);
    transaction.execute("spread_text_change", &statement).await.map(drop)
}

/// New values of a position, with its texts in one language.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct PositionChange {
    pub number: i16,
    pub x: Option<f64>,
    pub y: Option<f64>,
    pub rotation: Option<f64>,
    pub name: String,
    pub meaning: String,
}

/// Replaces the positions of a spread. Texts in other languages of positions that remain are unchanged.
pub async fn positions_replace(
    transaction: &Transaction,
    id: Uuid,
    locale: Locale,
    positions: Vec<PositionChange>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let count = i16::try_from(positions.len()).unwrap_or(i16::MAX);
    let surplus = Query::delete()
        .from_table(spread_positions::Entity)
        .and_where(spread_positions::Column::SpreadId.eq(id))
        .and_where(spread_positions::Column::Number.gt(count))
        .to_owned();
    transaction.execute("positions_delete", &surplus).await?;
    let (places, texts): (Vec<_>, Vec<_>) =
        positions.into_iter().map(|position| rows_of(position, id, locale, now)).unzip();
    let mut places = insert(places);
    {
        use spread_positions::Column;
        let changed = [Column::X, Column::Y, Column::Rotation, Column::UpdatedAt];
        places.on_conflict(
            OnConflict::columns([Column::SpreadId, Column::Number])
                .update_columns(changed)
                .to_owned(),
        );
    }
    transaction.execute("positions_insert", &places).await?;
    let mut texts = insert(texts);
    {
        use spread_position_texts::Column;
        texts.on_conflict(
            OnConflict::columns([Column::SpreadId, Column::Number, Column::Locale])
                .update_columns([Column::Name, Column::Meaning, Column::UpdatedAt])
                .to_owned(),
        );
    }
    transaction.execute("position_texts_insert", &texts).await?;
    let spread = Query::update()
        .table(spread_templates::Entity)
        .value(spread_templates::Column::CardCount, count)
        .and_where(spread_templates::Column::Id.eq(id))
        .to_owned();
    transaction.execute("spread_card_count", &spread).await.map(drop)
}

fn rows_of(
    position: PositionChange,
    spread_id: Uuid,
    locale: Locale,
    now: DateTime<Utc>,
) -> (PositionRow, PositionTextRow) {
    let PositionChange { number, x, y, rotation, name, meaning } = position;
    let place = PositionRow { spread_id, number, x, y, rotation, created_at: now, updated_at: now };
    let text = PositionTextRow {
        spread_id,
        number,
        locale,
        name,
        meaning,
        created_at: now,
        updated_at: now,
    };
    (place, text)
}
