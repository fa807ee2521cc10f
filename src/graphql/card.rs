//! Cards and suits.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use object_macro::object;

use super::card_lists::{CardFilter, CardOrder};
use super::context::{RequestContext, request};
use super::enums::{CardType, Locale, Suit, VoiceKey};
use super::errors::ApiError;
use super::fast_json::Direct;
use super::id::GlobalId;
use super::list::List;
use super::pagination::{Connection, PageArguments, Paginated};
use super::scalars::Url;
use crate::db::DbError;
use crate::domain::card;

/// Query fields that return cards.
#[derive(Default)]
pub struct CardQuery;

#[Object]
impl CardQuery {
    /// The card with this id; null if it does not exist.
    async fn card(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of a card. The id of another type is a `BAD_USER_INPUT` error.")]
        id: ID,
    ) -> Option<Result<Direct<Card>, ApiError>> {
        match GlobalId::parse("id", &id) {
            Ok(GlobalId::Card(id)) => {
                request(context).catalogue.card(id).map(|card| Ok(Direct(Card::of(card))))
            }
            Ok(other) => Some(Err(other.refuse("id", "Card"))),
            Err(error) => Some(Err(error)),
        }
    }

    /// The card with this code, such as `major_arcana_00` or `bottle_caps_11`; null if it does not
    /// exist.
    async fn card_by_code(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Suit and two-digit number, such as `bottle_caps_11`.")] code: String,
    ) -> Option<Direct<Card>> {
        request(context).catalogue.card_by_code(&code).map(Card::of).map(Direct)
    }

    /// The deck of 78 cards, filtered and searched.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Page size from the end of the list, 0 to 100 (default 20 with `before`)."
        )]
        last: Option<i32>,
        #[graphql(desc = "Return the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Return the cards that match (default: all).")] filter: Option<CardFilter>,
        #[graphql(desc = "Order of the list (default: by suit, then number).")] order_by: Option<
            CardOrder,
        >,
        #[graphql(
            desc = "Substring of the code, the standard name, or a name or keyword in any language; case-insensitive, 1 to 100 characters. `%` and `_` are not wildcards."
        )]
        search: Option<String>,
    ) -> Result<Direct<Connection<Card>>, ApiError> {
        let arguments = PageArguments { first, after, last, before };
        let filter = filter.unwrap_or_default().into_domain(search)?;
        order_by.unwrap_or_default().page(context, &arguments, &filter).await.map(Direct)
    }

    /// The five suits, in deck order.
    async fn suits(&self) -> Direct<List<SuitInfo>> {
        Direct(card::Suit::ALL.iter().copied().map(SuitInfo).collect())
    }
}

/// One of the 78 cards.
#[derive(Clone)]
pub struct Card(pub Arc<card::Card>);

impl Paginated for Card {
    const EDGE: &'static str = "CardEdge";
    const CONNECTION: &'static str = "CardConnection";
}

impl Card {
    /// The GraphQL type of a card.
    #[must_use]
    pub fn of(card: &Arc<card::Card>) -> Self {
        Self(Arc::clone(card))
    }

    fn text(&self, locale: Locale) -> &card::CardText {
        self.0.texts.get(locale.into())
    }
}

/// One of the 78 cards.
#[object]
impl Card {
    /// Id of the card, for `node` and `card`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Card(self.0.id)
    }

    /// Stable name of the card, suit and number, such as `major_arcana_00`.
    fn code(&self) -> &str {
        &self.0.code
    }

    /// Name of the card in the app.
    fn name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).name
    }

    /// Major or minor arcana.
    fn card_type(&self) -> CardType {
        self.0.suit.card_type().into()
    }

    /// Suit of the card.
    fn suit(&self) -> Suit {
        self.0.suit.into()
    }

    /// Position in the suit: 0 to 21 in the major arcana, 1 to 14 in the minor suits.
    fn number(&self) -> i16 {
        self.0.number
    }

    /// Rank: a roman numeral in the major arcana, `Ace` to `Ten` or a court rank in the minor
    /// suits.
    fn rank(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.rank(locale.into())
    }

    /// True for court cards: numbers 11 to 14 of a minor suit.
    fn is_court(&self) -> bool {
        self.0.is_court()
    }

    /// Name of the card in a standard tarot deck, such as `The Fool`.
    fn standard_name(&self) -> &str {
        &self.0.standard_name
    }

    /// Name of its suit in a standard tarot deck, such as `Cups`.
    fn standard_suit(&self) -> &str {
        &self.0.standard_suit
    }

    /// Meaning of the upright card.
    fn upright_meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).upright
    }

    /// Meaning of the reversed card.
    fn reversed_meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).reversed
    }

    /// Keywords of the card, the most important first. At most 20.
    fn keywords(
        &self,
        #[graphql(desc = "Language of the keywords.", default_with = "Locale::En")] locale: Locale,
    ) -> &[String] {
        &self.text(locale).keywords
    }

    /// Radiation level, 0 to 1. Flavour: it does not influence draws.
    fn radiation_level(&self) -> f64 {
        self.0.radiation_level
    }

    /// Threat level, 1 to 10. Flavour: it does not influence draws.
    fn threat_level(&self) -> i16 {
        self.0.threat_level
    }

    /// Number of the vault of the card, 1 to 122; null for most cards.
    fn vault_number(&self) -> Option<i16> {
        self.0.vault_number
    }

    /// Address of a picture of the card; null until an admin sets it.
    fn image_url(&self) -> Option<Url> {
        self.0.image_url.clone().map(Url)
    }

    /// Number of times that the card was drawn in readings, updated every few seconds.
    async fn draw_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        let loader = &request(context).loaders.card_stats_by_card_id;
        Ok(loader.load_one(self.0.id).await?.map_or(0, |stats| stats.draw_count))
    }

    /// Interpretation of the upright card by a voice.
    fn interpretation<'a>(
        &'a self,
        request: &'a RequestContext,
        #[graphql(desc = "Voice of the interpretation.")] voice: VoiceKey,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&'a str, ApiError> {
        let text = request.catalogue.interpretation(self.0.id, voice.into(), locale.into());
        text.ok_or_else(|| {
            let what = format!("what {voice:?} says of {}", self.0.code);
            DbError::MissingReferenceData { what }.into()
        })
    }
}

/// A suit of the deck.
pub struct SuitInfo(card::Suit);

/// A suit of the deck.
#[object]
impl SuitInfo {
    /// Id of the suit. `node` does not accept it.
    fn id(&self) -> GlobalId {
        GlobalId::SuitInfo(self.0)
    }

    /// The suit as an enum value.
    fn suit(&self) -> Suit {
        self.0.into()
    }

    /// Name of the suit in the app.
    fn name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.name(locale.into())
    }

    /// Classical element: water, air, earth or fire; null for the major arcana.
    fn element(&self) -> Option<&str> {
        self.0.element()
    }

    /// Name of the suit in a standard tarot deck.
    fn standard_suit(&self) -> &str {
        self.0.standard_name()
    }

    /// Number of cards of the suit.
    fn card_count(&self, request: &RequestContext) -> usize {
        request.catalogue.card_count(self.0)
    }
}
