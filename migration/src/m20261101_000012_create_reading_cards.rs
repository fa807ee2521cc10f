//! The cards drawn in a reading. The position's texts are stored as of the draw, in every locale.

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
        drop_tables(manager, &["reading_cards"]).await
    }
}

const UP: [&str; 2] = [
    "
    CREATE TABLE reading_cards (
        reading_id {uuid} NOT NULL REFERENCES reading_sessions (id) ON DELETE CASCADE,
        position_number smallint NOT NULL CHECK (position_number >= 1),
        card_id {uuid} NOT NULL REFERENCES wasteland_cards (id) ON DELETE RESTRICT,
        position_name {json} NOT NULL,
        position_meaning {json} NOT NULL,
        orientation varchar(10) NOT NULL CHECK (orientation IN ('upright', 'reversed')),
        draw_order smallint NOT NULL,
        radiation_influence {double} NOT NULL CHECK (radiation_influence BETWEEN 0 AND 1),
        interpretation text NOT NULL,
        created_at {ts} NOT NULL,
        PRIMARY KEY (reading_id, position_number),
        UNIQUE (reading_id, card_id)
    )
    ",
    // Counts of draws, and the foreign key check when a card is deleted.
    "CREATE INDEX idx_reading_cards_card_id ON reading_cards (card_id)",
];
