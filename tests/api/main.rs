//! The server as clients meet it: every test goes through HTTP, and every test that touches the
//! database runs on SQLite and on PostgreSQL.

mod app;
mod fixtures;
mod mutating;
mod tables;
mod world;

mod accounts;
mod admin;
mod browser;
mod cards;
mod catalogue;
mod categories;
mod clients;
mod conformance;
mod connections;
mod counters;
mod documents;
mod draws;
mod errors;
mod golden;
mod http;
mod layers;
mod migrations;
mod nodes;
mod one_pass;
mod pagination;
mod plans;
mod policy;
mod process;
mod public_stats;
mod reading_writes;
mod readings;
mod readme;
mod reference;
mod schema;
mod sessions;
mod shares;
mod spreads;
mod statements;
mod tags;
mod throttle;
mod transactions;
mod users;
mod variables;
mod visibility;
