//! Four kinds of queries with a promised time: a user's readings, text search, tags and analytics, each
//! with its indexes off and on, for the heaviest and the usual user, and with many, few and no matches.
//!
//! An index is off by being marked as not valid, which PostgreSQL's planner then passes over: dropping
//! and making them again would take minutes. The whole response is timed, at one connection.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::compare::median;
use crate::report::{Promise, Section};
use crate::samples::{query, users_with_a_page};

/// Requests of a case with its index on, with its index off, and with cold caches.
const WARM: usize = 30;
const OFF: usize = 5;
const COLD: usize = 5;
/// Pages that are read to measure the disk.
const PAGES: u64 = 200;
/// Maximum milliseconds of any query, and of all on average.
const EVERY: f64 = 100.0;
const AVERAGE: f64 = 25.0;

/// A kind of query with its promised time.
struct Row {
    name: &'static str,
    /// Milliseconds.
    promise: f64,
    /// Condition on `pg_indexes` for its indexes.
    indexes: &'static str,
    cases: Vec<QueryCase>,
}

struct QueryCase {
    name: String,
    request: Request,
}

/// Planted word and tag of the cases with few results.
const RARE: &str = "xylophone";
const ABSENT: &str = "no reading has this text";

const SEARCH: &str = "search: $found";
const TAGGED: &str = "filter: { tagsAny: [$found] }";
const NEWEST: &str = "orderBy: { field: CREATED_AT }";
const PAGE: &str = "nodes { id question createdAt tags spread { name } }";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new(
        "queries: four kinds of queries with a promised time, with their indexes off and on",
    );
    plant(bench)?;
    let rows = rows(bench)?;
    let drops_files = can_drop_files();
    let nothing = Request::anonymous("{ publicStats { users } }", &json!({}));
    let somebody = page_of_another_user(bench)?;
    section.paragraph(&format!(
        "Milliseconds of a whole request, at 1 connection. First: the first after a restart of PostgreSQL{}, the \
         median of {COLD} restarts; most of it is PostgreSQL learning its own tables and indexes. Cold: the same \
         after a page of somebody else's readings, so that these are known and the data is not in memory. \
         Warm: the median and the worst of {WARM}. Off: the median of {OFF}, with the row's indexes off.",
        if drops_files { " with the system's file cache emptied" } else { " (the system's file cache stays)" }
    ));
    if drops_files {
        section.paragraph(&format!(
            "The disk reads a page of 8 KiB, anywhere in the readings, in {:.2} ms (the median of {PAGES}).",
            page_of_disk(bench)?
        ));
    }
    let mut cells = Vec::new();
    let mut slowest_of_rows = Vec::new();
    let mut all = Vec::new();
    for row in &rows {
        let mut slowest: f64 = 0.0;
        for question in &row.cases {
            let first = after_restarts(bench, question, &nothing)?;
            let cold = after_restarts(bench, question, &somebody)?;
            let (warm, worst) = warm(bench, question, WARM)?;
            let off =
                without(bench, row.indexes, || Ok(warm_with_long_timeouts(bench, question)?.0))?;
            slowest = slowest.max(cold).max(warm);
            all.push(warm);
            cells.push(vec![
                row.name.to_owned(),
                question.name.clone(),
                format!("{:.0}", row.promise),
                format!("{off:.1}"),
                format!("{first:.1}"),
                format!("{cold:.1}"),
                format!("{warm:.1}"),
                format!("{worst:.1}"),
            ]);
        }
        slowest_of_rows.push((row, slowest));
    }
    section.table(
        &["row", "question", "promise", "off", "first", "cold", "warm", "worst warm"],
        &cells,
    );
    for (row, slowest) in slowest_of_rows {
        let what = format!("{}: the slowest, cold and warm", row.name);
        section.promise(&what, Promise::AtMost(row.promise, " ms"), slowest);
    }
    #[expect(clippy::cast_precision_loss, reason = "there are a few dozen")]
    let average = all.iter().sum::<f64>() / all.len() as f64;
    section.promise("All queries on average, warm", Promise::AtMost(AVERAGE, " ms"), average);
    let every = all.iter().copied().fold(0.0, f64::max);
    section.promise("The slowest query, warm", Promise::AtMost(EVERY, " ms"), every);
    Ok(section)
}

/// Plants a unique tag and word in three readings, two of them of the heaviest user.
fn plant(bench: &Bench) -> Outcome {
    let heaviest = users_with_a_page(bench, Database::Full)?[0];
    let change = format!(
        "WITH chosen AS (
            (SELECT id FROM reading_sessions WHERE user_id = '{heaviest}' AND archived_at IS NULL
                AND privacy_level = 'public' ORDER BY created_at LIMIT 2)
            UNION ALL
            (SELECT id FROM reading_sessions WHERE user_id <> '{heaviest}' AND archived_at IS NULL
                AND privacy_level = 'public' ORDER BY created_at LIMIT 1))
        UPDATE reading_sessions SET question = question || ' {RARE}', tags = tags || '[\"{RARE}\"]'
        WHERE id IN (SELECT id FROM chosen) AND NOT tags @> '[\"{RARE}\"]'"
    );
    query(bench, Database::Full, &change).map(drop)
}

