//! The domain's enums as GraphQL enums, with descriptions.

use async_graphql::Enum;

use crate::domain::{card, faction, locale, reading, spread, voice};

/// Language of a text. English is complete and replaces missing translations.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "locale::Locale")]
pub enum Locale {
    /// English.
    En,
    /// Traditional Chinese.
    ZhHant,
}

/// The five suits of the deck, in deck order.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card::Suit")]
pub enum Suit {
    /// The 22 trumps.
    MajorArcana,
    /// Cups, water: feelings and bonds.
    NukaColaBottles,
    /// Swords, air: thought and conflict.
    CombatWeapons,
    /// Pentacles, earth: work and trade.
    BottleCaps,
    /// Wands, fire: will and venture.
    RadiationRods,
}

/// Arcana of a card.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card::CardType")]
pub enum CardType {
    /// Major arcana: the 22 trumps.
    Major,
    /// Minor arcana: the 56 cards of the four other suits.
    Minor,
}

/// Orientation of a drawn card.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card::Orientation")]
pub enum Orientation {
    /// Upright.
    Upright,
    /// Reversed.
    Reversed,
}

/// Tone of a reading, and the class of a user's karma score (0 to 100).
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "reading::Karma")]
pub enum Karma {
    /// Score from 70 to 100.
    Good,
    /// Score from 31 to 69.
    Neutral,
    /// Score from 0 to 30.
    Evil,
}

/// Visibility of a reading.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "reading::PrivacyLevel")]
pub enum PrivacyLevel {
    /// Visible to its owner.
    Private,
    /// Visible to its owner, as `PRIVATE`: there are no friends yet.
    Friends,
    /// Visible to everybody.
    Public,
}

/// A voice that phrases interpretations. There are fourteen.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "voice::VoiceKey")]
pub enum VoiceKey {
    /// Pip-Boy: a terse instrument on the wrist.
    PipBoy,
    /// Vault dweller: hopeful and simple.
    VaultDweller,
    /// Wasteland trader: streetwise.
    WastelandTrader,
    /// Codsworth: a courteous robot butler.
    Codsworth,
    /// Super mutant: direct and short.
    SuperMutant,
    /// Ghoul: tired and dry, after two centuries.
    Ghoul,
    /// Raider: brash.
    Raider,
    /// Brotherhood scribe: archival and precise.
    BrotherhoodScribe,
    /// Brotherhood paladin: martial.
    BrotherhoodPaladin,
    /// NCR ranger: laconic and dutiful.
    NcrRanger,
    /// Legion centurion: stern.
    LegionCenturion,
    /// Minuteman: neighbourly.
    Minuteman,
    /// Railroad agent: coded and cautious.
    RailroadAgent,
    /// Institute scientist: clinical.
    InstituteScientist,
}

/// A faction. There are nine.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "faction::FactionKey")]
pub enum FactionKey {
    /// Vault dwellers: people of the vaults.
    VaultDweller,
    /// Brotherhood: guardians of technology.
    Brotherhood,
    /// NCR: the republic.
    Ncr,
    /// Legion: the army across the river.
    Legion,
    /// Raiders: gangs of the wasteland.
    Raiders,
    /// Minutemen: the volunteers.
    Minutemen,
    /// Railroad: the hidden road.
    Railroad,
    /// Institute: the underground laboratory.
    Institute,
    /// Independent: no faction.
    Independent,
}

/// Kind of a spread.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread::SpreadType")]
pub enum SpreadType {
    /// One card.
    SingleWasteland,
    /// Three cards: past, present and future.
    VaultTecSpread,
    /// Four cards, for failing plans.
    RaiderChaos,
    /// Five cards, on survival.
    WastelandSurvival,
    /// Six cards, for a campaign.
    NcrStrategic,
    /// Seven cards, one for each voice of a council.
    BrotherhoodCouncil,
    /// Ten cards, the classical Celtic cross.
    CelticCross,
    /// Any other spread.
    CustomSpread,
}

/// Difficulty of a spread.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread::Difficulty")]
pub enum Difficulty {
    /// For beginners.
    Beginner,
    /// For readers with some practice.
    Intermediate,
    /// For advanced readers: many positions that refer to each other.
    Advanced,
    /// For experts.
    Expert,
}
