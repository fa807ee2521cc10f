//! The server as clients meet it: every test goes through HTTP, and every test that touches the
//! database runs on SQLite and on PostgreSQL.
//!
//! A suite is named after the behaviour that it tests; servers, databases and fixtures are in
//! [`support`].

mod support;

// Clients of the API.
mod accounts;
mod admin;
mod admission;
mod authorization;
mod card_lists;
mod cards;
mod categories;
mod cost_report;
mod draws;
mod exports;
mod moderation;
mod nodes;
mod public_stats;
mod rate_limits;
mod reading_lists;
mod reading_tags;
mod reading_writes;
mod readings;
mod recommendations;
mod reference_data;
mod session_cookies;
mod session_tabs;
mod sessions;
mod share_links;
mod spread_lists;
mod spreads;
mod statistics;
mod text_lengths;
mod text_search;
mod users;
mod visibility;

// GraphQL.
mod documents;
mod errors;
mod fast_json;
mod graphql_js;
mod pagination;
mod persisted_documents;
mod schema;
mod validation;
mod validation_rules;
mod variables;

// HTTP.
mod cache_headers;
mod http;
mod tcp_connections;

// Caches.
mod cache_coherence;
mod catalogue;
mod clock_jumps;
mod multi_server;
mod redis_versions;
mod request_memo;
mod response_cache;
mod value_cache;

// Databases.
mod allowed_hosts;
mod connection_limits;
mod connection_pool;
mod connection_shortage;
mod counters;
mod database_outages;
mod disconnects;
mod full_disks;
mod golden;
mod migrations;
mod online_migrations;
mod query_plans;
mod readiness;
mod replicas;
mod server_kills;
mod shutdown;
mod slow_queries;
mod soak;
mod statement_counts;
mod transactions;

// The program, its sources and its documentation.
mod architecture;
mod cli;
mod log_output;
mod readme;

// Programs of others, which Node runs.
mod browser;
mod clients;
mod conformance;
