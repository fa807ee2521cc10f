//! Names of factions.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;
use crate::domain::locale::Locale;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "faction_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub faction: FactionKey,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub name: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
