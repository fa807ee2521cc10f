//! Interpretations of cards by voices.

use sea_orm::entity::prelude::*;

use crate::domain::locale::Locale;
use crate::domain::voice::VoiceKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "card_interpretations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub card_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub voice: VoiceKey,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub text: String,
    pub is_active: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
