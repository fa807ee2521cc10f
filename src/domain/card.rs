//! The deck: 78 cards with their names and meanings.

use uuid::Uuid;

use super::enums::text_enum;
use super::locale::{Locale, Localized};

text_enum! {
    /// The five suits of the deck, in deck order.
    Suit {
        /// The 22 trumps.
        MajorArcana = "major_arcana",
        /// Cups: water.
        NukaColaBottles = "nuka_cola_bottles",
        /// Swords: air.
        CombatWeapons = "combat_weapons",
        /// Pentacles: earth.
        BottleCaps = "bottle_caps",
        /// Wands: fire.
        RadiationRods = "radiation_rods",
    }
}

text_enum! {
    /// Major arcana or one of the four minor suits.
    CardType {
        /// The 22 trumps.
        Major = "major",
        /// The 56 cards of the four suits.
        Minor = "minor",
    }
}

text_enum! {
    /// Orientation of a drawn card.
    Orientation {
        /// As printed.
        Upright = "upright",
        /// Upside down.
        Reversed = "reversed",
    }
}

/// A minor card of this number or above is a court card.
const FIRST_COURT_NUMBER: i16 = 11;

impl Suit {
    /// The suit's name in the app.
    #[must_use]
    pub const fn name(self, locale: Locale) -> &'static str {
        match (self, locale) {
            (Self::MajorArcana, Locale::En) => "Major Arcana",
            (Self::MajorArcana, Locale::ZhHant) => "大阿爾克那",
            (Self::NukaColaBottles, Locale::En) => "Nuka-Cola Bottles",
            (Self::NukaColaBottles, Locale::ZhHant) => "可樂瓶",
            (Self::CombatWeapons, Locale::En) => "Combat Weapons",
            (Self::CombatWeapons, Locale::ZhHant) => "戰鬥武器",
            (Self::BottleCaps, Locale::En) => "Bottle Caps",
            (Self::BottleCaps, Locale::ZhHant) => "瓶蓋",
            (Self::RadiationRods, Locale::En) => "Radiation Rods",
            (Self::RadiationRods, Locale::ZhHant) => "輻射棒",
        }
    }

    /// The classical element; the major arcana has none.
    #[must_use]
    pub const fn element(self) -> Option<&'static str> {
        match self {
            Self::MajorArcana => None,
            Self::NukaColaBottles => Some("water"),
            Self::CombatWeapons => Some("air"),
            Self::BottleCaps => Some("earth"),
            Self::RadiationRods => Some("fire"),
        }
    }

    /// The suit's name in a standard tarot deck.
    #[must_use]
    pub const fn standard_name(self) -> &'static str {
        match self {
            Self::MajorArcana => "Major Arcana",
            Self::NukaColaBottles => "Cups",
            Self::CombatWeapons => "Swords",
            Self::BottleCaps => "Pentacles",
            Self::RadiationRods => "Wands",
        }
    }

    /// Major or minor.
    #[must_use]
    pub const fn card_type(self) -> CardType {
        match self {
            Self::MajorArcana => CardType::Major,
            _ => CardType::Minor,
        }
    }
}

/// One card of the deck.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Key of the row.
    pub id: Uuid,
    /// Stable name, such as `major_arcana_00`.
    pub code: String,
    /// Suit, which determines the card type too.
    pub suit: Suit,
    /// Number within the suit: 0 to 21 of the trumps, 1 to 14 of the others.
    pub number: i16,
    /// Name in a standard deck.
    pub standard_name: String,
    /// Suit in a standard deck.
    pub standard_suit: String,
    /// 0 to 1; flavour only.
    pub radiation_level: f64,
    /// 1 to 10; flavour only.
    pub threat_level: i16,
    /// 1 to 122, where the card belongs to a vault.
    pub vault_number: Option<i16>,
    /// URL of an image.
    pub image_url: Option<String>,
    /// Names and meanings.
    pub texts: Localized<CardText>,
}

/// A card's texts in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardText {
    /// Name in the app.
    pub name: String,
    /// Meaning when upright.
    pub upright: String,
    /// Meaning when reversed.
    pub reversed: String,
    /// A few nouns, the most important first.
    pub keywords: Vec<String>,
}

impl CardText {
    /// Meaning in that orientation.
    #[must_use]
    pub fn meaning(&self, orientation: Orientation) -> &str {
        match orientation {
            Orientation::Upright => &self.upright,
            Orientation::Reversed => &self.reversed,
        }
    }
}

impl Card {
    /// `true` for the four court cards of a minor suit.
    #[must_use]
    pub fn is_court(&self) -> bool {
        self.suit != Suit::MajorArcana && self.number >= FIRST_COURT_NUMBER
    }

    /// Rank of the card: a roman numeral of a trump, otherwise `Ace` to `Ten` or a court rank.
    #[must_use]
    pub fn rank(&self, locale: Locale) -> &'static str {
        let ranks: &[&'static str] = match (self.suit, locale) {
            (Suit::MajorArcana, _) => &MAJOR_RANKS,
            (_, Locale::En) => &MINOR_RANKS_EN,
            (_, Locale::ZhHant) => &MINOR_RANKS_ZH_HANT,
        };
        usize::try_from(self.number)
            .ok()
            .and_then(|number| ranks.get(number))
            .copied()
            .unwrap_or("")
    }
}

const MAJOR_RANKS: [&str; 22] = [
    "0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV",
    "XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI",
];

// Minor suits start at 1.
const MINOR_RANKS_EN: [&str; 15] = [
    "",
    "Ace",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Recruit",
    "Wasteland Knight",
    "Settlement Leader",
    "Wasteland Overlord",
];

const MINOR_RANKS_ZH_HANT: [&str; 15] = [
    "",
    "王牌",
    "二",
    "三",
    "四",
    "五",
    "六",
    "七",
    "八",
    "九",
    "十",
    "新兵",
    "廢土騎士",
    "聚落領袖",
    "廢土霸主",
];