/// Users and values of the cases.
struct Cases<'a> {
    bench: &'a Bench,
    heaviest: Uuid,
    usual: Uuid,
    /// The heaviest user's most common tag.
    tag: String,
}

/// Condition on `pg_indexes` for the indexes of one user's readings.
const USER_INDEXES: &str = "indexdef LIKE '%(user_id%'";

fn rows(bench: &Bench) -> Outcome<Vec<Row>> {
    let cases = Cases::new(bench)?;
    Ok(vec![
        Row {
            name: "user's readings",
            promise: 15.0,
            indexes: USER_INDEXES,
            cases: vec![
                cases.of_user(cases.heaviest, "newest", NEWEST, "")?,
                cases.of_user(cases.usual, "newest", NEWEST, "")?,
            ],
        },
        Row {
            name: "text search",
            promise: 50.0,
            indexes: "indexname LIKE '%_trgm'",
            cases: cases.search()?,
        },
        Row {
            name: "tags",
            promise: 30.0,
            indexes: "indexname = 'idx_reading_sessions_tags'",
            cases: cases.tags()?,
        },
        Row { name: "analytics", promise: 80.0, indexes: USER_INDEXES, cases: cases.analytics()? },
    ])
}

impl<'a> Cases<'a> {
    fn new(bench: &'a Bench) -> Outcome<Self> {
        let users = users_with_a_page(bench, Database::Full)?;
        let (heaviest, usual) = (users[0], users[users.len() / 2]);
        let sql = format!(
            "SELECT tag FROM reading_sessions, jsonb_array_elements_text(tags) AS tag
             WHERE user_id = '{heaviest}' AND tag ~ '^[a-z]+$' GROUP BY tag
             ORDER BY count(*) DESC, tag LIMIT 1"
        );
        let tag = query(bench, Database::Full, &sql)?.concat();
        Ok(Self { bench, heaviest, usual, tag })
    }

    fn user_name(&self, user: Uuid) -> &'static str {
        if user == self.heaviest { "heaviest user" } else { "usual user" }
    }

    /// A page of a user's readings.
    fn of_user(&self, user: Uuid, name: &str, arguments: &str, found: &str) -> Outcome<QueryCase> {
        let text = format!(
            "query Page($found: String!) {{ viewer {{ readings(first: 20, {arguments}) {{ {PAGE} }} }} }}"
        );
        let text =
            if arguments.contains("$found") { text } else { text.replace("($found: String!)", "") };
        let variables = json!({ "found": found });
        let request = Request::authenticated(self.bench, user, &text, &variables)?;
        Ok(QueryCase { name: format!("{}, {name}", self.user_name(user)), request })
    }

    fn search(&self) -> Outcome<Vec<QueryCase>> {
        let (heaviest, usual) = (self.heaviest, self.usual);
        Ok(vec![
            self.of_user(heaviest, "common word", SEARCH, "should")?,
            self.of_user(heaviest, "rare word", SEARCH, RARE)?,
            self.of_user(heaviest, "absent words", SEARCH, ABSENT)?,
            self.of_user(heaviest, "two characters", SEARCH, "愛情")?,
            self.of_user(heaviest, "two absent characters", SEARCH, "龘龘")?,
            self.of_user(usual, "common word", SEARCH, "should")?,
            self.of_user(usual, "absent words", SEARCH, ABSENT)?,
            of_all("common word", SEARCH, "should"),
            of_all("rare word", SEARCH, RARE),
            of_all("absent words", SEARCH, ABSENT),
        ])
    }

    fn tags(&self) -> Outcome<Vec<QueryCase>> {
        let (heaviest, usual) = (self.heaviest, self.usual);
        Ok(vec![
            self.of_user(heaviest, "common tag", TAGGED, &self.tag)?,
            self.of_user(heaviest, "rare tag", TAGGED, RARE)?,
            self.of_user(heaviest, "absent tag", TAGGED, ABSENT)?,
            self.of_user(usual, "common tag", TAGGED, &self.tag)?,
            self.of_user(usual, "absent tag", TAGGED, ABSENT)?,
            of_all("common tag", TAGGED, &self.tag),
            of_all("rare tag", TAGGED, RARE),
            of_all("absent tag", TAGGED, ABSENT),
        ])
    }

    /// Each statistic of both users.
    fn analytics(&self) -> Outcome<Vec<QueryCase>> {
        let mut cases = Vec::new();
        for user in [self.heaviest, self.usual] {
            for field in FIGURES {
                let text = format!("{{ viewer {{ {field} }} }}");
                let request = Request::authenticated(self.bench, user, &text, &json!({}))?;
                let short = field.replace("analytics { ", "");
                let short = short.split(['(', ' ']).next().unwrap_or_default();
                cases.push(QueryCase {
                    name: format!("{}, {short}", self.user_name(user)),
                    request,
                });
            }
        }
        Ok(cases)
    }
}

