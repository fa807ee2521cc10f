//! Stated costs of fields: the maximum length of lists that are not connections, and surcharges. A
//! list without a bound here stops the program from starting, and a test from passing.

use super::guard::{Bound, ListBound, Surcharge};
use crate::config::content::{CHART_DAYS, POPULAR_SPREADS, RECOMMENDED_SPREADS, TOP_CARDS};
use crate::config::limits::{DocumentLimits, STATISTICS_COST};
use crate::config::monitor::SLOW_QUERIES_LISTED;

/// Maximum length of lists, by type and field.
#[must_use]
pub fn list_bounds(limits: &DocumentLimits) -> Vec<ListBound<'static>> {
    let ids = Bound::Length { argument: "ids", maximum: limits.ids as u64 };
    let by_limit = |limits| Bound::Argument { argument: "limit", maximum: largest(limits) };
    let slow_queries = by_limit(&SLOW_QUERIES_LISTED);
    let popular = Bound::Items(largest(&POPULAR_SPREADS));
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
            Bound::Argument { argument: "days", maximum: largest(&CHART_DAYS) },
        ),
        ("Analytics", "karma", Bound::Items(3)),
        ("Analytics", "spreads", Bound::Items(8)),
        (
            "Analytics",
            "topCards",
            Bound::Argument { argument: "limit", maximum: largest(&TOP_CARDS) },
        ),
        ("Analytics", "voices", Bound::Items(14)),
        ("DrawCardsPayload", "draws", Bound::Items(10)),
        ("Reading", "cards", Bound::Items(15)),
        ("Reading", "shareLinks", Bound::Items(20)),
        ("SatisfactionAnalytics", "histogram", Bound::Items(5)),
        ("SharedReadingContent", "cards", Bound::Items(15)),
        ("Spread", "positions", Bound::Items(15)),
        ("User", "categories", Bound::Items(100)),
        ("UserStats", "karma", Bound::Items(3)),
        // One for each invalid input field; mostly one.
        ("*", "userErrors", Bound::Items(10)),
    ]
    .map(|(type_name, field, bound)| ListBound { type_name, field, bound })
    .into()
}

fn largest(range: &std::ops::RangeInclusive<i32>) -> u64 {
    range.end().unsigned_abs().into()
}

/// Surcharges of the fields that read all readings of a user: without them, a hundred of these
/// fields would cost as little as a hundred objects.
pub const SURCHARGES: [Surcharge<'static>; 10] = [
    reads_all("User", "stats"),
    reads_all("Analytics", "summary"),
    reads_all("Analytics", "frequency"),
    reads_all("Analytics", "spreads"),
    reads_all("Analytics", "voices"),
    reads_all("Analytics", "karma"),
    reads_all("Analytics", "satisfaction"),
    reads_all("Analytics", "patterns"),
    reads_all("Analytics", "topCards"),
    reads_all("Analytics", "comparison"),
];

const fn reads_all(type_name: &'static str, field: &'static str) -> Surcharge<'static> {
    Surcharge { type_name, field, objects: STATISTICS_COST }
}
