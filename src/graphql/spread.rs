//! Spreads and their positions.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::enums::{Difficulty, FactionKey, Locale, SpreadType};
use super::errors::ApiError;
use super::id::GlobalId;
use super::pagination::{Connection, PageArguments};
use super::spread_lists::{SpreadFilter, SpreadOrder};
use crate::db::spreads::SpreadStatsRow;
use crate::domain::spread::{self, SpreadUsage};

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

    /// The active spreads, or those that are looked for.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many: 0 to 100, 20 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Those before this cursor.")] before: Option<String>,
        #[graphql(desc = "Only those. Absent: all that are active.")] filter: Option<SpreadFilter>,
        #[graphql(desc = "In this order. Absent: the most used first.")] order_by: Option<
            SpreadOrder,
        >,
        #[graphql(
            desc = "Part of the name, or of a display name or a description in any language, in capitals or not. One character is enough; at most 100. `%` and `_` stand for themselves."
        )]
        search: Option<String>,
    ) -> Result<Connection<Spread>, ApiError> {
        let arguments = PageArguments { first, after, last, before };
        let filter = filter.unwrap_or_default().read(search)?;
        if filter.includes_inactive {
            request(context).require_admin().await?;
        }
        order_by.unwrap_or_default().page(context, &arguments, &filter).await
    }
}

/// How these spreads were used; those never used may be left out.
pub(super) async fn usage_of(
    request: &RequestContext,
    spreads: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, SpreadUsage>, ApiError> {
    let rows = request.loaders.spread_stats_by_spread_id.load_many(spreads).await?;
    Ok(rows.into_iter().map(|(id, row)| (id, usage(&row))).collect())
}

fn usage(row: &SpreadStatsRow) -> SpreadUsage {
    SpreadUsage { count: row.usage_count, rating_sum: row.rating_sum, ratings: row.rating_n }
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

    async fn usage(
        &self,
        context: &Context<'_>,
        field: &'static str,
    ) -> Result<SpreadUsage, ApiError> {
        let loader = &request(context).loaders.spread_stats_by_spread_id;
        let row = loader.load_one_for(field, self.0.id).await?;
        Ok(row.map(|row| usage(&row)).unwrap_or_default())
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
        Ok(self.usage(context, "Spread.usageCount").await?.count)
    }

    /// The mean of the satisfaction ratings of its readings, 1 to 5 with one decimal; null if
    /// nobody rated one.
    async fn mean_rating(&self, context: &Context<'_>) -> Option<Result<f64, ApiError>> {
        let usage = self.usage(context, "Spread.meanRating").await;
        usage.map(SpreadUsage::mean_rating).transpose()
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
