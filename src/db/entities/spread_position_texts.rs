//! Names and meanings of positions.

use sea_orm::entity::prelude::*;

use crate::domain::locale::Locale;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "spread_position_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spread_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub name: String,
    pub meaning: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
