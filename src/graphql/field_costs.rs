//! Stated costs of fields: the maximum length of lists that are not connections, and surcharges. A
//! list without a bound here stops the program from starting, and a test from passing.

use super::guard::{Bound, ListBound, Parents, StatementCount, Surcharge, When};
use crate::config::content::{CHART_DAYS, POPULAR_SPREADS, RECOMMENDED_SPREADS, TOP_CARDS};
use crate::config::limits::DocumentLimits;
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

/// Surcharges of the fields whose statements take more time than their objects tell, at 33 points for each
/// millisecond of SQL of the heaviest user among 1,000,000 readings: `scripts/bench cost` compares
/// them with the time of SQL. Their aim: the same time for a point, whatever the operation.
pub const SURCHARGES: [Surcharge<'static>; 19] = [
    surcharge("Query", "publicReadings", When::Argument("search"), 1_500),
    surcharge("Query", "publicReadings", When::Argument("filter"), 3_000),
    surcharge("Query", "publicReadings", When::Count, 250),
    surcharge("Query", "publicReadings", When::CountOf(&["search", "filter"]), 3_000),
    surcharge("User", "readings", When::Argument("search"), 200),
    surcharge("User", "readings", When::Argument("filter"), 600),
    surcharge("User", "readings", When::Count, 60),
    surcharge("User", "readings", When::CountOf(&["search", "filter"]), 1_000),
    surcharge("User", "tags", When::Always, 1_100),
    surcharge("User", "stats", When::Always, 450),
    surcharge("Analytics", "summary", When::Always, 450),
    surcharge("Analytics", "frequency", When::Always, 200),
    surcharge("Analytics", "spreads", When::Always, 200),
    surcharge("Analytics", "voices", When::Always, 350),
    surcharge("Analytics", "karma", When::Always, 250),
    surcharge("Analytics", "satisfaction", When::Always, 200),
    surcharge("Analytics", "patterns", When::Always, 350),
    surcharge("Analytics", "topCards", When::Always, 200),
    surcharge("Analytics", "comparison", When::Always, 200),
];

/// Fields of queries that execute SQL statements. A test compares them with the statements of generated
/// queries.
pub const STATEMENTS: [StatementCount<'static>; 50] = [
    of_viewer("Query", "viewer"),
    of_viewer("Query", "admin"),
    statement("Query", "user", "user_by_username"),
    statement("Query", "reading", "reading_by_id"),
    own_statement("Query", "publicReadings"),
    own_statement("Query", "publicStats"),
    statement("Query", "popularSpreads", "spread_stats_by_spread_id"),
    statement("Query", "recommendedSpreads", "spread_stats_by_spread_id"),
    statement("Query", "spreads", "spread_stats_by_spread_id"),
    // The role of the viewer.
    StatementCount {
        when: When::InputFlag { argument: "filter", field: "includeInactive" },
        ..of_viewer("Query", "spreads")
    },
    // Link, reading and author.
    statements_of("Query", "sharedReading", "shared_reading", 3),
    statement("SharedReadingContent", "cards", "drawn_cards_by_reading_id"),
    // One for each kind of id: user, reading, category, share link.
    statements_of("Query", "nodes", "nodes", 4),
    statement("Query", "node", "nodes"),
    own_statement("Admin", "databaseHealth"),
    own_statement("Admin", "users"),
    own_statement("Admin", "auditLog"),
    own_statement("Admin", "reading"),
    statement("AuditEntry", "actor", "user_by_id"),
    StatementCount { parents: Parents::Each, ..own_statement("SlowQuery", "plan") },
    statement("Card", "drawCount", "card_stats_by_card_id"),
    statement("Spread", "usageCount", "spread_stats_by_spread_id"),
    statement("Spread", "meanRating", "spread_stats_by_spread_id"),
    statement("Reading", "user", "user_by_id"),
    // Not shared: aliases may select different columns.
    own_statement("Reading", "cards"),
    statement("Reading", "category", "category_by_id"),
    statement("Reading", "hidden", "hidden_reading_by_id"),
    statement("Reading", "shareLinks", "open_shares_by_reading_id"),
    statement("Category", "readingCount", "reading_count_by_category_id"),
    statement("User", "readings", "readings_page_by_user_id"),
    statement("User", "readingQuota", "usage_today_by_user_id"),
    statement("User", "categories", "categories_by_user_id"),
    own_statement("User", "tags"),
    // The role of the viewer, if it is another user.
    of_viewer("User", "email"),
    of_viewer("User", "isAdmin"),
    of_viewer("User", "isPremium"),
    of_viewer("User", "karmaScore"),
    of_viewer("User", "preferredVoice"),
    of_viewer("User", "stats"),
    of_viewer("User", "analytics"),
    // Groups of readings, and days with their draws.
    statements_of("User", "stats", "user_stats_by_user_id", 2),
    // One statement for all of them, whatever their windows.
    counted("summary"),
    counted("frequency"),
    counted("spreads"),
    counted("voices"),
    counted("karma"),
    chart("satisfaction"),
    chart("patterns"),
    chart("topCards"),
    chart("comparison"),
];

const fn statement(
    type_name: &'static str,
    field: &'static str,
    source: &'static str,
) -> StatementCount<'static> {
    statements_of(type_name, field, source, 1)
}

/// The row of the viewer.
const fn of_viewer(type_name: &'static str, field: &'static str) -> StatementCount<'static> {
    StatementCount { parents: Parents::Viewer, ..own_statement(type_name, field) }
}

/// Counts of readings, which a loader collects from all charts.
const fn counted(field: &'static str) -> StatementCount<'static> {
    StatementCount { parents: Parents::Batch, ..statement("Analytics", field, "reading_counts") }
}

const fn chart(field: &'static str) -> StatementCount<'static> {
    StatementCount { parents: Parents::Each, ..own_statement("Analytics", field) }
}

const fn statements_of(
    type_name: &'static str,
    field: &'static str,
    source: &'static str,
    statements: u64,
) -> StatementCount<'static> {
    StatementCount { source: Some(source), statements, ..own_statement(type_name, field) }
}

/// A statement that no other field shares, nor the same field with another response key.
const fn own_statement(type_name: &'static str, field: &'static str) -> StatementCount<'static> {
    StatementCount {
        type_name,
        field,
        source: None,
        when: When::Always,
        parents: Parents::All,
        statements: 1,
    }
}

const fn surcharge(
    type_name: &'static str,
    field: &'static str,
    when: When,
    points: u64,
) -> Surcharge<'static> {
    Surcharge { type_name, field, when, points }
}
