//! Readings: a user's question, the spread, its context and the interpretation. `spread_type` is copied
//! from the template when the reading is created; every update increments `version`.

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
        drop_tables(manager, &["reading_sessions"]).await
    }
}

const UP: [&str; 1] = [
    "
    CREATE TABLE reading_sessions (
        {id},
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        spread_template_id {uuid} NOT NULL REFERENCES spread_templates (id) ON DELETE RESTRICT,
        spread_type varchar(50) NOT NULL CHECK (spread_type IN (
            'single_wasteland', 'vault_tec_spread', 'raider_chaos', 'wasteland_survival', 'ncr_strategic',
            'brotherhood_council', 'celtic_cross', 'custom_spread'
        )),
        character_voice varchar(50) NOT NULL CHECK (character_voice IN (
            'pip_boy', 'vault_dweller', 'wasteland_trader', 'codsworth', 'super_mutant', 'ghoul', 'raider',
            'brotherhood_scribe', 'brotherhood_paladin', 'ncr_ranger', 'legion_centurion', 'minuteman',
            'railroad_agent', 'institute_scientist'
        )),
        karma_context varchar(10) NOT NULL CHECK (karma_context IN ('good', 'neutral', 'evil')),
        question text NOT NULL CHECK (length(question) BETWEEN 1 AND 500),
        focus_area varchar(100),
        notes text CHECK (length(notes) <= 1000),
        tags {json} NOT NULL DEFAULT '[]',
        category_id {uuid} REFERENCES reading_categories (id) ON DELETE SET NULL,
        status varchar(10) NOT NULL DEFAULT 'complete' CHECK (status IN ('active', 'paused', 'complete')),
        radiation_factor {double} NOT NULL DEFAULT 0.5 CHECK (radiation_factor BETWEEN 0 AND 1),
        interpretation text NOT NULL,
        summary text NOT NULL,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        mood_before varchar(50),
        mood_after varchar(50),
        privacy_level varchar(10) NOT NULL DEFAULT 'private' CHECK (privacy_level IN (
            'private', 'friends', 'public'
        )),
        is_favorite boolean NOT NULL DEFAULT FALSE,
        archived_at {ts},
        user_satisfaction smallint CHECK (user_satisfaction BETWEEN 1 AND 5),
        accuracy_rating smallint CHECK (accuracy_rating BETWEEN 1 AND 5),
        helpful_rating smallint CHECK (helpful_rating BETWEEN 1 AND 5),
        user_feedback text CHECK (length(user_feedback) <= 1000),
        version integer NOT NULL DEFAULT 1,
        completed_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
];
