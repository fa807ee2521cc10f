//! Filter and order of lists of cards.

use std::cmp::Ordering;

use super::card::{Card, CardType, Suit};
use super::locale::Locale;
use super::page::Order;
use super::range::Range;
use super::search::{Search, fold_case};

/// Filter of cards. All conditions apply; `None` matches everything, and a list matches any of its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CardFilter {
    /// Card type.
    pub card_type: Option<CardType>,
    /// Suits.
    pub suits: Option<Vec<Suit>>,
    /// Radiation level, 0 to 1.
    pub radiation_level: Range<f64>,
    /// Threat level, 1 to 10.
    pub threat_level: Range<i32>,
    /// Search term in the code, the standard name, or a name or keyword of any language.
    pub search: Option<Search>,
}

impl CardFilter {
    /// `true` if the card meets all conditions.
    #[must_use]
    pub fn matches(&self, card: &Card) -> bool {
        self.card_type.is_none_or(|card_type| card.suit.card_type() == card_type)
            && self.suits.as_ref().is_none_or(|suits| suits.contains(&card.suit))
            && self.radiation_level.contains(&card.radiation_level)
            && self.threat_level.contains(&i32::from(card.threat_level))
            && self.search.as_ref().is_none_or(|search| search.is_in(searched_texts(card)))
    }
}

fn searched_texts(card: &Card) -> impl Iterator<Item = &str> {
    let of_all_languages = card.texts.iter().flat_map(|(_, text)| {
        std::iter::once(text.name.as_str()).chain(text.keywords.iter().map(String::as_str))
    });
    [card.code.as_str(), card.standard_name.as_str()].into_iter().chain(of_all_languages)
}

/// Sort field of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardOrderField {
    /// Suit, then number.
    Deck,
    /// Number within the suit.
    Number,
    /// English name, case-insensitive.
    Name,
    /// Radiation level.
    RadiationLevel,
    /// Threat level.
    ThreatLevel,
}

/// Order of cards. Ties are in deck order, in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardOrder {
    /// Sort field.
    pub field: CardOrderField,
    /// Ascending or descending.
    pub order: Order,
}

/// Sort key of a card.
#[derive(Debug, Clone, PartialEq)]
pub struct CardKey {
    /// Value of the sort field.
    pub value: CardValue,
    /// Position in the deck, the tie-breaker.
    pub place: (Suit, i16),
}

/// Value of the sort field of a card.
#[derive(Debug, Clone, PartialEq)]
pub enum CardValue {
    /// None: the position in the deck is the whole key.
    Deck,
    /// Number within the suit.
    Number(i16),
    /// English name, case-folded.
    Name(String),
    /// Radiation level.
    RadiationLevel(f64),
    /// Threat level.
    ThreatLevel(i16),
}

impl CardOrder {
    /// Sort key of a card.
    #[must_use]
    pub fn key_of(self, card: &Card) -> CardKey {
        let value = match self.field {
            CardOrderField::Deck => CardValue::Deck,
            CardOrderField::Number => CardValue::Number(card.number),
            CardOrderField::Name => CardValue::Name(fold_case(&card.texts.get(Locale::En).name)),
            CardOrderField::RadiationLevel => CardValue::RadiationLevel(card.radiation_level),
            CardOrderField::ThreatLevel => CardValue::ThreatLevel(card.threat_level),
        };
        CardKey { value, place: (card.suit, card.number) }
    }

    /// `true` if the key has a value of this order's sort field.
    #[must_use]
    pub const fn is_key_of_order(self, key: &CardKey) -> bool {
        matches!(
            (self.field, &key.value),
            (CardOrderField::Deck, CardValue::Deck)
                | (CardOrderField::Number, CardValue::Number(_))
                | (CardOrderField::Name, CardValue::Name(_))
                | (CardOrderField::RadiationLevel, CardValue::RadiationLevel(_))
                | (CardOrderField::ThreatLevel, CardValue::ThreatLevel(_))
        )
    }

    /// Comparison of two keys in this order.
    #[must_use]
    pub fn compare(self, one: &CardKey, other: &CardKey) -> Ordering {
        let in_deck = one.place.cmp(&other.place);
        let values = match (&one.value, &other.value) {
            (CardValue::Number(one), CardValue::Number(other))
            | (CardValue::ThreatLevel(one), CardValue::ThreatLevel(other)) => one.cmp(other),
            (CardValue::Name(one), CardValue::Name(other)) => one.cmp(other),
            (CardValue::RadiationLevel(one), CardValue::RadiationLevel(other)) => {
                one.total_cmp(other)
            }
            // In deck order alone the position follows the direction.
            _ => in_deck,
        };
        self.order.of(values).then(in_deck)
    }
}
