//! Lists of cards: what they are narrowed to and how they are ordered.

use std::cmp::Ordering;

use super::card::{Card, CardType, Suit};
use super::locale::Locale;
use super::page::Order;
use super::range::Range;
use super::search::{Search, folded};

/// What a card must be to be listed: all of it. What is `None` may be anything, and of a list one has
/// to fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CardFilter {
    /// Major or minor.
    pub card_type: Option<CardType>,
    /// The suit.
    pub suits: Option<Vec<Suit>>,
    /// How irradiated it is.
    pub radiation_level: Range<f64>,
    /// How dangerous it looks.
    pub threat_level: Range<i32>,
    /// In its code, its standard name, or a name or a keyword of any language.
    pub search: Option<Search>,
}

impl CardFilter {
    /// Whether the card is listed.
    #[must_use]
    pub fn fits(&self, card: &Card) -> bool {
        self.card_type.is_none_or(|card_type| card.suit.card_type() == card_type)
            && self.suits.as_ref().is_none_or(|suits| suits.contains(&card.suit))
            && self.radiation_level.contains(&card.radiation_level)
            && self.threat_level.contains(&i32::from(card.threat_level))
            && self.search.as_ref().is_none_or(|search| search.is_in(searched(card)))
    }
}

fn searched(card: &Card) -> impl Iterator<Item = &str> {
    let of_all_languages = card.texts.iter().flat_map(|(_, text)| {
        std::iter::once(text.name.as_str()).chain(text.keywords.iter().map(String::as_str))
    });
    [card.code.as_str(), card.standard_name.as_str()].into_iter().chain(of_all_languages)
}

/// What cards are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardOrderField {
    /// The suit, then the number.
    Deck,
    /// The number.
    Number,
    /// The English name, in capitals or not.
    Name,
    /// How irradiated they are.
    RadiationLevel,
    /// How dangerous they look.
    ThreatLevel,
}

/// How cards are ordered. What is equal is in deck order, whatever the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardOrder {
    /// By what.
    pub field: CardOrderField,
    /// Which end comes first.
    pub order: Order,
}

/// A card's place in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct CardKey {
    /// What the list is ordered by.
    pub value: CardValue,
    /// Its place in the deck.
    pub place: (Suit, i16),
}

/// What a list of cards is ordered by.
#[derive(Debug, Clone, PartialEq)]
pub enum CardValue {
    /// Nothing but the place in the deck.
    Deck,
    /// The number.
    Number(i16),
    /// The English name, in lower case.
    Name(String),
    /// How irradiated it is.
    RadiationLevel(f64),
    /// How dangerous it looks.
    ThreatLevel(i16),
}

impl CardOrder {
    /// The place of a card.
    #[must_use]
    pub fn key_of(self, card: &Card) -> CardKey {
        let value = match self.field {
            CardOrderField::Deck => CardValue::Deck,
            CardOrderField::Number => CardValue::Number(card.number),
            CardOrderField::Name => CardValue::Name(folded(&card.texts.get(Locale::En).name)),
            CardOrderField::RadiationLevel => CardValue::RadiationLevel(card.radiation_level),
            CardOrderField::ThreatLevel => CardValue::ThreatLevel(card.threat_level),
        };
        CardKey { value, place: (card.suit, card.number) }
    }

    /// Whether a place is one of a list in this order.
    #[must_use]
    pub const fn knows(self, key: &CardKey) -> bool {
        matches!(
            (self.field, &key.value),
            (CardOrderField::Deck, CardValue::Deck)
                | (CardOrderField::Number, CardValue::Number(_))
                | (CardOrderField::Name, CardValue::Name(_))
                | (CardOrderField::RadiationLevel, CardValue::RadiationLevel(_))
                | (CardOrderField::ThreatLevel, CardValue::ThreatLevel(_))
        )
    }

    /// Which of two places in this order comes first.
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
            // The deck, and there alone the place turns round with the direction.
            _ => in_deck,
        };
        self.order.of(values).then(in_deck)
    }
}
