//! Usage and rating counters of spreads.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "spread_stats")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub spread_id: Uuid,
    pub usage_count: i64,
    pub rating_sum: i64,
    pub rating_n: i64,
    pub last_used_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
