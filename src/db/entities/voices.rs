//! The fourteen voices.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;
use crate::domain::voice::VoiceKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "voices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: VoiceKey,
    pub tone: String,
    pub vocabulary_style: String,
    pub humor_style: Option<String>,
    pub faction: Option<FactionKey>,
    pub response_length: String,
    pub detail_level: String,
    pub is_active: bool,
    pub sort_order: i16,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
