//! The reference data: cards, spreads, voices and factions of the files beside this one. They are
//! inserted into the database once; from then on the database is authoritative.

mod files;

#[cfg(test)]
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::cards::{CardInterpretationRow, CardRow, CardStatsRow, CardTextRow};
use crate::db::entities::columns::{Templates, TextList};
use crate::db::factions::{FactionRow, FactionTextRow, FactionVoiceRow};
use crate::db::reference::{ReferenceRows, insert_missing_reference, is_reference_complete};
use crate::db::spreads::{PositionRow, PositionTextRow, SpreadRow, SpreadStatsRow, SpreadTextRow};
use crate::db::voices::{VoiceRow, VoiceTextRow};
use crate::db::{Database, DbError, StartLock};
use crate::domain::card::Card;
use crate::domain::faction::Faction;
use crate::domain::interpretation::interpret_card;
use crate::domain::spread::Spread;
use crate::domain::voice::Voice;
use files::ReferenceFiles;

/// 2026-01-01, the timestamp in the ids of reference rows: ids are equal in every database, so that a
/// link to a card works in all of them.
const EPOCH_MILLISECONDS: u64 = 1_767_225_600_000;

/// Kinds of reference rows with generated ids; part of the id.
#[derive(Clone, Copy)]
enum Kind {
    Card = 1,
    Spread = 2,
}

/// Inserts missing reference data.
///
/// # Errors
///
/// The database fails; then nothing was written.
pub async fn load_reference(database: &Database, lock: &StartLock) -> Result<(), DbError> {
    let rows = reference_rows(ReferenceFiles::read(), crate::db::now());
    if is_reference_complete(database, &rows).await? {
        return Ok(());
    }
    let (cards, texts) = (rows.cards.len(), rows.interpretations.len());
    insert_missing_reference(database, lock, rows).await?;
    tracing::info!(cards, interpretations = texts, "inserted the reference data");
    Ok(())
}

fn reference_rows(files: &ReferenceFiles, now: DateTime<Utc>) -> ReferenceRows {
    let mut rows = ReferenceRows::default();
    for (order, card) in files.cards.iter().enumerate() {
        add_card(&mut rows, &card.to_card(id_of(Kind::Card, order)), &files.voices, now);
    }
    for (order, voice) in files.voices.iter().enumerate() {
        add_voice(&mut rows, voice, order, now);
    }
    for (order, faction) in files.factions.iter().enumerate() {
        add_faction(&mut rows, &faction.to_faction(), order, now);
    }
    for (order, spread) in files.spreads.iter().enumerate() {
        add_spread(&mut rows, &spread.to_spread(id_of(Kind::Spread, order), now), now);
    }
    rows
}

fn add_card(
    rows: &mut ReferenceRows,
    card: &Card,
    voices: &[files::VoiceFile],
    now: DateTime<Utc>,
) {
    rows.cards.push(CardRow {
        id: card.id,
        code: card.code.clone(),
        card_type: card.suit.card_type(),
        suit: card.suit,
        number: card.number,
        standard_name: card.standard_name.clone(),
        standard_suit: card.standard_suit.clone(),
        radiation_level: card.radiation_level,
        threat_level: card.threat_level,
        vault_number: card.vault_number,
        image_url: card.image_url.clone(),
        created_at: now,
        updated_at: now,
    });
    rows.card_stats.push(CardStatsRow {
        card_id: card.id,
        draw_count: 0,
        last_drawn_at: None,
        created_at: now,
        updated_at: now,
    });
    for (locale, text) in card.texts.iter() {
        rows.card_texts.push(CardTextRow {
            card_id: card.id,
            locale,
            name: text.name.clone(),
            upright_meaning: text.upright.clone(),
            reversed_meaning: text.reversed.clone(),
            keywords: TextList(text.keywords.clone()),
            created_at: now,
            updated_at: now,
        });
        rows.interpretations.extend(voices.iter().map(|voice| {
            let voice = voice.to_voice();
            CardInterpretationRow {
                card_id: card.id,
                voice: voice.key,
                locale,
                text: interpret_card(&voice, card, locale),
                is_active: true,
                created_at: now,
                updated_at: now,
            }
        }));
    }
}

