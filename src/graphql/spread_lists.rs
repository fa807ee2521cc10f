//! Lists of spreads: filter, order and pages.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject};
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::enums::{Difficulty, FactionKey, SpreadType};
use super::errors::ApiError;
use super::inputs::{IntRange, OrderDirection, search_text};
use super::pagination::{
    Connection, CursorKey, PageArguments, list_name, of_order, read_text, read_time, write_text,
};
use super::spread::{Spread, usage_of};
use crate::cache::keys::{self, SpreadSelection};
use crate::db::DbError;
use crate::domain::search::Search;
use crate::domain::spread;
use crate::domain::spread_list::{self, SpreadKey, SpreadValue};

/// Filter of spreads. All given fields must match; of a list, one item must match, so an empty list
/// matches nothing.
#[derive(InputObject, Default)]
pub struct SpreadFilter {
    /// One of these kinds.
    spread_types: Option<Vec<SpreadType>>,
    /// One of these difficulties.
    difficulties: Option<Vec<Difficulty>>,
    /// Range of the number of cards, within 1 to 15.
    card_count: Option<IntRange>,
    /// Favoured by this faction.
    faction: Option<FactionKey>,
    /// For premium users only, or not.
    is_premium: Option<bool>,
    /// Include inactive spreads. For admins only: `FORBIDDEN` for other users, `UNAUTHENTICATED`
    /// without an access token.
    #[graphql(default = false)]
    include_inactive: bool,
}

/// Sort field of spreads.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread_list::SpreadOrderField")]
pub enum SpreadOrderField {
    /// Number of readings that used the spread.
    UsageCount,
    /// Stable name (`name`), not the display name.
    Name,
    /// Number of cards.
    CardCount,
    /// Time of creation.
    CreatedAt,
}

/// Order of spreads. Ties are ordered by id, ascending in both directions.
#[derive(InputObject, Clone, Copy)]
pub struct SpreadOrder {
    /// Sort field.
    #[graphql(default_with = "SpreadOrderField::UsageCount")]
    field: SpreadOrderField,
    /// Sort direction.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

impl Default for SpreadOrder {
    fn default() -> Self {
        Self { field: SpreadOrderField::UsageCount, direction: OrderDirection::Desc }
    }
}

impl SpreadFilter {
    /// The filter and search text as domain rules.
    ///
    /// # Errors
    ///
    /// The search text is too long.
    pub fn into_domain(
        self,
        search: Option<String>,
    ) -> Result<spread_list::SpreadFilter, ApiError> {
        Ok(spread_list::SpreadFilter {
            spread_types: self.spread_types.map(|all| all.into_iter().map(Into::into).collect()),
            difficulties: self.difficulties.map(|all| all.into_iter().map(Into::into).collect()),
            card_count: self.card_count.map(Into::into).unwrap_or_default(),
            faction: self.faction.map(Into::into),
            is_premium: self.is_premium,
            includes_inactive: self.include_inactive,
            search: search_text(search)?.as_deref().map(Search::new),
        })
    }
}

impl SpreadOrder {
    /// The page of matching spreads.
    pub async fn page(
        self,
        context: &Context<'_>,
        arguments: &PageArguments,
        filter: &spread_list::SpreadFilter,
    ) -> Result<Connection<Spread>, ApiError> {
        let request = request(context);
        let order =
            spread_list::SpreadOrder { field: self.field.into(), order: self.direction.into() };
        let list = list_name("spreads", self.field, self.direction);
        let page = arguments.request::<SpreadKey>(context, &request.limits, &list)?;
        let page = of_order(page, |key| order.is_key_of_order(key))?;
        let offered = if filter.includes_inactive {
            all_spreads(request).await?
        } else {
            active_spreads(request).await?
        };
        let found: Vec<_> = offered.iter().filter(|spread| filter.matches(spread)).collect();
        let usage = match self.field {
            SpreadOrderField::UsageCount => {
                usage_of(request, found.iter().map(|spread| spread.id)).await?
            }
            _ => HashMap::new(),
        };
        let count_of = |id| usage.get(&id).map_or(0, |usage| usage.count);
        let mut spreads: Vec<_> = found
            .into_iter()
            .map(|spread| (order.key_of(spread, count_of(spread.id)), spread))
            .collect();
        spreads.sort_by(|(one, _), (other, _)| order.compare(one, other));
        let page = page.slice_by(&spreads, |(place, _), key| order.compare(place, key));
        Ok(Connection::new(&list, page, |(key, _)| key.clone(), |(_, spread)| Spread::of(spread)))
    }
}

/// The active spreads, cached.
pub async fn active_spreads(
    request: &RequestContext,
) -> Result<Arc<Vec<Arc<spread::Spread>>>, DbError> {
    let active = async || Ok(request.catalogue.active_spreads().collect());
    request.cached(&keys::spreads_list(SpreadSelection::Active), active()).await
}

/// All spreads, inactive ones included, cached.
pub async fn all_spreads(
    request: &RequestContext,
) -> Result<Arc<Vec<Arc<spread::Spread>>>, DbError> {
    let all = async || Ok(request.catalogue.spreads().to_vec());
    request.cached(&keys::spreads_list(SpreadSelection::All), all()).await
}

/// Prefixes of values in a cursor, which tell them apart. A usage count has none.
const NAME: &str = "t";
const CARDS: &str = "c";
const TIME: &str = "m";

impl CursorKey for SpreadKey {
    fn write(&self) -> String {
        let id = self.id.simple();
        match &self.value {
            SpreadValue::UsageCount(count) => format!("{count},{id}"),
            SpreadValue::Name(name) => format!("{NAME}{},{id}", write_text(name)),
            SpreadValue::CardCount(count) => format!("{CARDS}{count},{id}"),
            SpreadValue::CreatedAt(time) => format!("{TIME}{},{id}", time.timestamp_micros()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (value, id) = text.split_once(',')?;
        Some(Self { value: read_value(value)?, id: Uuid::try_parse(id).ok()? })
    }
}

fn read_value(text: &str) -> Option<SpreadValue> {
    if let Some(name) = text.strip_prefix(NAME) {
        read_text(name).map(SpreadValue::Name)
    } else if let Some(count) = text.strip_prefix(CARDS) {
        count.parse().ok().map(SpreadValue::CardCount)
    } else if let Some(time) = text.strip_prefix(TIME) {
        read_time(time).map(SpreadValue::CreatedAt)
    } else {
        text.parse().ok().map(SpreadValue::UsageCount)
    }
}
