//! Documents that cost as much as one may, as fast as 64 connections can send them. All texts differ, so
//! that nothing is cached.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Counts, Target, count, run_attackers};
use crate::Outcome;
use crate::client::{Connection, Request};

const CONNECTIONS: u32 = 64;
/// `MAX_ALIASES`.
const ALIASES: u64 = 30;

/// The dearest fields, each with a date that makes it differ. All readings are newer.
const FIELDS: [&str; 5] = [
    "publicReadings(first: 0, search: \"the\", filter: { createdAt: { from: DATE } }) { totalCount }",
    "publicReadings(first: 0, search: \"ion\") { totalCount }",
    "publicReadings(first: 0, filter: { createdAt: { from: DATE }, karmaContexts: [EVIL] }) { totalCount }",
    "publicReadings(first: 100, search: \"should\", filter: { createdAt: { from: DATE } }) {
        nodes { interpretation user { username } cards { interpretation } } }",
    "publicReadings(first: 12, filter: { createdAt: { from: DATE } }) {
        nodes { user { readings(first: 0, search: \"the\") { totalCount } } } }",
];

/// A field as often as the cost limit allows.
struct Document {
    field: &'static str,
    aliases: u64,
}

pub fn run(target: &Target<'_>) -> Outcome<Counts> {
    let fitted = |field| Document::fitted(target.address, field);
    let documents = FIELDS.into_iter().map(fitted).collect::<Outcome<Vec<_>>>()?;
    let next = AtomicUsize::new(0);
    let client = |_| -> Outcome<Counts> {
        let mut counts = Counts::new();
        let mut kept = None;
        while !target.is_over() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let request = documents[number % documents.len()].request(number);
            let open = || Connection::open_from(target.from, target.address);
            let connection = kept.take().map_or_else(open, Ok);
            let sent = connection.and_then(|mut connection| {
                let response = connection.send(&request)?;
                Ok((connection, response))
            });
            let Ok((connection, response)) = sent else {
                count(&mut counts, "without a response");
                continue;
            };
            let errors = if response.status() == 200 && !response.is_success() {
                " with errors"
            } else {
                ""
            };
            count(&mut counts, format!("{}{errors}", response.status()));
            kept = Some(connection);
        }
        Ok(counts)
    };
    run_attackers(CONNECTIONS, client)
}

impl Document {
    /// Asks the server what a field costs, from another address than the attacker's.
    fn fitted(address: &str, field: &'static str) -> Outcome<Self> {
        let cost = |aliases| -> Outcome<[u64; 2]> {
            let request =
                Self { field, aliases }.request(0).with_header("graphql-cost", "validate");
            let response = request.send(address)?.json()?;
            let cost = &response["extensions"]["cost"];
            let member = |name: &str| cost[name].as_u64().ok_or("no cost is reported");
            Ok([member("cost")?, member("limit")?])
        };
        let [one, limit] = cost(1)?;
        let mut aliases = (limit / one).clamp(1, ALIASES);
        while aliases > 1 && cost(aliases)?[0] > limit {
            aliases -= 1;
        }
        Ok(Self { field, aliases })
    }

    fn request(&self, number: usize) -> Request {
        let mut text = "{".to_owned();
        for alias in 0..self.aliases {
            let date = format!("\"2001-01-01T00:{alias:02}:00.{:06}Z\"", number % 1_000_000);
            let _ = write!(text, " d{number}_{alias}: {}", self.field.replace("DATE", &date));
        }
        text += " }";
        Request::anonymous(&text, &json!({}))
    }
}
