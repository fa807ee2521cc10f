//! Positions of spreads.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "spread_positions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spread_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i16,
    pub x: Option<f64>,
    pub y: Option<f64>,
    pub rotation: Option<f64>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
