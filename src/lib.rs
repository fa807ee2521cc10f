//! wasteland-tarot: a GraphQL server for a Fallout-flavoured tarot-reading app.
//!
//! The modules in the order in which a request meets them; imports point down this list only.

pub mod cache;
pub mod cli;
pub mod config;
pub mod db;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod loaders;
pub mod services;
pub mod telemetry;
