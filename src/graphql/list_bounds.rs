//! How long the lists are that are no connections. A list without a bound here stops the program
//! from starting, and a test from passing.

use super::guard::{Bound, ListBound};
use crate::config::content::{CHART_DAYS, POPULAR_SPREADS, RECOMMENDED_SPREADS, TOP_CARDS};
use crate::config::limits::DocumentLimits;
use crate::config::monitor::SLOW_QUERIES_LISTED;

/// The bounds, by type and field.
#[must_use]
pub fn list_bounds(limits: &DocumentLimits) -> Vec<ListBound<'static>> {
    let ids = Bound::Length { argument: "ids", maximum: limits.ids as u64 };
    let by_limit = |limits| Bound::Argument { argument: "limit", maximum: most(limits) };
    let slow_queries = by_limit(&SLOW_QUERIES_LISTED);
    let popular = Bound::Items(most(&POPULAR_SPREADS));
    let recommended = by_limit(&RECOMMENDED_SPREADS);
    [
        ("Admin", "slowQueries", slow_queries),
        // The primary and 16 replicas.
        ("Admin", "poolStats", Bound::Items(17)),
        ("CacheStats", "policies", Bound::Items(5)),
        ("DatabaseHealth", "poolStats", Bound::Items(17)),
        ("Query", "nodes", ids),
        ("Query", "recommendedSpreads", recommended),
        ("PopularSpreads", "mostUsed", popular),
        ("PopularSpreads", "bestRated", popular),
        ("PopularSpreads", "newest", popular),
        ("PopularSpreads", "beginner", popular),
        ("PopularSpreads", "advanced", popular),
        ("Query", "suits", Bound::Items(5)),
        ("Query", "voices", Bound::Items(14)),
        ("Query", "factions", Bound::Items(9)),
        ("Faction", "voices", Bound::Items(14)),
        (
            "Analytics",
            "frequency",
            Bound::Argument { argument: "days", maximum: most(&CHART_DAYS) },
        ),
        ("Analytics", "karma", Bound::Items(3)),
        ("Analytics", "spreads", Bound::Items(8)),
        ("Analytics", "topCards", Bound::Argument { argument: "limit", maximum: most(&TOP_CARDS) }),
        ("Analytics", "voices", Bound::Items(14)),
        ("DrawCardsPayload", "draws", Bound::Items(10)),
        ("Reading", "cards", Bound::Items(15)),
        ("Reading", "shareLinks", Bound::Items(20)),
        ("SatisfactionAnalytics", "histogram", Bound::Items(5)),
        ("SharedReadingContent", "cards", Bound::Items(15)),
        ("Spread", "positions", Bound::Items(15)),
        ("User", "categories", Bound::Items(100)),
        ("UserStats", "karma", Bound::Items(3)),
        // As many as an input has places that can be wrong; mostly one.
        ("*", "userErrors", Bound::Items(10)),
    ]
    .map(|(type_name, field, bound)| ListBound { type_name, field, bound })
    .into()
}

fn most(range: &std::ops::RangeInclusive<i32>) -> u64 {
    range.end().unsigned_abs().into()
}
