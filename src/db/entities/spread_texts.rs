//! Names and descriptions of spreads.

use sea_orm::entity::prelude::*;

use crate::domain::locale::Locale;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "spread_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spread_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub display_name: String,
    pub description: String,
    pub interpretation_guide: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
