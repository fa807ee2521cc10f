//! Draw counters by user and card, updated with each write of a reading, because a count takes an index
//! probe into the drawn cards for each of the user's readings. Complete readings only.

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
        drop_tables(manager, &["user_card_stats"]).await
    }
}

// The counts are never negative, but no CHECK says so: a deletion subtracts by an INSERT of negative
// numbers that turns into an UPDATE, and PostgreSQL would check the row that is never inserted.
const UP: [&str; 3] = [
    "
    CREATE TABLE user_card_stats (
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        card_id {uuid} NOT NULL REFERENCES wasteland_cards (id) ON DELETE RESTRICT,
        upright integer NOT NULL,
        reversed integer NOT NULL,
        last_drawn_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (user_id, card_id)
    )
    ",
    // The foreign key check when a card is deleted.
    "CREATE INDEX idx_user_card_stats_card_id ON user_card_stats (card_id)",
    "
    INSERT INTO user_card_stats
        (user_id, card_id, upright, reversed, last_drawn_at, created_at, updated_at)
    SELECT readings.user_id, cards.card_id,
        sum(CASE WHEN cards.orientation = 'upright' THEN 1 ELSE 0 END),
        sum(CASE WHEN cards.orientation = 'reversed' THEN 1 ELSE 0 END),
        max(readings.created_at), {now}, {now}
    FROM reading_sessions AS readings
    JOIN reading_cards AS cards ON cards.reading_id = readings.id
    WHERE readings.status = 'complete'
    GROUP BY readings.user_id, cards.card_id
    ORDER BY readings.user_id, cards.card_id
    ",
];
