//! Statements of the server for a request, with their values, from PostgreSQL's log, and pgbench scripts
//! with the same statements.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::load::pause;
use crate::{Failure, Outcome};

/// Timeout of waiting for a log line.
const LOG_DEADLINE: Duration = Duration::from_secs(5);
const LOG_POLL: Duration = Duration::from_millis(5);
/// Time without a statement after which the server is idle.
const AT_REST: Duration = Duration::from_millis(500);
/// Settings with which background work, which sends statements too, runs at the start and not again while
/// requests are observed. A cached value may be older than an interval of the outbox poller.
const BACKGROUND_WORK: [(&str, &str); 4] = [
    ("COUNTERS_SECONDS", "3600"),
    ("SWEEP_SECONDS", "3600"),
    ("OUTBOX_POLL_MS", "60000"),
    ("CACHE_STALENESS_MS", "120000"),
];
/// `application_name` of a server whose statements are logged.
const APPLICATION: &str = "observed";

/// A prepared statement and the values that it was sent with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub sql: String,
    /// Values as PostgreSQL logs them, from `$1` on.
    pub values: Vec<String>,
}

/// The statements of each request.
pub fn observe(
    bench: &Bench,
    database: Database,
    requests: &[Request],
) -> Outcome<Vec<Vec<Statement>>> {
    let url = bench.url(database);
    let url = format!("{url}?application_name={APPLICATION}&options=-c%20log_statement%3Dall");
    let settings = BACKGROUND_WORK.map(|(setting, value)| (setting, value.to_owned()));
    let server = bench.start_server_with(&url, &settings)?;
    wait_for_rest(bench)?;
    let mut all = Vec::with_capacity(requests.len());
    for request in requests {
        let before = logged(bench)?.len();
        let response = request.send(&server.address)?;
        let count = response.cost().ok_or("the server counts no statements")?.statements;
        let started = Instant::now();
        let statements = loop {
            let statements = logged(bench)?.split_off(before);
            if statements.len() == count {
                break statements;
            }
            if started.elapsed() > LOG_DEADLINE {
                let seen = statements.len();
                return Err(format!("the log has {seen} statements of {count}").into());
            }
            pause(LOG_POLL);
        };
        all.push(statements);
    }
    Ok(all)
}

/// Waits until the server has finished its start.
fn wait_for_rest(bench: &Bench) -> Outcome {
    let mut before = logged(bench)?.len();
    loop {
        pause(AT_REST);
        match logged(bench)?.len() {
            now if now == before => return Ok(()),
            now => before = now,
        }
    }
}

/// All prepared statements in the log that an observed server sent.
fn logged(bench: &Bench) -> Outcome<Vec<Statement>> {
    let log = std::fs::read_to_string(bench.cluster_log())?;
    // The last line may be written in part.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().filter(|line| line.contains(APPLICATION)).filter_map(read).collect()
}

fn read(line: &str) -> Option<Outcome<Statement>> {
    let entry: Value = match serde_json::from_str(line) {
        Ok(entry) => entry,
        Err(error) => return Some(Err(error.into())),
    };
    if entry["application_name"] != APPLICATION {
        return None;
    }
    let (_, sql) = entry["message"].as_str()?.strip_prefix("execute ")?.split_once(": ")?;
    // Statements of the start have no values.
    let values = entry["detail"].as_str().map_or(Ok(Vec::new()), values_of);
    Some(values.map(|values| Statement { sql: sql.to_owned(), values }))
}

/// Reads `parameters: $1 = 'it''s', $2 = '20'`.
fn values_of(detail: &str) -> Outcome<Vec<String>> {
    let refuse = || -> Failure { format!("these values cannot be read: {detail}").into() };
    let mut rest = detail.split_once(": ").ok_or_else(refuse)?.1;
    let mut values = Vec::new();
    while !rest.is_empty() {
        rest = rest.split_once(" = '").ok_or_else(refuse)?.1;
        let mut value = String::new();
        loop {
            let (part, after) = rest.split_once('\'').ok_or_else(refuse)?;
            value += part;
            rest = after;
            match rest.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        values.push(value);
    }
    Ok(values)
}

/// Scripts for pgbench, one a request, and the values of their variables.
#[derive(Debug, Default)]
pub struct Scripts {
    pub files: Vec<PathBuf>,
    pub variables: BTreeMap<String, String>,
}

impl Scripts {
    /// Writes the scripts. Values are variables, which `-M prepared` turns into parameters.
    pub fn write(bench: &Bench, requests: &[Vec<Statement>]) -> Outcome<Self> {
        let mut scripts = Self::default();
        for (request, statements) in requests.iter().enumerate() {
            let mut script = String::new();
            for (index, statement) in statements.iter().enumerate() {
                let variable = |number: usize| format!("r{request}_s{index}_v{number}");
                let _ = writeln!(script, "{};", with_variables(&statement.sql, variable));
                for (value, number) in statement.values.iter().zip(1..) {
                    scripts.variables.insert(variable(number), value.clone());
                }
            }
            let file = bench.new_file("sql");
            std::fs::write(&file, script)?;
            scripts.files.push(file);
        }
        Ok(scripts)
    }
}

/// The statement with variables of pgbench for `$1` and so on.
fn with_variables(sql: &str, variable: impl Fn(usize) -> String) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        // pgbench leaves types to PostgreSQL, which cannot infer the element type of an array.
        let cast = if text.ends_with("unnest(") { "::uuid[]" } else { "" };
        let _ = match number.parse() {
            Ok(number) => write!(text, ":{}{cast}{rest}", variable(number)),
            Err(_) => write!(text, "${part}"),
        };
    }
    text
}
