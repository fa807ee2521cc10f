//! Factions: a user's allegiance, and a filter of voices.

use super::enums::text_enum;
use super::locale::Localized;
use super::voice::VoiceKey;

text_enum! {
    /// One of the nine allegiances.
    FactionKey {
        /// People of the vaults.
        VaultDweller = "vault_dweller",
        /// Keepers of technology.
        Brotherhood = "brotherhood",
        /// The republic.
        Ncr = "ncr",
        /// The slavers' army.
        Legion = "legion",
        /// Raiders.
        Raiders = "raiders",
        /// The volunteers.
        Minutemen = "minutemen",
        /// The hidden road.
        Railroad = "railroad",
        /// The underground laboratory.
        Institute = "institute",
        /// No allegiance.
        Independent = "independent",
    }
}

/// A faction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faction {
    /// Unique key.
    pub key: FactionKey,
    /// Such as `lawful neutral`.
    pub alignment: String,
    /// Display names.
    pub names: Localized<String>,
    /// Voices of the faction, in order of priority.
    pub voices: Vec<VoiceKey>,
}
