//! Names and templates of voices.

use sea_orm::entity::prelude::*;

use super::columns::Templates;
use crate::domain::locale::Locale;
use crate::domain::voice::VoiceKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "voice_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub voice: VoiceKey,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub display_name: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub templates: Templates,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
