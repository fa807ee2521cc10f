//! The server as clients meet it: every test goes through HTTP, and every test that touches the
//! database runs on SQLite and on PostgreSQL.

mod app;

mod layers;
mod migrations;
mod reads;
mod schema;
mod readme;
