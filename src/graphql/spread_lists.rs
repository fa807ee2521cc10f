//! Lists of spreads: what clients may narrow them to and order them by, and their pages.

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
use crate::cache::keys;
use crate::db::DbError;
use crate::domain::search::Search;
use crate::domain::spread;
use crate::domain::spread_list::{self, SpreadKey, SpreadValue};

/// Which spreads: all of what is given must fit. Of a list one item has to fit, so an empty list fits
/// nothing.
#[derive(InputObject, Default)]
pub struct SpreadFilter {
    /// Its kind is one of these.
    spread_types: Option<Vec<SpreadType>>,
    /// How hard it is to read is one of these.
    difficulties: Option<Vec<Difficulty>>,
    /// How many cards it takes lies here, 1 to 15.
    card_count: Option<IntRange>,
    /// This faction favours it.
    faction: Option<FactionKey>,
    /// Whether it is for premium users only.
    is_premium: Option<bool>,
    /// Whether those are listed as well that new readings may not use. For admins only: else it is
    /// `FORBIDDEN`, or `UNAUTHENTICATED` where nobody is signed in.
    #[graphql(default = false)]
    include_inactive: bool,
}

/// What spreads are ordered by.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "spread_list::SpreadOrderField")]
pub enum SpreadOrderField {
    /// How many readings used them.
    UsageCount,
    /// The stable name, `name`, which is not what people call them.
    Name,
    /// How many cards they take.
    CardCount,
    /// When they were made.
    CreatedAt,
}

/// How spreads are ordered. Those that are equal are ordered by id, whatever the direction.
#[derive(InputObject, Clone, Copy)]
pub struct SpreadOrder {
    /// By what.
    #[graphql(default_with = "SpreadOrderField::UsageCount")]
    field: SpreadOrderField,
    /// Which end comes first.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

impl Default for SpreadOrder {
    fn default() -> Self {
        Self { field: SpreadOrderField::UsageCount, direction: OrderDirection::Desc }
    }
}

impl SpreadFilter {
    /// With what is searched for, as the rules know it.
    ///
    /// # Errors
    ///
    /// The text is too long.
    pub fn read(self, search: Option<String>) -> Result<spread_list::SpreadFilter, ApiError> {
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
    /// The page of the spreads that fit.
    ///
    /// # Errors
    ///
    /// Those of [`PageArguments::request`], or the statement fails.
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
        let offered = offered_spreads(request, filter.includes_inactive).await?;
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

/// The spreads that are offered, or all.
///
/// # Errors
///
/// Whoever computes them fails.
pub async fn offered_spreads(
    request: &RequestContext,
    includes_inactive: bool,
) -> Result<Arc<Vec<Arc<spread::Spread>>>, DbError> {
    let catalogue = &request.catalogue;
    let offered = async || {
        Ok(if includes_inactive {
            catalogue.spreads().to_vec()
        } else {
            catalogue.active_spreads().collect()
        })
    };
    request.cached(&keys::spreads_list(includes_inactive), offered()).await
}

/// What stands before each value but a usage count in a cursor, so that none is taken for another.
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

    fn read(text: &str) -> Option<Self> {
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
