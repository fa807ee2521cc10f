//! Readings that an admin has hidden.

use sea_orm::entity::prelude::*;

use crate::domain::reading::PrivacyLevel;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "hidden_readings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub reading_id: Uuid,
    pub privacy_level: PrivacyLevel,
    pub reason: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
