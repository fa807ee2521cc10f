//! Indexes of the small reference tables. At 78 and 7 rows a scan is as good, and planners choose it; the
//! indexes are for tables that grow.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_indexes, run};

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
        drop_indexes(
            manager,
            &[
                "idx_spread_templates_difficulty",
                "idx_spread_templates_is_active",
                "idx_wasteland_cards_suit",
                "idx_wasteland_cards_card_type",
            ],
        )
        .await
    }
}

const UP: [&str; 4] = [
    "CREATE INDEX idx_wasteland_cards_card_type ON wasteland_cards (card_type)",
    "CREATE INDEX idx_wasteland_cards_suit ON wasteland_cards (suit)",
    "CREATE INDEX idx_spread_templates_is_active ON spread_templates (is_active)",
    "CREATE INDEX idx_spread_templates_difficulty ON spread_templates (difficulty_level)",
];
