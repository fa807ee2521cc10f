//! Changes of counters by committed writes, not folded yet.

use sea_orm::entity::prelude::*;

use super::columns::{DrawDeltas, UsageDeltas};

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "counter_deltas")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub users: i32,
    pub readings: i32,
    #[sea_orm(column_type = "JsonBinary")]
    pub draws: DrawDeltas,
    #[sea_orm(column_type = "JsonBinary")]
    pub uses: UsageDeltas,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
