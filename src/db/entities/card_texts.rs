//! Names and meanings of cards.

use sea_orm::entity::prelude::*;

use super::columns::TextList;
use crate::domain::locale::Locale;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "card_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub card_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub locale: Locale,
    pub name: String,
    pub upright_meaning: String,
    pub reversed_meaning: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub keywords: TextList,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
