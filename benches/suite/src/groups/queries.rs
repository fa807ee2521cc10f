//! The guide's four rows: a user's readings, text search, tags and analytics, each with its indexes off
//! and on, for the heaviest and the usual user, and with much, little and nothing to find.
//!
//! An index is off by being marked as not valid, which PostgreSQL's planner then passes over: dropping
//! and making them again would take minutes. The server's whole answer is timed, at one connection.

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

/// Requests of a question while its index is on, while it is off, and with nothing in memory.
const WARM: usize = 30;
const OFF: usize = 5;
const COLD: usize = 5;
/// Pages that are read to tell how fast the disk is.
const PAGES: u64 = 200;
/// The most that any query may take, and all on average, in milliseconds.
const EVERY: f64 = 100.0;
const AVERAGE: f64 = 25.0;

/// A row of the guide.
struct Row {
    name: &'static str,
    /// Milliseconds.
    promise: f64,
    /// Which indexes are its own, as a condition on `pg_indexes`.
    indexes: &'static str,
    questions: Vec<Question>,
}

struct Question {
    name: String,
    request: Request,
}

/// What is put where little is to be found.
const RARE: &str = "xylophone";
const ABSENT: &str = "no reading has this text";

const SEARCH: &str = "search: $found";
const TAGGED: &str = "filter: { tagsAny: [$found] }";
const NEWEST: &str = "orderBy: { field: CREATED_AT }";
const PAGE: &str = "nodes { id question createdAt tags spread { name } }";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("queries: the guide's four rows, with their indexes off and on");
    plant(bench)?;
    let rows = rows(bench)?;
    let drops_files = can_drop_files();
    let nothing = Request::of_nobody("{ publicStats { users } }", &json!({}));
    let somebody = a_page_of_somebody(bench)?;
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
    let mut kept = Vec::new();
    let mut all = Vec::new();
    for row in &rows {
        let mut slowest: f64 = 0.0;
        for question in &row.questions {
            let first = after_restarts(bench, question, &nothing)?;
            let cold = after_restarts(bench, question, &somebody)?;
            let (warm, worst) = warm(bench, question, WARM)?;
            let off = without(bench, row.indexes, || Ok(warm_of_patient(bench, question)?.0))?;
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
        kept.push((row, slowest));
    }
    section.table(
        &["row", "question", "promise", "off", "first", "cold", "warm", "worst warm"],
        &cells,
    );
    for (row, slowest) in kept {
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

/// Gives three readings, two of them the heaviest user's, a tag and a word that no other has.
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

fn rows(bench: &Bench) -> Outcome<Vec<Row>> {
    let users = users_with_a_page(bench, Database::Full)?;
    let (heaviest, usual) = (users[0], users[users.len() / 2]);
    let tag = query(
        bench,
        Database::Full,
        &format!(
            "SELECT tag FROM reading_sessions, jsonb_array_elements_text(tags) AS tag
             WHERE user_id = '{heaviest}' AND tag ~ '^[a-z]+$' GROUP BY tag
             ORDER BY count(*) DESC, tag LIMIT 1"
        ),
    )?
    .concat();
    let of_user = |user: Uuid, name: &str, arguments: &str, found: &str| -> Outcome<Question> {
        let text = format!(
            "query Page($found: String!) {{ viewer {{ readings(first: 20, {arguments}) {{ {PAGE} }} }} }}"
        );
        let text =
            if arguments.contains("$found") { text } else { text.replace("($found: String!)", "") };
        let request = Request::of_user(bench, user, &text, &json!({ "found": found }))?;
        let user = if user == heaviest { "heaviest user" } else { "usual user" };
        Ok(Question { name: format!("{user}, {name}"), request })
    };
    let of_all = |name: &str, arguments: &str, found: &str| {
        let text = format!(
            "query Page($found: String!) {{ publicReadings(first: 20, {arguments}) {{ {PAGE} }} }}"
        );
        let request = Request::of_nobody(&text, &json!({ "found": found }));
        Question { name: format!("everybody, {name}"), request }
    };
    let analytics = |user: Uuid, field: &str| -> Outcome<Question> {
        let text = format!("{{ viewer {{ {field} }} }}");
        let request = Request::of_user(bench, user, &text, &json!({}))?;
        let short = field.replace("analytics { ", "");
        let short = short.split(['(', ' ']).next().unwrap_or_default().to_owned();
        let user = if user == heaviest { "heaviest user" } else { "usual user" };
        Ok(Question { name: format!("{user}, {short}"), request })
    };
    let mut figures = Vec::new();
    for user in [heaviest, usual] {
        for field in FIGURES {
            figures.push(analytics(user, field)?);
        }
    }
    let of_one_user = "indexdef LIKE '%(user_id%'";
    Ok(vec![
        Row {
            name: "user's readings",
            promise: 15.0,
            indexes: of_one_user,
            questions: vec![
                of_user(heaviest, "newest", NEWEST, "")?,
                of_user(usual, "newest", NEWEST, "")?,
            ],
        },
        Row {
            name: "text search",
            promise: 50.0,
            indexes: "indexname LIKE '%_trgm'",
            questions: vec![
                of_user(heaviest, "common word", SEARCH, "should")?,
                of_user(heaviest, "rare word", SEARCH, RARE)?,
                of_user(heaviest, "absent words", SEARCH, ABSENT)?,
                of_user(heaviest, "two characters", SEARCH, "愛情")?,
                of_user(heaviest, "two absent characters", SEARCH, "龘龘")?,
                of_user(usual, "common word", SEARCH, "should")?,
                of_user(usual, "absent words", SEARCH, ABSENT)?,
                of_all("common word", SEARCH, "should"),
                of_all("rare word", SEARCH, RARE),
                of_all("absent words", SEARCH, ABSENT),
            ],
        },
        Row {
            name: "tags",
            promise: 30.0,
            indexes: "indexname = 'idx_reading_sessions_tags'",
            questions: vec![
                of_user(heaviest, "common tag", TAGGED, &tag)?,
                of_user(heaviest, "rare tag", TAGGED, RARE)?,
                of_user(heaviest, "absent tag", TAGGED, ABSENT)?,
                of_user(usual, "common tag", TAGGED, &tag)?,
                of_user(usual, "absent tag", TAGGED, ABSENT)?,
                of_all("common tag", TAGGED, &tag),
                of_all("rare tag", TAGGED, RARE),
                of_all("absent tag", TAGGED, ABSENT),
            ],
        },
        Row { name: "analytics", promise: 80.0, indexes: of_one_user, questions: figures },
    ])
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

/// The newest readings of a user who is in no question.
fn a_page_of_somebody(bench: &Bench) -> Outcome<Request> {
    let users = users_with_a_page(bench, Database::Full)?;
    let text = format!("{{ viewer {{ readings(first: 20, {NEWEST}) {{ {PAGE} }} }} }}");
    Request::of_user(bench, users[users.len() / 3], &text, &json!({}))
}

/// The median time of the answer after restarts, each time after another that opens the server's
/// connection.
fn after_restarts(bench: &Bench, question: &Question, before: &Request) -> Outcome<f64> {
    let times = (0..COLD).map(|_| {
        bench.restart_cluster(drop_files)?;
        let server = bench.start_server(Database::Full)?;
        before.send(&server.address)?;
        timed(&question.request, &server.address)
    });
    Ok(median(times.collect::<Outcome<Vec<f64>>>()?))
}

fn warm(bench: &Bench, question: &Question, times: usize) -> Outcome<(f64, f64)> {
    let server = bench.start_server(Database::Full)?;
    measure(&server.address, question, times)
}

/// The same of a server that waits for longer than a client would.
fn warm_of_patient(bench: &Bench, question: &Question) -> Outcome<(f64, f64)> {
    let patient = [
        ("DATABASE_STATEMENT_TIMEOUT_MS", "60000".to_owned()),
        ("DATABASE_DEADLINE_MS", "60000".to_owned()),
        ("REQUEST_TIMEOUT_MS", "60000".to_owned()),
    ];
    let server = bench.start_server_with(&bench.url(Database::Full), &patient)?;
    measure(&server.address, question, OFF)
}

fn measure(address: &str, question: &Question, times: usize) -> Outcome<(f64, f64)> {
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

/// Has the system forget what it has read of files.
fn drop_files() -> Outcome {
    Ok(std::fs::write(DROP_CACHES, "3")?)
}

/// Milliseconds that a page of the readings takes to come from the disk.
fn page_of_disk(bench: &Bench) -> Outcome<f64> {
    let path = query(bench, Database::Full, "SELECT pg_relation_filepath('reading_sessions')")?;
    let file = File::open(bench.cluster().join(path.concat()))?;
    let pages = file.metadata()?.len() / PAGE_BYTES as u64;
    drop_files()?;
    let mut page = [0; PAGE_BYTES];
    let mut times = Vec::new();
    // Far from each other, and not in the order in which they lie: the system reads none ahead.
    for number in (0..PAGES).map(|number| number * STRIDE % PAGES) {
        let started = Instant::now();
        file.read_exact_at(&mut page, number * (pages / PAGES) * PAGE_BYTES as u64)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}

const PAGE_BYTES: usize = 8 * 1_024;
/// Has no factor in common with the number of pages, so that each is read once.
const STRIDE: u64 = 77;
