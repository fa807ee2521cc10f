//! Readings.

use sea_orm::entity::prelude::*;

use super::columns::TextList;
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::SpreadType;
use crate::domain::voice::VoiceKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reading_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub spread_template_id: Uuid,
    pub spread_type: SpreadType,
    pub character_voice: VoiceKey,
    pub karma_context: Karma,
    pub question: String,
    pub focus_area: Option<String>,
    pub notes: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: TextList,
    pub category_id: Option<Uuid>,
    pub status: ReadingStatus,
    pub radiation_factor: f64,
    pub interpretation: String,
    pub summary: String,
    pub locale: Locale,
    pub mood_before: Option<String>,
    pub mood_after: Option<String>,
    pub privacy_level: PrivacyLevel,
    pub is_favorite: bool,
    pub archived_at: Option<DateTimeUtc>,
    pub user_satisfaction: Option<i16>,
    pub accuracy_rating: Option<i16>,
    pub helpful_rating: Option<i16>,
    pub user_feedback: Option<String>,
    pub version: i32,
    pub completed_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
