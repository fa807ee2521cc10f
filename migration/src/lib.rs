//! Migrations of the database schema, one change in each file, for PostgreSQL 15 and later and for SQLite.
//!
//! Migrations are SQL with placeholders in braces for the few types that the dialects name differently, see
//! [`dialect`]. A released migration is never edited; a later one amends it.

mod concurrent_index;
mod database;
mod dialect;
mod m20261101_000001_enable_pg_trgm;
mod m20261101_000002_create_users;
mod m20261101_000003_create_refresh_tokens;
mod m20261101_000004_create_daily_usage;
mod m20261101_000005_create_wasteland_cards;
mod m20261101_000006_create_voices;
mod m20261101_000007_create_factions;
mod m20261101_000008_create_card_interpretations;
mod m20261101_000009_create_spread_templates;
mod m20261101_000010_create_reading_categories;
mod m20261101_000011_create_reading_sessions;
mod m20261101_000012_create_reading_cards;
mod m20261101_000013_create_reading_shares;
mod m20261101_000014_create_idempotency_keys;
mod m20261101_000015_index_reading_sessions_for_lists;
mod m20261101_000016_index_reading_sessions_for_filters;
mod m20261101_000017_index_reading_sessions_for_search;
mod m20261101_000018_index_reference_tables;
mod m20261101_000019_create_counter_deltas;
mod m20261101_000020_order_reading_sessions;
mod m20261101_000021_create_user_card_stats;
mod m20261101_000022_index_tags_on_sqlite;
mod m20261101_000023_cover_statistics;
mod m20261101_000024_search_in_an_index;
mod m20261101_000025_create_cache_outbox;
mod m20261101_000026_search_public_readings;
mod m20261101_000027_branch_refresh_tokens;
mod m20261101_000028_fold_searched_texts;
mod m20261101_000029_fold_names_of_users;
mod m20261101_000030_create_login_throttles_since_000029;
mod m20261101_000031_create_token_revocations_since_000029;
mod m20261101_000032_add_skeletons_of_usernames_since_000029;
mod m20261101_000033_create_audit_log_since_000029;
mod m20261101_000034_create_hidden_readings_since_000029;
mod m20261101_000035_index_inactive_users_since_000029;
mod search_texts;
mod versions;

pub use concurrent_index::ConcurrentIndex;
pub use database::{DEFAULT_DATABASE_URL, LOCK_TIMEOUT, connect, create_folder_of_embedded};
use sea_orm_migration::{MigrationTrait, async_trait::async_trait};
pub use sea_orm_migration::{MigratorTrait, SchemaManager};
pub use versions::{applied_migrations, is_compatible};

/// All migrations in their order.
pub struct Migrator;

#[async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261101_000001_enable_pg_trgm::Migration),
            Box::new(m20261101_000002_create_users::Migration),
            Box::new(m20261101_000003_create_refresh_tokens::Migration),
            Box::new(m20261101_000004_create_daily_usage::Migration),
            Box::new(m20261101_000005_create_wasteland_cards::Migration),
            Box::new(m20261101_000006_create_voices::Migration),
            Box::new(m20261101_000007_create_factions::Migration),
            Box::new(m20261101_000008_create_card_interpretations::Migration),
            Box::new(m20261101_000009_create_spread_templates::Migration),
            Box::new(m20261101_000010_create_reading_categories::Migration),
            Box::new(m20261101_000011_create_reading_sessions::Migration),
            Box::new(m20261101_000012_create_reading_cards::Migration),
            Box::new(m20261101_000013_create_reading_shares::Migration),
            Box::new(m20261101_000014_create_idempotency_keys::Migration),
            Box::new(m20261101_000015_index_reading_sessions_for_lists::Migration),
            Box::new(m20261101_000016_index_reading_sessions_for_filters::Migration),
            Box::new(m20261101_000017_index_reading_sessions_for_search::Migration),
            Box::new(m20261101_000018_index_reference_tables::Migration),
            Box::new(m20261101_000019_create_counter_deltas::Migration),
            Box::new(m20261101_000020_order_reading_sessions::Migration),
            Box::new(m20261101_000021_create_user_card_stats::Migration),
            Box::new(m20261101_000022_index_tags_on_sqlite::Migration),
            Box::new(m20261101_000023_cover_statistics::Migration),
            Box::new(m20261101_000024_search_in_an_index::Migration),
            Box::new(m20261101_000025_create_cache_outbox::Migration),
            Box::new(m20261101_000026_search_public_readings::Migration),
            Box::new(m20261101_000027_branch_refresh_tokens::Migration),
            Box::new(m20261101_000028_fold_searched_texts::Migration),
            Box::new(m20261101_000029_fold_names_of_users::Migration),
            Box::new(m20261101_000030_create_login_throttles_since_000029::Migration),
            Box::new(m20261101_000031_create_token_revocations_since_000029::Migration),
            Box::new(m20261101_000032_add_skeletons_of_usernames_since_000029::Migration),
            Box::new(m20261101_000033_create_audit_log_since_000029::Migration),
            Box::new(m20261101_000034_create_hidden_readings_since_000029::Migration),
            Box::new(m20261101_000035_index_inactive_users_since_000029::Migration),
        ]
    }
}
