//! The stated load with the cache and without it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::mix::Mix;
use crate::Outcome;
use crate::bench::{Bench, CACHE_ENABLED, CONNECTIONS, Database, DatabaseCopy};
use crate::client::Request;
use crate::compare::{Measured, Side, WORKLOAD_DURATION_FACTOR, compare};
use crate::processes::Process;
use crate::report::{Promise, Section, megabytes};
use crate::samples::query;
use crate::workload::{Schedule, Tally, Workload, run_workload};

const HIT_PERCENT: f64 = 75.0;
const PEAK_MEGABYTES: f64 = 256.0;
/// Seeds of the warm-up and of the measured workload.
const WARM_UP_SEED: u64 = 1 << 20;
const COUNTED_SEED: u64 = WARM_UP_SEED + 1;
/// The admin of the demonstration data.
const ADMIN: &str = "overseer";
const CACHE_STATS: &str = "query CacheStats { admin { cacheStats { size maxSize evictions hits misses \
    policies { name ttlSeconds entries hits misses } } } }";

/// The server's cache statistics.
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

/// Statistics of a cache policy.
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
    // Separate databases, because each side writes and must not receive the other's invalidations.
    let (copy, other) =
        (DatabaseCopy::make(bench, "with_cache")?, DatabaseCopy::make(bench, "without_cache")?);
    let start = |copy: &DatabaseCopy<'_>, is_cached: bool| {
        // The most frequent visitor exceeds the daily quota of readings within a minute.
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
    let sides = [
        Side::workload("with the cache", &cached, &mix),
        Side::workload("without it", &plain, &mix),
    ];
    let measured = compare(bench, &sides, CONNECTIONS)?;
    let [with, without] = &measured[..] else { return Err("two sides are compared".into()) };
    section.paragraph(&format!(
        "With the cache and without it, in turn, {} seconds a round:",
        WORKLOAD_DURATION_FACTOR * bench.arguments.seconds
    ));
    section.sides_beside(&measured, without);
    let postgres = with.ratio(without, |run| run.postgres_cpu);
    section.paragraph(&format!(
        "PostgreSQL's CPU for a request, of what it is without it: {postgres:.2}."
    ));
    Ok(())
}

/// Runs the workload without a pause and counts cache hits.
fn count_hits(bench: &Bench, section: &mut Section, mix: &Mix, server: &Process) -> Outcome {
    let admin = query(
        bench,
        Database::Full,
        &format!("SELECT id FROM users WHERE username = '{ADMIN}' AND is_admin"),
    )?;
    let admin = Request::authenticated(bench, admin.concat().parse()?, CACHE_STATS, &json!({}))?;
    let stats = || -> Outcome<CacheStats> {
        let mut response: Value = admin.send(&server.address)?.json()?;
        Ok(serde_json::from_value(response["data"]["admin"]["cacheStats"].take())?)
    };
    let round = WORKLOAD_DURATION_FACTOR * bench.arguments.seconds;
    let seconds = round * bench.arguments.rounds as u64;
    let warm_up = Schedule { seconds: round, seed: WARM_UP_SEED };
    run_workload(bench, server, mix, CONNECTIONS, warm_up)?;
    let before = stats()?;
    let counted = Schedule { seconds, seed: COUNTED_SEED };
    let measured = run_workload(bench, server, mix, CONNECTIONS, counted)?;
    let after = stats()?;
    let peak = server.peak_memory()?;

    section.paragraph(&format!(
        "Without a pause for {seconds} seconds, after {round} seconds of the same; no request failed:"
    ));
    let whole = Measured {
        name: "server".to_owned(),
        runs: vec![measured.run],
        bytes: None,
        statements: None,
        peak_memory: Some(peak),
    };
    section.sides(&[whole]);
    let rows: Vec<_> = measured.tallies.iter().zip(mix.kinds()).enumerate().map(cells).collect();
    section.table(&KINDS, &rows);
    section.paragraph("Lookups by cache policy, as `admin.cacheStats` counts them:");
    let rows: Vec<_> = after
        .policies
        .iter()
        .zip(&before.policies)
        .map(|(after, before)| lookups(before, after))
        .collect();
    section.table(&["policy", "TTL s", "lookups", "hits", "hit rate %", "entries"], &rows);
    section.paragraph(&format!(
        "{} of {} entries; {} evictions meanwhile.",
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

fn lookups(before: &Policy, after: &Policy) -> Vec<String> {
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

/// `None` without lookups.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn percent(hits: usize, lookups: usize) -> Option<f64> {
    (lookups > 0).then(|| 100.0 * hits as f64 / lookups as f64)
}
