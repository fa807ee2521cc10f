//! Spreads, their positions, the texts of both for each locale, and the usage counters, a table of their own
//! like the counters of cards.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_tables, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "spread_stats",
                "spread_position_texts",
                "spread_positions",
                "spread_texts",
                "spread_templates",
            ],
        )
        .await
    }
}

const UP: [&str; 5] = [
    "
    CREATE TABLE spread_templates (
        id {uuid} PRIMARY KEY,
        name varchar(100) NOT NULL UNIQUE,
        spread_type varchar(50) NOT NULL CHECK (spread_type IN (
            'single_wasteland', 'vault_tec_spread', 'raider_chaos', 'wasteland_survival', 'ncr_strategic',
            'brotherhood_council', 'celtic_cross', 'custom_spread'
        )),
        card_count smallint NOT NULL CHECK (card_count BETWEEN 1 AND 15),
        difficulty_level varchar(20) NOT NULL DEFAULT 'beginner' CHECK (difficulty_level IN (
            'beginner', 'intermediate', 'advanced', 'expert'
        )),
        faction_preference varchar(50),
        radiation_sensitivity {double} NOT NULL DEFAULT 0.5 CHECK (radiation_sensitivity BETWEEN 0 AND 1),
        vault_origin smallint CHECK (vault_origin BETWEEN 1 AND 122),
        is_active boolean NOT NULL DEFAULT TRUE,
        is_premium boolean NOT NULL DEFAULT FALSE,
        created_by {uuid} REFERENCES users (id) ON DELETE SET NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    "
    CREATE TABLE spread_texts (
        spread_id {uuid} NOT NULL REFERENCES spread_templates (id) ON DELETE CASCADE,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        display_name varchar(150) NOT NULL,
        description text NOT NULL,
        interpretation_guide text,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (spread_id, locale)
    )
    ",
    "
    CREATE TABLE spread_positions (
        spread_id {uuid} NOT NULL REFERENCES spread_templates (id) ON DELETE CASCADE,
        number smallint NOT NULL CHECK (number >= 1),
        x {double},
        y {double},
        rotation {double},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (spread_id, number)
    )
    ",
    "
    CREATE TABLE spread_position_texts (
        spread_id {uuid} NOT NULL,
        number smallint NOT NULL,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        name varchar(100) NOT NULL,
        meaning text NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (spread_id, number, locale),
        FOREIGN KEY (spread_id, number) REFERENCES spread_positions (spread_id, number) ON DELETE CASCADE
    )
    ",
    "
    CREATE TABLE spread_stats (
        spread_id {uuid} PRIMARY KEY REFERENCES spread_templates (id) ON DELETE CASCADE,
        usage_count bigint NOT NULL DEFAULT 0,
        rating_sum bigint NOT NULL DEFAULT 0,
        rating_n bigint NOT NULL DEFAULT 0,
        last_used_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
];
