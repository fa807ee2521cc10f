//! Cards and suits.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::card_lists::{CardFilter, CardOrder};
use super::context::request;
use super::enums::{CardType, Locale, Suit, VoiceKey};
use super::errors::ApiError;
use super::id::GlobalId;
use super::pagination::{Connection, PageArguments};
use super::scalars::Url;
use crate::db::DbError;
use crate::domain::card;

/// Fields of the query type that answer cards.
#[derive(Default)]
pub struct CardQuery;

#[Object]
impl CardQuery {
    /// The card of an id; null if there is none.
    async fn card(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A card's id. Another object's id is an error.")] id: ID,
    ) -> Option<Result<Card, ApiError>> {
        match GlobalId::parse("id", &id) {
            Ok(GlobalId::Card(id)) => {
                request(context).catalogue.card(id).map(|card| Ok(Card::of(card)))
            }
            Ok(other) => Some(Err(other.refuse("id", "Card"))),
            Err(error) => Some(Err(error)),
        }
    }

    /// The card of a code, such as `major_arcana_00` or `bottle_caps_11`; null if there is none.
    async fn card_by_code(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The suit and the number, two digits.")] code: String,
    ) -> Option<Card> {
        request(context).catalogue.card_by_code(&code).map(Card::of)
    }

    /// The deck of 78 cards, or those of it that are looked for.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many: 0 to 100, 20 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Those before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only those. Absent: all.")] filter: Option<CardFilter>,
        #[graphql(desc = "In this order. Absent: by suit, then number.")] order_by: Option<
            CardOrder,
        >,
        #[graphql(
            desc = "Part of the code, the standard name, or a name or a keyword in any language, in capitals or not. One character is enough; at most 100. `%` and `_` stand for themselves."
        )]
        search: Option<String>,
    ) -> Result<Connection<Card>, ApiError> {
        let arguments = PageArguments { first, after, last, before };
        let filter = filter.unwrap_or_default().read(search)?;
        order_by.unwrap_or_default().page(context, &arguments, &filter).await
    }

    /// The five suits, in deck order.
    async fn suits(&self) -> Vec<SuitInfo> {
        card::Suit::ALL.iter().copied().map(SuitInfo).collect()
    }
}

/// One of the 78 cards.
#[derive(Clone)]
pub struct Card(pub Arc<card::Card>);

impl Card {
    /// The card as clients see it.
    #[must_use]
    pub fn of(card: &Arc<card::Card>) -> Self {
        Self(Arc::clone(card))
    }

    fn text(&self, locale: Locale) -> &card::CardText {
        self.0.texts.get(locale.into())
    }
}

/// One of the 78 cards.
#[Object]
impl Card {
    /// The card's id, for `node` and `card`.
    pub async fn id(&self) -> ID {
        GlobalId::Card(self.0.id).encode()
    }

    /// A stable name: the suit and the number, such as `major_arcana_00`.
    async fn code(&self) -> &str {
        &self.0.code
    }

    /// What the card is called in the app.
    async fn name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).name
    }

    /// Major or minor arcana.
    async fn card_type(&self) -> CardType {
        self.0.suit.card_type().into()
    }

    /// The suit.
    async fn suit(&self) -> Suit {
        self.0.suit.into()
    }

    /// Its place in the suit: 0 to 21 in the major arcana, 1 to 14 in the others.
    async fn number(&self) -> i16 {
        self.0.number
    }

    /// The rank: a roman numeral in the major arcana, `Ace` to `Ten` or a court rank in the others.
    async fn rank(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.rank(locale.into())
    }

    /// Whether it is a court card: number 11 to 14 of a minor suit.
    async fn is_court(&self) -> bool {
        self.0.is_court()
    }

    /// What the card is called in a standard tarot deck, such as `The Fool`.
    async fn standard_name(&self) -> &str {
        &self.0.standard_name
    }

    /// What its suit is called in a standard tarot deck, such as `Cups`.
    async fn standard_suit(&self) -> &str {
        &self.0.standard_suit
    }

    /// What the card means when it lies upright.
    async fn upright_meaning(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).upright
    }

    /// What the card means when it lies upside down.
    async fn reversed_meaning(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).reversed
    }

    /// A few words for what the card is about, the most important first. At most 20.
    async fn keywords(
        &self,
        #[graphql(desc = "The texts' language.", default_with = "Locale::En")] locale: Locale,
    ) -> &[String] {
        &self.text(locale).keywords
    }

    /// How irradiated the card is, 0 to 1. Flavour: it never changes a draw.
    async fn radiation_level(&self) -> f64 {
        self.0.radiation_level
    }

    /// How dangerous it looks, 1 to 10. Flavour.
    async fn threat_level(&self) -> i16 {
        self.0.threat_level
    }

    /// The vault that the card belongs to, 1 to 122; null for most.
    async fn vault_number(&self) -> Option<i16> {
        self.0.vault_number
    }

    /// A picture of the card; null until an operator gives it one.
    async fn image_url(&self) -> Option<Url> {
        self.0.image_url.clone().map(Url)
    }

    /// How often the card was drawn in readings. Counted a little behind the readings themselves.
    async fn draw_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        let loader = &request(context).loaders.card_stats_by_card_id;
        Ok(loader.load_one(self.0.id).await?.map_or(0, |stats| stats.draw_count))
    }

    /// What one of the voices says of the card when it lies upright.
    async fn interpretation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Who speaks.")] voice: VoiceKey,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<String, ApiError> {
        let catalogue = &request(context).catalogue;
        let text = catalogue.interpretation(self.0.id, voice.into(), locale.into());
        text.map(str::to_owned).ok_or_else(|| {
            let what = format!("what {voice:?} says of {}", self.0.code);
            DbError::MissingReferenceData { what }.into()
        })
    }
}

/// A suit of the deck.
pub struct SuitInfo(card::Suit);

/// A suit of the deck.
#[Object]
impl SuitInfo {
    /// The suit's id.
    async fn id(&self) -> ID {
        GlobalId::SuitInfo(self.0).encode()
    }

    /// Which suit.
    async fn suit(&self) -> Suit {
        self.0.into()
    }

    /// What the suit is called in the app.
    async fn name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.name(locale.into())
    }

    /// The classical element: water, air, earth or fire. The major arcana has none.
    async fn element(&self) -> Option<&str> {
        self.0.element()
    }

    /// What the suit is called in a standard tarot deck.
    async fn standard_suit(&self) -> &str {
        self.0.standard_name()
    }

    /// How many cards it has.
    async fn card_count(&self, context: &Context<'_>) -> usize {
        request(context).catalogue.card_count(self.0)
    }
}
