//! The nine factions.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "factions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: FactionKey,
    pub alignment: String,
    pub sort_order: i16,
    pub is_active: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
