//! Secret links to single readings.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reading_shares")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub reading_id: Uuid,
    pub token: String,
    pub password_hash: Option<String>,
    pub is_active: bool,
    pub expires_at: Option<DateTimeUtc>,
    pub access_count: i64,
    pub last_access_at: Option<DateTimeUtc>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
