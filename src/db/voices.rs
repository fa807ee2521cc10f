//! Statements on voices.

use sea_orm::{EntityTrait, QueryOrder, QueryTrait};

use super::entities::{voice_texts, voices};
use super::{DbError, Session};

/// A voice's row.
pub type VoiceRow = voices::Model;
/// A voice's texts in one language.
pub type VoiceTextRow = voice_texts::Model;

/// All voices in their order.
pub async fn voices_all(session: &Session) -> Result<Vec<VoiceRow>, DbError> {
    let query = voices::Entity::find().order_by_asc(voices::Column::SortOrder).into_query();
    session.all("voices_all", &query).await
}

/// The texts of all voices.
pub async fn voice_texts_all(session: &Session) -> Result<Vec<VoiceTextRow>, DbError> {
    session.all("voice_texts_all", &voice_texts::Entity::find().into_query()).await
}
