//! Voices: characters with sentence templates for interpretations.

use serde::{Deserialize, Serialize};

use super::card::Suit;
use super::enums::text_enum;
use super::locale::Localized;

text_enum! {
    /// One of the fourteen voices.
    VoiceKey {
        /// A terse instrument on the wrist.
        PipBoy = "pip_boy",
        /// Hopeful and simple.
        VaultDweller = "vault_dweller",
        /// Wise to the street.
        WastelandTrader = "wasteland_trader",
        /// A courteous robot butler.
        Codsworth = "codsworth",
        /// Direct and short.
        SuperMutant = "super_mutant",
        /// Tired and dry, after two centuries.
        Ghoul = "ghoul",
        /// Brash.
        Raider = "raider",
        /// Archival and precise.
        BrotherhoodScribe = "brotherhood_scribe",
        /// Martial.
        BrotherhoodPaladin = "brotherhood_paladin",
        /// Laconic and dutiful.
        NcrRanger = "ncr_ranger",
        /// Stern.
        LegionCenturion = "legion_centurion",
        /// Neighbourly.
        Minuteman = "minuteman",
        /// Coded and cautious.
        RailroadAgent = "railroad_agent",
        /// Clinical.
        InstituteScientist = "institute_scientist",
    }
}

/// A voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Unique key.
    pub key: VoiceKey,
    /// Tone, such as `analytical`.
    pub tone: String,
    /// Style of vocabulary, such as `technical`.
    pub vocabulary_style: String,
    /// Faction that it speaks for.
    pub faction: Option<super::faction::FactionKey>,
    /// Names and templates.
    pub texts: Localized<VoiceText>,
}

/// A voice's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceText {
    /// Display name.
    pub display_name: String,
    /// Sentence templates.
    pub templates: VoiceTemplates,
}

/// Sentence templates of a voice. Slots are in braces: `{card}`, `{keyword}`, `{meaning}`,
/// `{position}`, `{spread}`, `{count}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceTemplates {
    /// Before a card's meaning, by suit: `{card}`.
    pub card_opening: CardOpenings,
    /// After a card's meaning: `{keyword}`.
    pub card_closing: [String; 4],
    /// An upright card in its position: `{position}`, `{card}`, `{meaning}`.
    pub drawn_upright: [String; 2],
    /// A reversed card in its position: the same slots.
    pub drawn_reversed: [String; 2],
    /// Sentence for good karma.
    pub karma_good: String,
    /// Sentence for neutral karma.
    pub karma_neutral: String,
    /// Sentence for evil karma.
    pub karma_evil: String,
    /// Opening of a reading: `{spread}`, `{count}`.
    pub reading_opening: String,
    /// Closing of a reading: `{card}`.
    pub reading_closing: String,
    /// Summary of a reading in one line: `{card}`, `{keyword}`.
    pub summary: String,
}

/// Opening sentences of a voice, one for each suit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "a field a suit")]
pub struct CardOpenings {
    pub major_arcana: String,
    pub nuka_cola_bottles: String,
    pub combat_weapons: String,
    pub bottle_caps: String,
    pub radiation_rods: String,
}

impl CardOpenings {
    /// Opening sentence for a card of that suit.
    #[must_use]
    pub fn of(&self, suit: Suit) -> &str {
        match suit {
            Suit::MajorArcana => &self.major_arcana,
            Suit::NukaColaBottles => &self.nuka_cola_bottles,
            Suit::CombatWeapons => &self.combat_weapons,
            Suit::BottleCaps => &self.bottle_caps,
            Suit::RadiationRods => &self.radiation_rods,
        }
    }
}
