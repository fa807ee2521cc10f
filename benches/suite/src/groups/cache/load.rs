//! The stated load with the cache and without it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::mix::Mix;
use crate::Outcome;
use crate::bench::{Bench, CACHE_ENABLED, CONNECTIONS, Database, DatabaseCopy};
use crate::client::Request;
use crate::compare::{CROWD_LASTS, Measured, Side, compare};
use crate::crowd::{Questions, Tally, visit};
use crate::processes::Process;
use crate::report::{Promise, Section, megabytes};
use crate::samples::query;

const HIT_PERCENT: f64 = 75.0;
const PEAK_MEGABYTES: f64 = 256.0;
/// Seeds of what is asked before the hits are counted, and while they are.
const WARM_UP_SEED: u64 = 1 << 20;
const COUNTED_SEED: u64 = WARM_UP_SEED + 1;
/// The admin of the demonstration data.
const ADMIN: &str = "overseer";
const CACHE_STATS: &str = "query CacheStats { admin { cacheStats { size maxSize evictions hits misses \
    policies { name ttlSeconds entries hits misses } } } }";

/// What the server says of its cache.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheStats {
    size: usize,
    max_size: usize,
    evictions: usize,
    hits: usize,
    misses: usize,
    policies: Vec<Policy>,
}

/// And of a row of the TTL table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    name: String,
    ttl_seconds: usize,
    entries: usize,
    hits: usize,
    misses: usize,
}

pub fn measure(bench: &Bench, section: &mut Section) -> Outcome {
    let mix = Mix::new(bench)?;
    // Each writes, and neither shall hear of what the other has written.
    let (copy, other) =
        (DatabaseCopy::make(bench, "with_cache")?, DatabaseCopy::make(bench, "without_cache")?);
    let start = |copy: &DatabaseCopy<'_>, is_cached: bool| {
        // Who comes most often makes more readings in a minute than the app lets people make a day.
        let readings = u16::MAX.to_string();
        let settings = [
            ("DAILY_READINGS", readings.clone()),
            ("DAILY_READINGS_PREMIUM", readings),
            (CACHE_ENABLED, is_cached.to_string()),
        ];
        bench.start_server_with(&copy.url(), &settings)
    };
    let cached = start(&copy, true)?;
    count_hits(bench, section, &mix, &cached)?;

    let plain = start(&other, false)?;
    let sides =
        [Side::crowd("with the cache", &cached, &mix), Side::crowd("without it", &plain, &mix)];
    let measured = compare(bench, &sides, CONNECTIONS)?;
    let [with, without] = &measured[..] else { return Err("two sides are compared".into()) };
    section.paragraph(&format!(
        "With the cache and without it, in turn, {} seconds a round:",
        CROWD_LASTS * bench.arguments.seconds
    ));
    section.sides_beside(&measured, without);
    let postgres = with.ratio(without, |run| run.postgres_cpu);
    section.paragraph(&format!(
        "PostgreSQL's CPU for a request, of what it is without it: {postgres:.2}."
    ));
    Ok(())
}

/// Asks without a pause and counts what was found in the cache.
fn count_hits(bench: &Bench, section: &mut Section, mix: &Mix, server: &Process) -> Outcome {
    let admin = query(
        bench,
        Database::Full,
        &format!("SELECT id FROM users WHERE username = '{ADMIN}' AND is_admin"),
    )?;
    let admin = Request::of_user(bench, admin.concat().parse()?, CACHE_STATS, &json!({}))?;
    let stats = || -> Outcome<CacheStats> {
        let mut answer: Value = admin.send(&server.address)?.json()?;
        Ok(serde_json::from_value(answer["data"]["admin"]["cacheStats"].take())?)
    };
    let round = CROWD_LASTS * bench.arguments.seconds;
    let seconds = round * bench.arguments.rounds as u64;
    visit(bench, server, mix, CONNECTIONS, (round, WARM_UP_SEED))?;
    let before = stats()?;
    let visits = visit(bench, server, mix, CONNECTIONS, (seconds, COUNTED_SEED))?;
    let after = stats()?;
    let peak = server.peak_memory()?;

    section.paragraph(&format!(
        "Without a pause for {seconds} seconds, after {round} seconds of the same; no request failed:"
    ));
    let whole = Measured {
        name: "server".to_owned(),
        runs: vec![visits.run],
        bytes: None,
        statements: None,
        peak_memory: Some(peak),
    };
    section.sides(&[whole]);
    let rows: Vec<_> = visits.tallies.iter().zip(mix.kinds()).enumerate().map(cells).collect();
    section.table(&KINDS, &rows);
    section.paragraph("Lookups of each row of the TTL table, as `admin.cacheStats` counts them:");
    let rows: Vec<_> = after.policies.iter().zip(&before.policies).map(lookups).collect();
    section.table(&["row", "TTL s", "lookups", "hits", "hit rate %", "entries"], &rows);
    section.paragraph(&format!(
        "{} of {} entries; {} made room for others meanwhile.",
        after.size,
        after.max_size,
        after.evictions - before.evictions
    ));
    let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
    let rate = percent(hits, hits + misses).ok_or("nothing was looked up")?;
    section.promise("Hit rate", Promise::AtLeast(HIT_PERCENT, " %"), rate);
    section.promise("Peak memory", Promise::AtMost(PEAK_MEGABYTES, " MB"), megabytes(peak));
    Ok(())
}

const KINDS: [&str; 8] =
    ["question", "of 1,000", "requests", "P50 ms", "P95 ms", "statements", "lookups", "hit rate %"];

fn cells((kind, (tally, name)): (usize, (&Tally, &str))) -> Vec<String> {
    let requests = tally.requests();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let each = |count: usize| format!("{:.2}", count as f64 / requests);
    let lookups = tally.hits + tally.misses;
    vec![
        name.to_owned(),
        Mix::per_mille(kind).to_string(),
        tally.took.len().to_string(),
        format!("{:.2}", tally.percentile(50)),
        format!("{:.2}", tally.percentile(95)),
        each(tally.statements),
        each(lookups),
        rate(tally.hits, lookups),
    ]
}

fn lookups((after, before): (&Policy, &Policy)) -> Vec<String> {
    let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
    let lookups = hits + misses;
    vec![
        after.name.clone(),
        after.ttl_seconds.to_string(),
        lookups.to_string(),
        hits.to_string(),
        rate(hits, lookups),
        after.entries.to_string(),
    ]
}

fn rate(hits: usize, lookups: usize) -> String {
    percent(hits, lookups).map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1}"))
}

/// Nothing where nothing was looked up.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn percent(hits: usize, lookups: usize) -> Option<f64> {
    (lookups > 0).then(|| 100.0 * hits as f64 / lookups as f64)
}
