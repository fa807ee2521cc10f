//! Statements on cards.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::entities::columns::TextList;
use super::entities::{card_interpretations, card_stats, card_texts, wasteland_cards};
use super::query::membership::is_one_of;
use super::query::set;
use super::{DbError, Session, Transaction};
use crate::domain::locale::Locale;

/// A card's row.
pub type CardRow = wasteland_cards::Model;
/// A card's texts in one language.
pub type CardTextRow = card_texts::Model;
/// One voice's interpretation of a card in one language.
pub type CardInterpretationRow = card_interpretations::Model;
/// A card's draw counter.
pub type CardStatsRow = card_stats::Model;

/// All cards in deck order.
pub async fn cards_all(session: &Session) -> Result<Vec<CardRow>, DbError> {
    let query = wasteland_cards::Entity::find()
        .order_by_asc(wasteland_cards::Column::Suit)
        .order_by_asc(wasteland_cards::Column::Number)
        .into_query();
    session.all("cards_all", &query).await
}

/// The texts of all cards.
pub async fn card_texts_all(session: &Session) -> Result<Vec<CardTextRow>, DbError> {
    session.all("card_texts_all", &card_texts::Entity::find().into_query()).await
}

/// All voices' interpretations of all cards.
pub async fn card_interpretations_all(
    session: &Session,
) -> Result<Vec<CardInterpretationRow>, DbError> {
    session
        .all("card_interpretations_all", &card_interpretations::Entity::find().into_query())
        .await
}

/// The draw counters of these cards; cards never drawn may be missing.
///
/// SQL: `draws_of_cards.snap`.
pub async fn card_stats_by_card_id(
    session: &Session,
    cards: &[Uuid],
) -> Result<Vec<CardStatsRow>, DbError> {
    let query = card_stats::Entity::find()
        .filter(is_one_of(session.dialect(), card_stats::Column::CardId, cards))
        .into_query();
    session.all("card_stats_by_card_id", &query).await
}

/// Changes of a card; `None` leaves a column unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct CardChange {
    pub radiation_level: Option<f64>,
    pub threat_level: Option<i16>,
    pub vault_number: Option<Option<i16>>,
    pub image_url: Option<Option<String>>,
}

/// Changes a card.
pub async fn card_change(
    transaction: &Transaction,
    id: Uuid,
    change: CardChange,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use wasteland_cards::{Column, Entity};
    let mut statement = Query::update();
    statement.table(Entity).value(Column::UpdatedAt, now).and_where(Column::Id.eq(id));
    set(&mut statement, Column::RadiationLevel, change.radiation_level);
    set(&mut statement, Column::ThreatLevel, change.threat_level);
    set(&mut statement, Column::VaultNumber, change.vault_number);
    set(&mut statement, Column::ImageUrl, change.image_url);
    transaction.execute("card_change", &statement).await.map(drop)
}

/// Changes of a card's texts; `None` leaves a column unchanged.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "a field a column")]
pub struct CardTextChange {
    pub name: Option<String>,
    pub upright_meaning: Option<String>,
    pub reversed_meaning: Option<String>,
    pub keywords: Option<Vec<String>>,
}

/// Changes a card's texts in one language.
pub async fn card_text_change(
    transaction: &Transaction,
    id: Uuid,
    locale: Locale,
    change: CardTextChange,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use card_texts::{Column, Entity};
    let mut statement = Query::update();
    statement
        .table(Entity)
        .value(Column::UpdatedAt, now)
        .and_where(Column::CardId.eq(id))
        .and_where(Column::Locale.eq(locale));
    set(&mut statement, Column::Name, change.name);
    set(&mut statement, Column::UprightMeaning, change.upright_meaning);
    set(&mut statement, Column::ReversedMeaning, change.reversed_meaning);
    set(&mut statement, Column::Keywords, change.keywords.map(TextList));
    transaction.execute("card_text_change", &statement).await.map(drop)
}
