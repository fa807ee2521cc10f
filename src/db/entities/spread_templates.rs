//! Spreads.

use sea_orm::entity::prelude::*;

use crate::domain::faction::FactionKey;
use crate::domain::spread::{Difficulty, SpreadType};

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "spread_templates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub spread_type: SpreadType,
    pub card_count: i16,
    pub difficulty_level: Difficulty,
    pub faction_preference: Option<FactionKey>,
    pub radiation_sensitivity: f64,
    pub vault_origin: Option<i16>,
    pub is_active: bool,
    pub is_premium: bool,
    pub created_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
