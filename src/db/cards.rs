//! Statements on cards.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::entities::{card_interpretations, card_stats, card_texts, wasteland_cards};
use super::query::membership::is_one_of;
use super::{DbError, Session};

/// A card's row.
pub type CardRow = wasteland_cards::Model;
/// A card's texts in one language.
pub type CardTextRow = card_texts::Model;
/// What one voice says of a card in one language.
pub type CardInterpretationRow = card_interpretations::Model;
/// How often a card was drawn.
pub type CardStatsRow = card_stats::Model;

/// All cards in deck order.
///
/// # Errors
///
/// The statement fails.
pub async fn cards_all(session: &Session) -> Result<Vec<CardRow>, DbError> {
    let query = wasteland_cards::Entity::find()
        .order_by_asc(wasteland_cards::Column::Suit)
        .order_by_asc(wasteland_cards::Column::Number)
        .into_query();
    session.all("cards_all", &query).await
}

/// The texts of all cards.
///
/// # Errors
///
/// The statement fails.
pub async fn card_texts_all(session: &Session) -> Result<Vec<CardTextRow>, DbError> {
    session.all("card_texts_all", &card_texts::Entity::find().into_query()).await
}

/// What the voices say of all cards.
///
/// # Errors
///
/// The statement fails.
pub async fn card_interpretations_all(
    session: &Session,
) -> Result<Vec<CardInterpretationRow>, DbError> {
    session
        .all("card_interpretations_all", &card_interpretations::Entity::find().into_query())
        .await
}

/// The counters of these cards; those never drawn may be left out.
///
/// # Errors
///
/// The statement fails.
pub async fn card_stats_by_card_id(
    session: &Session,
    cards: &[Uuid],
) -> Result<Vec<CardStatsRow>, DbError> {
    let query = card_stats::Entity::find()
        .filter(is_one_of(session, card_stats::Column::CardId, cards))
        .into_query();
    session.all("card_stats_by_card_id", &query).await
}
