//! The cards drawn in readings.

use sea_orm::entity::prelude::*;

use super::columns::LocalizedText;
use crate::domain::card::Orientation;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reading_cards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub reading_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position_number: i16,
    pub card_id: Uuid,
    #[sea_orm(column_type = "JsonBinary")]
    pub position_name: LocalizedText,
    #[sea_orm(column_type = "JsonBinary")]
    pub position_meaning: LocalizedText,
    pub orientation: Orientation,
    pub draw_order: i16,
    pub radiation_influence: f64,
    pub interpretation: String,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