/// A page of everybody's public readings.
fn of_all(name: &str, arguments: &str, found: &str) -> QueryCase {
    let text = format!(
        "query Page($found: String!) {{ publicReadings(first: 20, {arguments}) {{ {PAGE} }} }}"
    );
    let request = Request::anonymous(&text, &json!({ "found": found }));
    QueryCase { name: format!("everybody, {name}"), request }
}

const FIGURES: [&str; 10] = [
    "stats { totalReadings readingsThisMonth meanSatisfaction favoriteVoice favoriteSpread { name } \
     cardsDrawn karma { count } currentStreakDays }",
    "analytics { summary { totalReadings readingsLast30Days meanSatisfaction favoriteVoice } }",
    "analytics { frequency(days: 366) { date count } }",
    "analytics { spreads { spreadType count } }",
    "analytics { voices { voice count } }",
    "analytics { karma { karma count } }",
    "analytics { satisfaction(days: 366) { mean trend histogram { count } } }",
    "analytics { patterns { busiestWeekday busiestHour readingsPerWeek longestStreakDays } }",
    "analytics { topCards(limit: 50) { draws percentOfDraws card { name } } }",
    "analytics { comparison(days: 90) { direction current { readings } } }",
];

fn timed(request: &Request, address: &str) -> Outcome<f64> {
    let started = Instant::now();
    request.send(address)?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// The newest readings of a user that no case has.
fn page_of_another_user(bench: &Bench) -> Outcome<Request> {
    let users = users_with_a_page(bench, Database::Full)?;
    let text = format!("{{ viewer {{ readings(first: 20, {NEWEST}) {{ {PAGE} }} }} }}");
    Request::authenticated(bench, users[users.len() / 3], &text, &json!({}))
}

/// The median time of the response after restarts, each time after another that opens the server's
/// connection.
fn after_restarts(bench: &Bench, question: &QueryCase, before: &Request) -> Outcome<f64> {
    let times = (0..COLD).map(|_| {
        bench.restart_cluster(drop_files)?;
        let server = bench.start_server(Database::Full)?;
        before.send(&server.address)?;
        timed(&question.request, &server.address)
    });
    Ok(median(times.collect::<Outcome<Vec<f64>>>()?))
}

fn warm(bench: &Bench, question: &QueryCase, times: usize) -> Outcome<(f64, f64)> {
    let server = bench.start_server(Database::Full)?;
    measure(&server.address, question, times)
}

/// Warm times of a server with long timeouts.
fn warm_with_long_timeouts(bench: &Bench, question: &QueryCase) -> Outcome<(f64, f64)> {
    let patient = [
        ("DATABASE_STATEMENT_TIMEOUT_MS", "60000".to_owned()),
        ("DATABASE_DEADLINE_MS", "60000".to_owned()),
        ("REQUEST_TIMEOUT_MS", "60000".to_owned()),
    ];
    let server = bench.start_server_with(&bench.url(Database::Full), &patient)?;
    measure(&server.address, question, OFF)
}

fn measure(address: &str, question: &QueryCase, times: usize) -> Outcome<(f64, f64)> {
    timed(&question.request, address)?;
    let measured = (0..times).map(|_| timed(&question.request, address));
    let measured = measured.collect::<Outcome<Vec<f64>>>()?;
    let worst = measured.iter().copied().fold(0.0, f64::max);
    Ok((median(measured), worst))
}

/// Does something while those indexes are off.
fn without<T>(bench: &Bench, indexes: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let set = |is_valid: bool| {
        let change = format!(
            "UPDATE pg_index SET indisvalid = {is_valid} WHERE indexrelid IN (
                SELECT format('%I.%I', schemaname, indexname)::regclass FROM pg_indexes
                WHERE tablename IN ('reading_sessions', 'reading_cards', 'user_card_stats')
                    AND ({indexes})
                    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname))"
        );
        query(bench, Database::Full, &change).map(drop)
    };
    set(false)?;
    let done = work();
    set(true)?;
    done
}

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

fn can_drop_files() -> bool {
    drop_files().is_ok()
}

/// Drops the system's file cache.
fn drop_files() -> Outcome {
    Ok(std::fs::write(DROP_CACHES, "3")?)
}

/// Milliseconds to read a page of the readings from the disk.
fn page_of_disk(bench: &Bench) -> Outcome<f64> {
    let path = query(bench, Database::Full, "SELECT pg_relation_filepath('reading_sessions')")?;
    let file = File::open(bench.cluster().join(path.concat()))?;
    let pages = file.metadata()?.len() / PAGE_BYTES as u64;
    drop_files()?;
    let mut page = [0; PAGE_BYTES];
    let mut times = Vec::new();
    // Far apart and out of order, so that the system's read-ahead has no effect.
    for number in (0..PAGES).map(|number| number * STRIDE % PAGES) {
        let started = Instant::now();
        file.read_exact_at(&mut page, number * (pages / PAGES) * PAGE_BYTES as u64)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

const PAGE_BYTES: usize = 8 * 1_024;
/// Coprime to the number of pages, so that each page is read once.
const STRIDE: u64 = 77;