fn add_voice(rows: &mut ReferenceRows, file: &files::VoiceFile, order: usize, now: DateTime<Utc>) {
    let voice: Voice = file.to_voice();
    rows.voices.push(VoiceRow {
        key: voice.key,
        tone: voice.tone,
        vocabulary_style: voice.vocabulary_style,
        humor_style: file.humor_style.clone(),
        faction: voice.faction,
        response_length: file.response_length.clone(),
        detail_level: file.detail_level.clone(),
        is_active: true,
        sort_order: small(order),
        created_at: now,
        updated_at: now,
    });
    rows.voice_texts.extend(voice.texts.iter().map(|(locale, text)| VoiceTextRow {
        voice: voice.key,
        locale,
        display_name: text.display_name.clone(),
        templates: Templates(text.templates.clone()),
        created_at: now,
        updated_at: now,
    }));
}

fn add_faction(rows: &mut ReferenceRows, faction: &Faction, order: usize, now: DateTime<Utc>) {
    rows.factions.push(FactionRow {
        key: faction.key,
        alignment: faction.alignment.clone(),
        sort_order: small(order),
        is_active: true,
        created_at: now,
        updated_at: now,
    });
    rows.faction_texts.extend(faction.names.iter().map(|(locale, name)| FactionTextRow {
        faction: faction.key,
        locale,
        name: name.clone(),
        created_at: now,
        updated_at: now,
    }));
    rows.faction_voices.extend(faction.voices.iter().enumerate().map(|(priority, voice)| {
        FactionVoiceRow {
            faction: faction.key,
            voice: *voice,
            priority: small(priority),
            created_at: now,
        }
    }));
}

fn add_spread(rows: &mut ReferenceRows, spread: &Spread, now: DateTime<Utc>) {
    rows.spreads.push(SpreadRow {
        id: spread.id,
        name: spread.name.clone(),
        spread_type: spread.spread_type,
        card_count: small(spread.card_count()),
        difficulty_level: spread.difficulty,
        faction_preference: spread.faction,
        radiation_sensitivity: spread.radiation_sensitivity,
        vault_origin: spread.vault_origin,
        is_active: spread.is_active,
        is_premium: spread.is_premium,
        created_by: None,
        created_at: now,
        updated_at: now,
    });
    rows.spread_stats.push(SpreadStatsRow {
        spread_id: spread.id,
        usage_count: 0,
        rating_sum: 0,
        rating_n: 0,
        last_used_at: None,
        created_at: now,
        updated_at: now,
    });
    rows.spread_texts.extend(spread.texts.iter().map(|(locale, text)| SpreadTextRow {
        spread_id: spread.id,
        locale,
        display_name: text.display_name.clone(),
        description: text.description.clone(),
        interpretation_guide: text.interpretation_guide.clone(),
        created_at: now,
        updated_at: now,
    }));
    for position in &spread.positions {
        rows.positions.push(PositionRow {
            spread_id: spread.id,
            number: position.number,
            x: position.x,
            y: position.y,
            rotation: position.rotation,
            created_at: now,
            updated_at: now,
        });
        rows.position_texts.extend(position.texts.iter().map(|(locale, text)| PositionTextRow {
            spread_id: spread.id,
            number: position.number,
            locale,
            name: text.name.clone(),
            meaning: text.meaning.clone(),
            created_at: now,
            updated_at: now,
        }));
    }
}

/// The reference data of the files, for tests without a database.
#[cfg(test)]
pub(crate) struct DeckOfFiles {
    pub(crate) cards: Vec<Arc<Card>>,
    pub(crate) spreads: Vec<Arc<Spread>>,
    pub(crate) voices: Vec<Arc<Voice>>,
}

#[cfg(test)]
impl DeckOfFiles {
    pub(crate) fn read() -> Self {
        let files = ReferenceFiles::read();
        let cards = files.cards.iter().zip(0..);
        let spreads = files.spreads.iter().zip(0..);
        Self {
            cards: cards.map(|(one, at)| Arc::new(one.to_card(id_of(Kind::Card, at)))).collect(),
            spreads: spreads
                .map(|(one, at)| {
                    Arc::new(one.to_spread(id_of(Kind::Spread, at), DateTime::UNIX_EPOCH))
                })
                .collect(),
            voices: files.voices.iter().map(|one| Arc::new(one.to_voice())).collect(),
        }
    }
}

fn id_of(kind: Kind, order: usize) -> Uuid {
    let mut tail = [0; 10];
    tail[1] = kind as u8;
    tail[9] = u8::try_from(order).unwrap_or(u8::MAX);
    uuid::Builder::from_unix_timestamp_millis(EPOCH_MILLISECONDS, &tail).into_uuid()
}

fn small(number: usize) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}
