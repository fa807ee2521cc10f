//! Lists of cards: filter, order and pages.

use async_graphql::{Context, Enum, InputObject};

use super::card::Card;
use super::context::request;
use super::enums::{CardType, Suit};
use super::errors::ApiError;
use super::inputs::{FloatRange, IntRange, OrderDirection, search_text};
use super::pagination::{
    Connection, CursorKey, PageArguments, list_name, of_order, read_text, write_text,
};
use crate::cache::keys;
use crate::config::content::{RADIATION_LEVEL, THREAT_LEVEL};
use crate::domain::card_list::{self, CardKey, CardValue};
use crate::domain::search::Search;

/// Filter of cards. All given fields must match; of a list, one item must match, so an empty list
/// matches nothing.
#[derive(InputObject, Default)]
pub struct CardFilter {
    /// Major or minor arcana.
    card_type: Option<CardType>,
    /// One of these suits.
    suits: Option<Vec<Suit>>,
    /// Range of the radiation level, within 0 to 1.
    radiation_level: Option<FloatRange>,
    /// Range of the threat level, within 1 to 10.
    threat_level: Option<IntRange>,
}

/// Sort field of cards.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "card_list::CardOrderField")]
pub enum CardOrderField {
    /// Suit, then number.
    Deck,
    /// Number within the suit.
    Number,
    /// English name, by the code points of its lower-case letters.
    Name,
    /// Radiation level.
    RadiationLevel,
    /// Threat level.
    ThreatLevel,
}

/// Order of cards. Ties are in deck order, in both directions.
#[derive(InputObject, Clone, Copy)]
pub struct CardOrder {
    /// Sort field.
    #[graphql(default_with = "CardOrderField::Deck")]
    field: CardOrderField,
    /// Sort direction.
    #[graphql(default_with = "OrderDirection::Asc")]
    direction: OrderDirection,
}

impl Default for CardOrder {
    fn default() -> Self {
        Self { field: CardOrderField::Deck, direction: OrderDirection::Asc }
    }
}

impl CardFilter {
    /// The filter and search text as domain rules.
    ///
    /// # Errors
    ///
    /// The search text is too long.
    pub fn into_domain(self, search: Option<String>) -> Result<card_list::CardFilter, ApiError> {
        Ok(card_list::CardFilter {
            card_type: self.card_type.map(Into::into),
            suits: self.suits.map(|suits| suits.into_iter().map(Into::into).collect()),
            radiation_level: self.radiation_level.map(Into::into).unwrap_or_default(),
            threat_level: self.threat_level.map(Into::into).unwrap_or_default(),
            search: search_text(search)?.as_deref().map(Search::new),
        })
    }
}

impl CardOrder {
    /// The page of matching cards.
    ///
    /// # Errors
    ///
    /// The errors of [`PageArguments::request`].
    pub async fn page(
        self,
        context: &Context<'_>,
        arguments: &PageArguments,
        filter: &card_list::CardFilter,
    ) -> Result<Connection<Card>, ApiError> {
        let request = request(context);
        let order = card_list::CardOrder { field: self.field.into(), order: self.direction.into() };
        let list = list_name("cards", self.field, self.direction);
        let page = arguments.request::<CardKey>(context, &request.limits, &list)?;
        let page = of_order(page, |key| order.is_key_of_order(key))?;
        let of_type = async || Ok(request.catalogue.cards_of_type(filter.card_type).collect());
        let of_type = request.cached(&keys::cards_list(filter.card_type), of_type()).await?;
        let mut cards: Vec<_> = of_type
            .iter()
            .filter(|card| filter.matches(card))
            .map(|card| (order.key_of(card), card))
            .collect();
        cards.sort_by(|(one, _), (other, _)| order.compare(one, other));
        let page = page.slice_by(&cards, |(place, _), key| order.compare(place, key));
        Ok(Connection::new(&list, page, |(key, _)| key.clone(), |(_, card)| Card::of(card)))
    }
}

/// Prefixes of values in a cursor, which tell them apart.
const NUMBER: &str = "n";
const NAME: &str = "t";
const RADIATION: &str = "r";
const THREAT: &str = "l";

impl CursorKey for CardKey {
    fn write(&self) -> String {
        let (suit, number) = self.place;
        match &self.value {
            CardValue::Deck => format!("{suit},{number}"),
            CardValue::Number(value) => format!("{suit},{number},{NUMBER}{value}"),
            CardValue::Name(name) => format!("{suit},{number},{NAME}{}", write_text(name)),
            CardValue::RadiationLevel(level) => format!("{suit},{number},{RADIATION}{level}"),
            CardValue::ThreatLevel(level) => format!("{suit},{number},{THREAT}{level}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ',');
        let place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let value = parts.next().map_or(Some(CardValue::Deck), read_value)?;
        Some(Self { value, place })
    }
}

fn read_value(text: &str) -> Option<CardValue> {
    if let Some(number) = text.strip_prefix(NUMBER) {
        number.parse().ok().map(CardValue::Number)
    } else if let Some(name) = text.strip_prefix(NAME) {
        read_text(name).map(CardValue::Name)
    } else if let Some(level) = text.strip_prefix(RADIATION) {
        let level = level.parse().ok().filter(|level| RADIATION_LEVEL.contains(level));
        level.map(CardValue::RadiationLevel)
    } else {
        let level = text.strip_prefix(THREAT)?.parse().ok();
        let level = level.filter(|level| THREAT_LEVEL.contains(&i32::from(*level)));
        level.map(CardValue::ThreatLevel)
    }
}
