//! SeaORM entities, a file a table. They name the tables and their columns; the statements choose
//! what is selected.

#![expect(missing_docs, reason = "columns are described where the migrations create them")]

pub mod audit_log;
pub mod cache_outbox;
pub mod card_interpretations;
pub mod card_stats;
pub mod card_texts;
pub mod columns;
pub mod counter_deltas;
pub mod daily_usage;
pub mod faction_texts;
pub mod faction_voices;
pub mod factions;
pub mod hidden_readings;
pub mod idempotency_keys;
pub mod login_sessions;
pub mod login_throttles;
pub mod reading_cards;
pub mod reading_categories;
pub mod reading_sessions;
pub mod reading_shares;
pub mod refresh_tokens;
pub mod site_stats;
pub mod spread_position_texts;
pub mod spread_positions;
pub mod spread_stats;
pub mod spread_templates;
pub mod spread_texts;
pub mod token_revocations;
pub mod user_card_stats;
pub mod users;
pub mod voice_texts;
pub mod voices;
pub mod wasteland_cards;
