//! The files of the reference data. They are embedded in the program, and a test parses each of them, so
//! parsing cannot fail at run time.

use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::card::{Card, CardText, Suit};
use crate::domain::faction::{Faction, FactionKey};
use crate::domain::locale::Localized;
use crate::domain::spread::{Difficulty, Position, PositionText, Spread, SpreadText, SpreadType};
use crate::domain::voice::{CardOpenings, Voice, VoiceKey, VoiceTemplates, VoiceText};

/// Parsed contents of all files.
pub(super) struct ReferenceFiles {
    pub(super) cards: Vec<CardFile>,
    pub(super) voices: Vec<VoiceFile>,
    pub(super) factions: Vec<FactionFile>,
    pub(super) spreads: Vec<SpreadFile>,
}

#[derive(Deserialize)]
struct CardsFile {
    card: Vec<CardFile>,
}

#[derive(Deserialize)]
struct VoicesFile {
    voice: Vec<VoiceFile>,
}

#[derive(Deserialize)]
struct FactionsFile {
    faction: Vec<FactionFile>,
}

#[derive(Deserialize)]
struct SpreadsFile {
    spread: Vec<SpreadFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardFile {
    code: String,
    suit: Suit,
    number: i16,
    standard_name: String,
    standard_suit: String,
    radiation_level: f64,
    threat_level: i16,
    vault_number: Option<i16>,
    en: CardTextFile,
    zh_hant: CardTextFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardTextFile {
    name: String,
    upright: String,
    reversed: String,
    keywords: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VoiceFile {
    key: VoiceKey,
    tone: String,
    vocabulary_style: String,
    pub(super) humor_style: Option<String>,
    faction: Option<FactionKey>,
    pub(super) response_length: String,
    pub(super) detail_level: String,
    en: VoiceTextFile,
    zh_hant: VoiceTextFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoiceTextFile {
    display_name: String,
    card_opening: CardOpenings,
    templates: SentencesFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentencesFile {
    card_closing: [String; 4],
    drawn_upright: [String; 2],
    drawn_reversed: [String; 2],
    karma_good: String,
    karma_neutral: String,
    karma_evil: String,
    reading_opening: String,
    reading_closing: String,
    summary: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactionFile {
    key: FactionKey,
    alignment: String,
    voices: Vec<VoiceKey>,
    en: NameFile,
    zh_hant: NameFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameFile {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpreadFile {
    name: String,
    spread_type: SpreadType,
    difficulty: Difficulty,
    faction: Option<FactionKey>,
    radiation_sensitivity: f64,
    vault_origin: Option<i16>,
    en: SpreadTextFile,
    zh_hant: SpreadTextFile,
    position: Vec<PositionFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpreadTextFile {
    display_name: String,
    description: String,
    interpretation_guide: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionFile {
    number: i16,
    x: f64,
    y: f64,
    rotation: f64,
    en: PositionTextFile,
    zh_hant: PositionTextFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionTextFile {
    name: String,
    meaning: String,
}

impl ReferenceFiles {
    /// The parsed files, parsed once a process.
    pub(super) fn read() -> &'static Self {
        static FILES: OnceLock<ReferenceFiles> = OnceLock::new();
        FILES.get_or_init(|| Self {
            cards: [
                include_str!("cards/major_arcana.toml"),
                include_str!("cards/nuka_cola_bottles.toml"),
                include_str!("cards/combat_weapons.toml"),
                include_str!("cards/bottle_caps.toml"),
                include_str!("cards/radiation_rods.toml"),
            ]
            .into_iter()
            .flat_map(|text| parse::<CardsFile>(text).card)
            .collect(),
            voices: parse::<VoicesFile>(include_str!("voices.toml")).voice,
            factions: parse::<FactionsFile>(include_str!("factions.toml")).faction,
            spreads: parse::<SpreadsFile>(include_str!("spreads.toml")).spread,
        })
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> T {
    toml::from_str(text).expect("a test reads every file of the reference data")
}

fn both<T>(en: T, zh_hant: T) -> Localized<T> {
    Localized::new(en, Some(zh_hant))
}

impl CardFile {
    pub(super) fn to_card(&self, id: Uuid) -> Card {
        Card {
            id,
            code: self.code.clone(),
            suit: self.suit,
            number: self.number,
            standard_name: self.standard_name.clone(),
            standard_suit: self.standard_suit.clone(),
            radiation_level: self.radiation_level,
            threat_level: self.threat_level,
            vault_number: self.vault_number,
            image_url: None,
            texts: both(self.en.to_text(), self.zh_hant.to_text()),
        }
    }
}

impl CardTextFile {
    fn to_text(&self) -> CardText {
        CardText {
            name: self.name.clone(),
            upright: self.upright.clone(),
            reversed: self.reversed.clone(),
            keywords: self.keywords.clone(),
        }
    }
}

impl VoiceFile {
    pub(super) fn to_voice(&self) -> Voice {
        Voice {
            key: self.key,
            tone: self.tone.clone(),
            vocabulary_style: self.vocabulary_style.clone(),
            faction: self.faction,
            texts: both(self.en.to_text(), self.zh_hant.to_text()),
        }
    }
}

impl VoiceTextFile {
    fn to_text(&self) -> VoiceText {
        let sentences = &self.templates;
        VoiceText {
            display_name: self.display_name.clone(),
            templates: VoiceTemplates {
                card_opening: self.card_opening.clone(),
                card_closing: sentences.card_closing.clone(),
                drawn_upright: sentences.drawn_upright.clone(),
                drawn_reversed: sentences.drawn_reversed.clone(),
                karma_good: sentences.karma_good.clone(),
                karma_neutral: sentences.karma_neutral.clone(),
                karma_evil: sentences.karma_evil.clone(),
                reading_opening: sentences.reading_opening.clone(),
                reading_closing: sentences.reading_closing.clone(),
                summary: sentences.summary.clone(),
            },
        }
    }
}

impl FactionFile {
    pub(super) fn to_faction(&self) -> Faction {
        Faction {
            key: self.key,
            alignment: self.alignment.clone(),
            names: both(self.en.name.clone(), self.zh_hant.name.clone()),
            voices: self.voices.clone(),
        }
    }
}

impl SpreadFile {
    pub(super) fn to_spread(&self, id: Uuid, now: DateTime<Utc>) -> Spread {
        Spread {
            id,
            name: self.name.clone(),
            spread_type: self.spread_type,
            difficulty: self.difficulty,
            faction: self.faction,
            radiation_sensitivity: self.radiation_sensitivity,
            vault_origin: self.vault_origin,
            is_active: true,
            is_premium: false,
            created_at: now,
            texts: both(self.en.to_text(), self.zh_hant.to_text()),
            positions: self.position.iter().map(PositionFile::to_position).collect(),
        }
    }
}

impl SpreadTextFile {
    fn to_text(&self) -> SpreadText {
        SpreadText {
            display_name: self.display_name.clone(),
            description: self.description.clone(),
            interpretation_guide: Some(self.interpretation_guide.clone()),
        }
    }
}

impl PositionFile {
    fn to_position(&self) -> Position {
        Position {
            number: self.number,
            x: Some(self.x),
            y: Some(self.y),
            rotation: Some(self.rotation),
            texts: both(self.en.to_text(), self.zh_hant.to_text()),
        }
    }
}

impl PositionTextFile {
    fn to_text(&self) -> PositionText {
        PositionText { name: self.name.clone(), meaning: self.meaning.clone() }
    }
}
