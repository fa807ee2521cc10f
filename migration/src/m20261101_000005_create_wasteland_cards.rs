//! The 78 cards, their texts for each locale, and their draw counters. The counters are a table of their
//! own, so that counting a draw changes neither the card's row nor its cached value.

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
        drop_tables(manager, &["card_stats", "card_texts", "wasteland_cards"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE wasteland_cards (
        id {uuid} PRIMARY KEY,
        code varchar(40) NOT NULL UNIQUE,
        card_type varchar(10) NOT NULL CHECK (card_type IN ('major', 'minor')),
        suit varchar(50) NOT NULL CHECK (suit IN (
            'major_arcana', 'nuka_cola_bottles', 'combat_weapons', 'bottle_caps', 'radiation_rods'
        )),
        number smallint NOT NULL,
        standard_name varchar(100) NOT NULL,
        standard_suit varchar(20) NOT NULL,
        radiation_level {double} NOT NULL CHECK (radiation_level BETWEEN 0 AND 1),
        threat_level smallint NOT NULL CHECK (threat_level BETWEEN 1 AND 10),
        vault_number smallint CHECK (vault_number BETWEEN 1 AND 122),
        image_url text,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        UNIQUE (suit, number)
    )
    ",
    "
    CREATE TABLE card_texts (
        card_id {uuid} NOT NULL REFERENCES wasteland_cards (id) ON DELETE CASCADE,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        name varchar(100) NOT NULL,
        upright_meaning text NOT NULL,
        reversed_meaning text NOT NULL,
        keywords {json} NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (card_id, locale)
    )
    ",
    "
    CREATE TABLE card_stats (
        card_id {uuid} PRIMARY KEY REFERENCES wasteland_cards (id) ON DELETE CASCADE,
        draw_count bigint NOT NULL DEFAULT 0,
        last_drawn_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
];
