//! Spreads and their positions.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use object_macro::object;
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::enums::{Difficulty, FactionKey, Locale, SpreadType};
use super::errors::ApiError;
use super::fast_json::Direct;
use super::id::GlobalId;
use super::pagination::{Connection, PageArguments, Paginated};
use super::spread_lists::{SpreadFilter, SpreadOrder};
use crate::db::spreads::SpreadStatsRow;
use crate::domain::spread::{self, SpreadUsage};

/// Query fields that return spreads.
#[derive(Default)]
pub struct SpreadQuery;

#[Object]
impl SpreadQuery {
    /// The spread with this id, active or not; null if it does not exist.
    async fn spread(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of a spread. The id of another type is a `BAD_USER_INPUT` error.")] id: ID,
    ) -> Option<Result<Direct<Spread>, ApiError>> {
        match GlobalId::parse("id", &id) {
            Ok(GlobalId::Spread(id)) => {
                request(context).catalogue.spread(id).map(|spread| Ok(Direct(Spread::of(spread))))
            }
            Ok(other) => Some(Err(other.refuse("id", "Spread"))),
            Err(error) => Some(Err(error)),
        }
    }

    /// The active spread with this name, such as `celtic_cross`; null if it does not exist.
    async fn spread_by_name(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Stable name (`Spread.name`), not the display name.")] name: String,
    ) -> Option<Direct<Spread>> {
        let spreads = request(context).catalogue.spreads();
        spreads
            .iter()
            .find(|spread| spread.is_active && spread.name == name)
            .map(|spread| Direct(Spread::of(spread)))
    }

    /// The active spreads, filtered and searched.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the contract")]
    async fn spreads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Page size from the end of the list, 0 to 100 (default 20 with `before`)."
        )]
        last: Option<i32>,
        #[graphql(desc = "Return the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Return the spreads that match (default: all active ones).")]
        filter: Option<SpreadFilter>,
        #[graphql(desc = "Order of the list (default: most used first).")] order_by: Option<
            SpreadOrder,
        >,
        #[graphql(
            desc = "Substring of the name, or of a display name or description in any language; case-insensitive, 1 to 100 characters. `%` and `_` are not wildcards."
        )]
        search: Option<String>,
    ) -> Result<Direct<Connection<Spread>>, ApiError> {
        let arguments = PageArguments { first, after, last, before };
        let filter = filter.unwrap_or_default().into_domain(search)?;
        if filter.includes_inactive {
            request(context).require_admin().await?;
        }
        order_by.unwrap_or_default().page(context, &arguments, &filter).await.map(Direct)
    }
}

/// Usage of these spreads; unused ones may be missing.
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

/// A layout of positions for cards, one card each.
#[derive(Clone)]
pub struct Spread(pub Arc<spread::Spread>);

impl Paginated for Spread {
    const EDGE: &'static str = "SpreadEdge";
    const CONNECTION: &'static str = "SpreadConnection";
}

impl Spread {
    /// The GraphQL type of a spread.
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

/// A layout of positions for cards, one card each.
#[object]
impl Spread {
    /// Id of the spread, for `node` and `spread`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Spread(self.0.id)
    }

    /// Stable name, such as `celtic_cross`.
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Display name.
    fn display_name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).display_name
    }

    /// Purpose of the spread and layout of its cards.
    fn description(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.text(locale).description
    }

    /// Kind of the spread.
    fn spread_type(&self) -> SpreadType {
        self.0.spread_type.into()
    }

    /// Number of cards, 1 to 15.
    fn card_count(&self) -> usize {
        self.0.card_count()
    }

    /// Difficulty.
    fn difficulty(&self) -> Difficulty {
        self.0.difficulty.into()
    }

    /// Faction that favours the spread; null if none does.
    fn faction(&self) -> Option<FactionKey> {
        self.0.faction.map(Into::into)
    }

    /// Estimated minutes of a reading: two for each card, and five.
    fn estimated_minutes(&self) -> usize {
        self.0.estimated_minutes()
    }

    /// Positions in the order in which cards are laid. At most 15.
    fn positions(&self) -> Vec<SpreadPosition> {
        (0..self.0.positions.len())
            .map(|index| SpreadPosition(Arc::clone(&self.0), index))
            .collect()
    }

    /// True if new readings may use it.
    fn is_active(&self) -> bool {
        self.0.is_active
    }

    /// True if it is for premium users only.
    fn is_premium(&self) -> bool {
        self.0.is_premium
    }

    /// Number of readings that used it, updated every few seconds.
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

/// A position of a spread.
pub struct SpreadPosition(Arc<spread::Spread>, usize);

impl SpreadPosition {
    fn position(&self) -> &spread::Position {
        &self.0.positions[self.1]
    }
}

/// A position of a spread.
#[object]
impl SpreadPosition {
    /// Id of the position. `node` does not accept it.
    fn id(&self) -> GlobalId {
        GlobalId::SpreadPosition(self.0.id, self.position().number)
    }

    /// Number of the position, from 1 in the order in which cards are laid.
    fn number(&self) -> i16 {
        self.position().number
    }

    /// Name of the position.
    fn name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.position().texts.get(locale.into()).name
    }

    /// Meaning of the position.
    fn meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.position().texts.get(locale.into()).meaning
    }

    /// Horizontal place of the card, 0 (left) to 1 (right); null if the layout is up to the client.
    fn x(&self) -> Option<f64> {
        self.position().x
    }

    /// Vertical place of the card, 0 (top) to 1 (bottom); null if the layout is up to the client.
    fn y(&self) -> Option<f64> {
        self.position().y
    }

    /// Rotation of the card in degrees, clockwise; null if the layout is up to the client.
    fn rotation(&self) -> Option<f64> {
        self.position().rotation
    }
}
