//! Spreads and their positions.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::errors::ApiError;
use super::id::GlobalId;
use super::pagination::{Connection, CursorKey, PageArguments};
use super::words::{Difficulty, FactionKey, Locale, SpreadType};
use crate::db::spreads::SpreadStatsRow;
use crate::domain::spread;
use crate::domain::statistics::mean;

/// The order in which spreads are listed.
const MOST_USED_FIRST: &str = "spreads:USAGE_COUNT:DESC";

/// Fields of the query type that answer spreads.
#[derive(Default)]
pub struct SpreadQuery;

#[Object]
impl SpreadQuery {
    /// The spread of an id, also if it is no longer active; null if there is none.
    async fn spread(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A spread's id. Another object's id is an error.")] id: ID,
    ) -> Option<Result<Spread, ApiError>> {
        match GlobalId::parse("id", &id) {
            Ok(GlobalId::Spread(id)) => {
                request(context).catalogue.spread(id).map(|spread| Ok(Spread::of(spread)))
            }
            Ok(other) => Some(Err(other.refuse("id", "Spread"))),
            Err(error) => Some(Err(error)),
        }
    }

    /// The active spread of a name, such as `celtic_cross`; null if there is none.
    async fn spread_by_name(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The spread's stable name, not its display name.")] name: String,
    ) -> Option<Spread> {
        let spreads = request(context).catalogue.spreads();
        spreads.iter().find(|spread| spread.is_active && spread.name == name).map(Spread::of)
    }

    /// The active spreads, the most used first.
    async fn spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many: 0 to 100, 20 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Spread>, ApiError> {
        let request = request(context);
        let arguments = PageArguments { first, after, last, before };
        let page = arguments.request::<UsageKey>(context, &request.limits, MOST_USED_FIRST)?;
        let active: Vec<_> =
            request.catalogue.spreads().iter().filter(|spread| spread.is_active).cloned().collect();
        let stats = stats_of(request, active.iter().map(|spread| spread.id)).await?;
        let key_of = |spread: &Arc<spread::Spread>| {
            UsageKey(Reverse(stats.get(&spread.id).map_or(0, |stats| stats.usage_count)), spread.id)
        };
        let mut sorted = active;
        sorted.sort_by_key(key_of);
        let page = page.page_of(&sorted, key_of);
        Ok(Connection::new(MOST_USED_FIRST, page, key_of, Spread))
    }
}

async fn stats_of(
    request: &RequestContext,
    spreads: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Arc<SpreadStatsRow>>, ApiError> {
    Ok(request.loaders.spread_stats_by_spread_id.load_many(spreads).await?)
}

/// A spread's place among the most used.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UsageKey(Reverse<i64>, Uuid);

impl CursorKey for UsageKey {
    fn write(&self) -> String {
        format!("{},{}", self.0.0, self.1.simple())
    }

    fn read(text: &str) -> Option<Self> {
        let (count, id) = text.split_once(',')?;
        Some(Self(Reverse(count.parse().ok()?), Uuid::try_parse(id).ok()?))
    }
}

/// A named layout of positions, one card each.
#[derive(Clone)]
pub struct Spread(pub Arc<spread::Spread>);

impl Spread {
    /// The spread as clients see it.
    #[must_use]
    pub fn of(spread: &Arc<spread::Spread>) -> Self {
        Self(Arc::clone(spread))
    }

    fn text(&self, locale: Locale) -> &spread::SpreadText {
        self.0.texts.get(locale.into())
    }

    async fn stats(
        &self,
        context: &Context<'_>,
        field: &'static str,
    ) -> Result<Option<Arc<SpreadStatsRow>>, ApiError> {
        let loader = &request(context).loaders.spread_stats_by_spread_id;
        Ok(loader.load_one_for(field, self.0.id).await?)
    }
}

/// A named layout of positions, one card each.
#[Object]
impl Spread {
    /// The spread's id, for `node` and `spread`.
    pub async fn id(&self) -> ID {
        GlobalId::Spread(self.0.id).encode()
    }

    /// A stable name, such as `celtic_cross`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What people call it.
    async fn display_name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).display_name
    }

    /// What it is for and how the cards lie.
    async fn description(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).description
    }

    /// Its kind.
    async fn spread_type(&self) -> SpreadType {
        self.0.spread_type.into()
    }

    /// How many cards it takes, 1 to 15.
    async fn card_count(&self) -> usize {
        self.0.card_count()
    }

    /// How hard it is to read.
    async fn difficulty(&self) -> Difficulty {
        self.0.difficulty.into()
    }

    /// The faction that favours it; null if none does.
    async fn faction(&self) -> Option<FactionKey> {
        self.0.faction.map(Into::into)
    }

    /// How many minutes a reading with it takes: two a card and five more.
    async fn estimated_minutes(&self) -> usize {
        self.0.estimated_minutes()
    }

    /// The positions in the order in which cards are laid. At most 15.
    async fn positions(&self) -> Vec<SpreadPosition> {
        (0..self.0.positions.len())
            .map(|index| SpreadPosition(Arc::clone(&self.0), index))
            .collect()
    }

    /// Whether new readings may use it.
    async fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// Whether it is for premium users only.
    async fn is_premium(&self) -> bool {
        self.0.is_premium
    }

    /// How many readings used it. Counted a little behind the readings themselves.
    async fn usage_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        Ok(self.stats(context, "Spread.usageCount").await?.map_or(0, |stats| stats.usage_count))
    }

    /// The mean of the satisfaction ratings of its readings, 1 to 5 with one decimal; null if
    /// nobody rated one.
    async fn mean_rating(&self, context: &Context<'_>) -> Option<Result<f64, ApiError>> {
        match self.stats(context, "Spread.meanRating").await {
            Ok(stats) => stats.and_then(|stats| mean(stats.rating_sum, stats.rating_n)).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

/// A place of a spread.
pub struct SpreadPosition(Arc<spread::Spread>, usize);

impl SpreadPosition {
    fn position(&self) -> &spread::Position {
        &self.0.positions[self.1]
    }
}

/// A place of a spread.
#[Object]
impl SpreadPosition {
    /// The position's id.
    async fn id(&self) -> ID {
        GlobalId::SpreadPosition(self.0.id, self.position().number).encode()
    }

    /// Its number, from 1 in the order in which cards are laid.
    async fn number(&self) -> i16 {
        self.position().number
    }

    /// What the place is called.
    async fn name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.position().texts.get(locale.into()).name
    }

    /// What a card there speaks of.
    async fn meaning(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.position().texts.get(locale.into()).meaning
    }

    /// Where the card lies, 0 to 1 from the left; null where the layout is left to the client.
    async fn x(&self) -> Option<f64> {
        self.position().x
    }

    /// Where the card lies, 0 to 1 from the top; null where the layout is left to the client.
    async fn y(&self) -> Option<f64> {
        self.position().y
    }

    /// How the card is turned, in degrees clockwise; null where the layout is left to the client.
    async fn rotation(&self) -> Option<f64> {
        self.position().rotation
    }
}
