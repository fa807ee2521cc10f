//! How long the lists are that are no connections. A list without a bound here stops the program
//! from starting, and a test from passing.

use super::guard::{Bound, ListBound};
use crate::config::limits::DocumentLimits;
use crate::config::monitor::SLOW_QUERIES_LISTED;

/// The bounds, by type and field.
#[must_use]
pub fn list_bounds(limits: &DocumentLimits) -> Vec<ListBound<'static>> {
    let ids = Bound::Length { argument: "ids", maximum: limits.ids as u64 };
    let slow_queries = Bound::Argument { argument: "limit", maximum: SLOW_QUERIES_LISTED as u64 };
    [
        ("Admin", "slowQueries", slow_queries),
        // The primary and 16 replicas.
        ("Admin", "poolStats", Bound::Items(17)),
        ("DatabaseHealth", "poolStats", Bound::Items(17)),
        ("Query", "nodes", ids),
        ("Query", "suits", Bound::Items(5)),
        ("Query", "voices", Bound::Items(14)),
        ("Query", "factions", Bound::Items(9)),
        ("Faction", "voices", Bound::Items(14)),
        ("DrawCardsPayload", "draws", Bound::Items(10)),
        ("Reading", "cards", Bound::Items(15)),
        ("Reading", "shareLinks", Bound::Items(20)),
        ("SharedReadingContent", "cards", Bound::Items(15)),
        ("Spread", "positions", Bound::Items(15)),
        ("User", "categories", Bound::Items(100)),
        // As many as an input has places that can be wrong; mostly one.
        ("*", "userErrors", Bound::Items(10)),
    ]
    .map(|(type_name, field, bound)| ListBound { type_name, field, bound })
    .into()
}
