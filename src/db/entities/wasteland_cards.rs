//! The 78 cards.

use sea_orm::entity::prelude::*;

use crate::domain::card::{CardType, Suit};

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "wasteland_cards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub code: String,
    pub card_type: CardType,
    pub suit: Suit,
    pub number: i16,
    pub standard_name: String,
    pub standard_suit: String,
    pub radiation_level: f64,
    pub threat_level: i16,
    pub vault_number: Option<i16>,
    pub image_url: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
