//! The report in markdown, for the terminal and for benches/RESULTS.md.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::compare::Measured;
use crate::samples::query;

/// All results so far.
pub struct Report {
    text: String,
}

/// The results of a group.
pub struct Section {
    text: String,
}

impl Report {
    /// Prints the environment of the run.
    pub fn start(bench: &Bench) -> Outcome<Self> {
        let mut report = Self { text: String::new() };
        report.print("# Results\n\nWritten by `scripts/bench`; README.md in this folder says how to read them. Ratios may be compared between runs; figures of different machines may not.\n");
        let rows = environment(bench)?;
        report.print(&table(&["what", "value"], &rows));
        Ok(report)
    }

    pub fn add(&mut self, section: &Section) {
        self.print(&section.text);
    }

    fn print(&mut self, text: &str) {
        println!("{text}");
        self.text += text;
        self.text.push('\n');
    }

    pub fn write(&self, path: &Path) -> Outcome {
        Ok(std::fs::write(path, format!("{}\n", self.text.trim_end()))?)
    }
}

impl Section {
    pub fn new(title: &str) -> Self {
        Self { text: format!("## {title}\n") }
    }

    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{text}");
    }

    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.text.push('\n');
        self.text += &table(head, rows);
    }

    /// A promise beside the measured figure, and whether it was met.
    pub fn promise(&mut self, what: &str, promised: Promise, measured: f64) {
        let (bound, met, unit) = match promised {
            Promise::AtLeast(bound, unit) => (format!("at least {bound}"), measured >= bound, unit),
            Promise::AtMost(bound, unit) => (format!("at most {bound}"), measured <= bound, unit),
        };
        let met = if met { "met" } else { "**not met**" };
        let measured = round(measured);
        self.paragraph(&format!(
            "{what}: promised {bound}{unit}, measured {measured}{unit}: {met}."
        ));
    }

    /// Adds the promise about the ratio of the server's requests per second to pgbench's.
    pub fn promise_of_pgbench(&mut self, server: &Measured, pgbench: &Measured, bound: f64) {
        let ratio = server.ratio(pgbench, |run| run.per_second);
        self.promise("Requests/s of pgbench's", Promise::AtLeast(bound, ""), ratio);
    }

    /// Adds a table of the measured sides.
    pub fn sides(&mut self, measured: &[Measured]) {
        let rows: Vec<Vec<String>> = measured.iter().map(cells).collect();
        self.table(&SIDES, &rows);
    }

    /// Adds a table of the measured sides, with the ratio of requests per second to `base`.
    pub fn sides_beside(&mut self, measured: &[Measured], base: &Measured) {
        let of = format!("of {}", base.name);
        let mut head = SIDES.to_vec();
        head.insert(RATIO_COLUMN, &of);
        let row = |side: &Measured| {
            let mut row = cells(side);
            let ratio = side.ratio(base, |run| run.per_second);
            row.insert(RATIO_COLUMN, format!("{ratio:.2}"));
            row
        };
        self.table(&head, &measured.iter().map(row).collect::<Vec<_>>());
    }
}

const SIDES: [&str; 10] = [
    "side",
    "requests/s",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "own CPU µs",
    "PostgreSQL CPU µs",
    "bytes",
    "statements",
    "peak MB",
];
const RATIO_COLUMN: usize = 2;

fn cells(side: &Measured) -> Vec<String> {
    let optional = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let milliseconds = |value: f64| format!("{value:.2}");
    // The CPU time of pgbench itself is not measured.
    let own_cpu = side.peak_memory.map(|_| round(side.median(|run| run.own_cpu)));
    vec![
        side.name.clone(),
        round(side.median(|run| run.per_second)),
        milliseconds(side.median(|run| run.p50)),
        milliseconds(side.median(|run| run.p95)),
        milliseconds(side.median(|run| run.p99)),
        optional(own_cpu),
        round(side.median(|run| run.postgres_cpu)),
        optional(side.bytes.map(|bytes| bytes.to_string())),
        optional(side.statements.map(|statements| statements.to_string())),
        optional(side.peak_memory.map(|bytes| format!("{:.1}", megabytes(bytes)))),
    ]
}

/// Bound of a measured value, and its unit.
#[derive(Debug, Clone, Copy)]
pub enum Promise {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

/// Three significant digits of small values.
fn round(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "memories are smaller than 2^52")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

const PADDED_WIDTH_MAXIMUM: usize = 32;

/// Columns are padded, for readers in a terminal.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3).min(PADDED_WIDTH_MAXIMUM)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = "|".to_owned();
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(line, " {cell:width$} |");
        }
        line + "\n"
    };
    let mut text = line(&mut head.iter().copied());
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    text += &line(&mut rule.iter().map(String::as_str));
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// Value of a key in a file of `/proc`; empty if there is none.
fn proc_value(file: &str, key: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value).trim().to_owned()
}

/// Output of a program; empty if it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn environment(bench: &Bench) -> Outcome<Vec<Vec<String>>> {
    let arguments = &bench.arguments;
    let postgres = query(bench, Database::Full, "SHOW server_version")?.concat();
    let settings = query(
        bench,
        Database::Full,
        "SELECT name || '=' || current_setting(name) FROM pg_settings
         WHERE source = 'command line' AND name NOT IN ('port', 'listen_addresses', 'data_directory',
             'config_file', 'hba_file', 'ident_file', 'unix_socket_directories')
             AND name NOT LIKE 'log%'
         ORDER BY name",
    )?;
    let size = |database| -> Outcome<String> {
        let sizes = "SELECT pg_size_pretty(pg_database_size(current_database()))";
        Ok(query(bench, database, sizes)?.concat())
    };
    let changed = output("git", &["status", "--porcelain", "src", "migration", "Cargo.lock"]);
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    let server: Vec<String> = Bench::server_settings()
        .into_iter()
        .filter(|(name, _)| *name != "LISTEN")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let rows = [
        ("date", output("date", &["-u", "+%Y-%m-%d"])),
        ("commit", commit + if changed.is_empty() { "" } else { ", and changes" }),
        ("processor", proc_value("/proc/cpuinfo", "model name")),
        ("cores", std::thread::available_parallelism()?.to_string()),
        ("memory", proc_value("/proc/meminfo", "MemTotal")),
        ("kernel", output("uname", &["-sr"])),
        ("compiler", output("rustc", &["--version"])),
        ("PostgreSQL", postgres),
        ("its settings", settings.join(", ")),
        (
            "full database",
            format!(
                "{} readings of {} users, {}",
                arguments.readings,
                arguments.users,
                size(Database::Full)?
            ),
        ),
        (
            "tenth database",
            format!(
                "{} readings of {} users, {}",
                arguments.readings / 10,
                arguments.users / 10,
                size(Database::Tenth)?
            ),
        ),
        ("server's settings", server.join(", ")),
        (
            "load",
            format!(
                "wrk with 1 thread, pgbench with 1; 16 connections unless something else is said; seconds a side: {}, rounds in turn: {}, medians",
                arguments.seconds, arguments.rounds
            ),
        ),
    ];
    Ok(rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]).collect())
}
