//! Samples of users and cursors for the loads.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::Outcome;
use crate::bench::{Bench, Database};

/// Number of different requests of a load.
pub const REQUESTS: usize = 16;

/// Runs a query with psql; each row is a line, with blanks between its values.
pub fn query(bench: &Bench, database: Database, sql: &str) -> Outcome<Vec<String>> {
    let output = Command::new(bench.arguments.pg_bin.join("psql"))
        .args(["-X", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1", "-c", sql])
        .arg(bench.url(database))
        .output()?;
    if !output.status.success() {
        return Err(format!("{sql}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn uuids(bench: &Bench, database: Database, sql: &str) -> Outcome<Vec<Uuid>> {
    query(bench, database, sql)?.iter().map(|line| Ok(line.parse()?)).collect()
}

/// `count` evenly spread items, the first included.
fn spread<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    (0..count.min(all.len())).map(|index| all[index * all.len() / count.min(all.len())]).collect()
}

/// Users with more than a page of readings, heaviest first.
pub fn users_with_a_page(bench: &Bench, database: Database) -> Outcome<Vec<Uuid>> {
    let all = uuids(
        bench,
        database,
        "SELECT user_id FROM reading_sessions JOIN users ON users.id = user_id
         WHERE archived_at IS NULL AND is_active
         GROUP BY user_id HAVING count(*) > 20 ORDER BY count(*) DESC, user_id",
    )?;
    match spread(&all, REQUESTS) {
        users if users.is_empty() => Err("nobody has 20 readings: take more readings".into()),
        users => Ok(users),
    }
}

/// Sets of `size` users with at least five public readings each; the first set has the heaviest.
pub fn sets_of_users(bench: &Bench, database: Database, size: usize) -> Outcome<Vec<Vec<Uuid>>> {
    let all = uuids(
        bench,
        database,
        "SELECT user_id FROM reading_sessions JOIN users ON users.id = user_id
         WHERE archived_at IS NULL AND privacy_level = 'public' AND is_active
         GROUP BY user_id HAVING count(*) >= 5 ORDER BY count(*) DESC, user_id",
    )?;
    let sets = (all.len() / size).min(REQUESTS);
    if sets == 0 {
        return Err(format!("fewer than {size} users have 5 public readings").into());
    }
    let chosen = spread(&all, sets * size);
    Ok((0..sets).map(|set| chosen.iter().skip(set).step_by(sets).copied().collect()).collect())
}

/// The user with the most readings that are not archived.
pub fn heaviest_user(bench: &Bench, database: Database) -> Outcome<Uuid> {
    Ok(users_with_a_page(bench, database)?[0])
}

/// Number of readings that meet a condition.
pub fn count(bench: &Bench, database: Database, condition: &str) -> Outcome<usize> {
    let sql = format!("SELECT count(*) FROM reading_sessions WHERE {condition}");
    Ok(query(bench, database, &sql)?.concat().parse()?)
}

/// Cursor after `readings` readings of the list of that name: those that meet the condition, newest
/// first.
pub fn cursor_after(
    bench: &Bench,
    database: Database,
    list: &str,
    condition: &str,
    readings: usize,
) -> Outcome<String> {
    // The cursor is that of the last of these readings.
    let before = readings.saturating_sub(1);
    let sql = format!(
        "SELECT (extract(epoch FROM created_at) * 1000000)::bigint, replace(id::text, '-', '')
         FROM reading_sessions WHERE {condition}
         ORDER BY created_at DESC, id DESC OFFSET {before} LIMIT 1"
    );
    let key = query(bench, database, &sql)?.concat().replace(' ', ",");
    Ok(URL_SAFE_NO_PAD.encode(format!("1|{list}|{key}")))
}
