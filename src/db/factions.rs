//! Statements on factions. They run when the catalogue is loaded.

use sea_orm::{EntityTrait, QueryOrder, QueryTrait};

use super::entities::{faction_texts, faction_voices, factions};
use super::{DbError, Session};

/// A faction's row.
pub type FactionRow = factions::Model;
/// A faction's name in one language.
pub type FactionTextRow = faction_texts::Model;
/// A voice of a faction.
pub type FactionVoiceRow = faction_voices::Model;

/// All factions in their order.
pub async fn factions_all(session: &Session) -> Result<Vec<FactionRow>, DbError> {
    let query = factions::Entity::find().order_by_asc(factions::Column::SortOrder).into_query();
    session.all("factions_all", &query).await
}

/// The names of all factions.
pub async fn faction_texts_all(session: &Session) -> Result<Vec<FactionTextRow>, DbError> {
    session.all("faction_texts_all", &faction_texts::Entity::find().into_query()).await
}

/// The voices of all factions, by priority within each.
pub async fn faction_voices_all(session: &Session) -> Result<Vec<FactionVoiceRow>, DbError> {
    let query = faction_voices::Entity::find()
        .order_by_asc(faction_voices::Column::Faction)
        .order_by_asc(faction_voices::Column::Priority)
        .into_query();
    session.all("faction_voices_all", &query).await
}
