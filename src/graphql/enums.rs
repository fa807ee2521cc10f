//! The domain's words as GraphQL enums, in upper case and described.

use async_graphql::Enum;

use crate::domain::{card, faction, locale, reading, spread, voice};

/// A language of texts. English is complete; where a translation is missing, English stands in.
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

/// Major arcana, or one of the four minor suits.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card::CardType")]
pub enum CardType {
    /// One of the 22 trumps.
    Major,
    /// One of the 56 cards of the four suits.
    Minor,
}

/// How a drawn card lies.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card::Orientation")]
pub enum Orientation {
    /// As printed.
    Upright,
    /// Upside down.
    Reversed,
}

/// The tone of a reading, and what a user's karma score amounts to.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "reading::Karma")]
pub enum Karma {
    /// A score of 70 or more.
    Good,
    /// A score from 31 to 69.
    Neutral,
    /// A score of 30 or less.
    Evil,
}

/// Who may see a reading.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "reading::PrivacyLevel")]
pub enum PrivacyLevel {
    /// Its owner.
    Private,
    /// Until there are friends, its owner.
    Friends,
    /// Everybody.
    Public,
}

/// One of the fourteen voices that phrase interpretations.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "voice::VoiceKey")]
pub enum VoiceKey {
    /// A terse instrument on the wrist.
    PipBoy,
    /// Hopeful and simple.
    VaultDweller,
    /// Wise to the street.
    WastelandTrader,
    /// A courteous robot butler.
    Codsworth,
    /// Direct and short.
    SuperMutant,
    /// Tired and dry, after two centuries.
    Ghoul,
    /// Brash.
    Raider,
    /// Archival and precise.
    BrotherhoodScribe,
    /// Martial.
    BrotherhoodPaladin,
    /// Laconic and dutiful.
    NcrRanger,
    /// Stern.
    LegionCenturion,
    /// Neighbourly.
    Minuteman,
    /// Coded and cautious.
    RailroadAgent,
    /// Clinical.
    InstituteScientist,
}

/// One of the nine factions.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "faction::FactionKey")]
pub enum FactionKey {
    /// People of the vaults.
    VaultDweller,
    /// Keepers of technology.
    Brotherhood,
    /// The republic.
    Ncr,
    /// The army across the river.
    Legion,
    /// Raiders.
    Raiders,
    /// The volunteers.
    Minutemen,
    /// The hidden road.
    Railroad,
    /// The underground laboratory.
    Institute,
    /// Nobody's.
    Independent,
}

/// The kind of a spread.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread::SpreadType")]
pub enum SpreadType {
    /// One card.
    SingleWasteland,
    /// Three cards: past, present and future.
    VaultTecSpread,
    /// Four cards for when plans fail.
    RaiderChaos,
    /// Five cards on getting through.
    WastelandSurvival,
    /// Six cards for a campaign.
    NcrStrategic,
    /// Seven voices of a council.
    BrotherhoodCouncil,
    /// The classical ten cards.
    CelticCross,
    /// Any other spread.
    CustomSpread,
}

/// How much experience a spread asks for.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread::Difficulty")]
pub enum Difficulty {
    /// A first spread.
    Beginner,
    /// Some practice.
    Intermediate,
    /// Many positions that bear on each other.
    Advanced,
    /// For experts.
    Expert,
}
