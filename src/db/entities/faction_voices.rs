//! The voices of each faction.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;
use crate::domain::voice::VoiceKey;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "faction_voices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub faction: FactionKey,
    #[sea_orm(primary_key, auto_increment = false)]
    pub voice: VoiceKey,
    pub priority: i16,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
