//! Plans of the statements of [`crate::golden`], on 200,000 readings of 2,000 users. The plans
//! stand beside the statements' texts, in the order of those; costs, numbers of rows and times,
//! which are never the same twice, do not.
//!
//! PostgreSQL logs each plan as the server gets it (`auto_explain`): of prepared statements,
//! executed with values that match many, few and no rows. The server's connections fix the kind of
//! plan (`plan_cache_mode`), so the number of executions does not change it; the cases of
//! [`REPEATED`] assert that. SQLite plans by the text alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde_json::Value;
use tokio::sync::OnceCell;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use wasteland_tarot::db::{Database, StartLock};
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::seed::{SeedPlan, load_seed};

use crate::golden::{CASES, Found, Values, files, first_cursor, is_narrowed};
use crate::support::app::{
    Content, Engine, TestApp, TestDatabase, at, on_both_databases, settings_of, skip,
};

const SEED: SeedPlan = SeedPlan { users: 2_000, readings: 200_000, seed: 2_077 };
/// PostgreSQL samples 300 times as many rows of a table: all of them. In a smaller sample it would
/// find something else each time, and where two plans cost nearly the same it would choose now this
/// one and now that.
const SAMPLED: u32 = 700;
/// More than the five after which PostgreSQL, left to itself, may turn to a plan for any values.
const EXECUTIONS: usize = 10;
/// Cases that are executed on a new connection for each kind of values, first `EXECUTIONS` times with
/// those values and then with all. Without `plan_cache_mode` their plans would differ from those of one
/// execution: of a page planned for any values, of many lists, and of two searches that are planned anew
/// for their values.
const REPEATED: [&str; 4] = [
    "public_readings_after",
    "readings_of_users",
    "public_readings_searched",
    "own_readings_searched",
];
/// Cases whose plans do not depend on the rows that PostgreSQL samples: searches of public readings. With
/// statistics of the searched texts, a rare word in one of a few sampled texts would count as a common one.
const SAMPLED_AGAIN: [&str; 3] = [
    "public_readings_searched",
    "public_readings_searched_after",
    "public_readings_searched_with_total",
];
/// Sizes of other samples: of a few rows to all of them.
const OTHER_SAMPLES: [u32; 4] = [1, 10, 100, 2_000];
/// Tables that no statement may read in whole.
const LARGE: [&str; 4] = ["reading_sessions", "reading_cards", "users", "user_card_stats"];

/// Index of the deactivated users, who are few: read in whole once for each statement on public readings.
const FEW_USERS: &str = "idx_users_inactive";

const ABSENT: Uuid = Uuid::max();

// Readings were made in the 180 days before the first of November.
const MUCH: Found = Found {
    tag: "love",
    term: "should",
    short_term: "的",
    from: "2026-06-01T00:00:00Z",
    to: "2026-10-01T00:00:00Z",
};
const LITTLE: Found = Found {
    tag: "landlord",
    term: "resume_v9",
    short_term: "瘦",
    from: "2026-09-01T00:00:00Z",
    to: "2026-09-02T00:00:00Z",
};
const NOTHING: Found = Found {
    tag: "no reading has this tag",
    term: "no reading has this text",
    short_term: "龘",
    from: "2016-09-01T00:00:00Z",
    to: "2016-10-01T00:00:00Z",
};

const BOTH: &[Engine] = &[Engine::Sqlite, Engine::Postgres];
const ONLY_POSTGRES: &[Engine] = &[Engine::Postgres];
const ONLY_SQLITE: &[Engine] = &[Engine::Sqlite];

/// Which cases read a large table, or an index of one, in whole.
const READ_IN_WHOLE: [(&[Engine], &str, &str); 4] = [
    // A count reads an index, up to its bound: the smallest with the needed columns.
    (ONLY_SQLITE, "public_readings_with_total", "idx_reading_sessions_public_feed"),
    (ONLY_SQLITE, "public_readings_of_a_voice_with_total", "idx_reading_sessions_public_feed"),
    // All readings with a common tag, which are found only if the probe does not fill the page.
    (ONLY_POSTGRES, "public_readings_tagged", "idx_reading_sessions_user_public"),
    (ONLY_POSTGRES, "public_readings_tagged_with_total", "idx_reading_sessions_user_public"),
];

/// Indexes, each with a case whose plan is another without it.
const NEEDED: [(&[Engine], &str, &str); 22] = [
    (BOTH, "idx_users_inactive", "public_readings"),
    (ONLY_SQLITE, "idx_reading_sessions_user_id", "own_readings_searched_with_total"),
    (BOTH, "idx_reading_sessions_public_feed", "public_readings_with_total"),
    (BOTH, "idx_reading_sessions_user_active", "readings_of_a_user"),
    (BOTH, "idx_reading_sessions_user_archived", "own_archived_readings"),
    (BOTH, "idx_reading_sessions_user_category", "own_readings_of_a_category"),
    (BOTH, "idx_reading_sessions_user_created", "own_readings_archived_or_not"),
    (BOTH, "idx_reading_sessions_user_favorites", "own_favorites"),
    (BOTH, "idx_reading_sessions_user_public", "readings_of_users"),
    (BOTH, "idx_reading_sessions_user_satisfied", "own_readings_by_satisfaction"),
    (BOTH, "idx_reading_sessions_user_unsatisfied", "own_readings_by_dissatisfaction"),
    (BOTH, "idx_reading_sessions_user_updated", "own_readings_by_change"),
    (BOTH, "idx_users_username", "user"),
    (ONLY_POSTGRES, "idx_reading_sessions_category_id", "own_readings_by_all"),
    (ONLY_POSTGRES, "idx_reading_sessions_tags", "own_readings_tagged"),
    (ONLY_POSTGRES, "idx_reading_sessions_question_trgm", "public_readings_searched"),
    (ONLY_POSTGRES, "idx_reading_sessions_user_texts", "own_readings_searched"),
    (ONLY_POSTGRES, "idx_reading_sessions_user_long_texts", "own_readings_searched"),
    (ONLY_POSTGRES, "idx_reading_sessions_spread_type", "public_readings_of_words"),
    (ONLY_POSTGRES, "idx_reading_sessions_character_voice", "own_readings_of_a_voice"),
    (ONLY_POSTGRES, "idx_reading_sessions_karma_context", "public_readings_of_words"),
    (BOTH, "idx_reading_sessions_user_created", "analytics_counts"),
];

/// Indexes that no case uses, and their users.
const FOR_LATER: [(&str, &[&str]); 8] = [
    (
        "figures of a time or of the whole site; SQLite narrows lists as it reads them",
        &[
            "idx_reading_sessions_created_at",
            "idx_reading_sessions_spread_type",
            "idx_reading_sessions_character_voice",
            "idx_reading_sessions_karma_context",
        ],
    ),
    (
        "deleting what others refer to",
        &[
            "idx_reading_sessions_user_id",
            "idx_reading_sessions_category_id",
            "idx_reading_cards_card_id",
            "idx_user_card_stats_card_id",
            "idx_reading_shares_reading_id",
            "idx_refresh_tokens_user_id",
            "idx_refresh_tokens_family_revoked",
            "idx_login_sessions_user_id",
            "idx_idempotency_keys_user_id",
        ],
    ),
    (
        "logins and registrations, which are mutations and no cases here",
        &["idx_users_email", "idx_users_username_skeleton"],
    ),
    ("shared readings, of which the cases have none", &["idx_reading_shares_token"]),
    (
        "sweeping what has expired",
        &[
            "idx_login_sessions_expires_at",
            "idx_login_throttles_updated_at",
            "idx_token_revocations_updated_at",
            "idx_idempotency_keys_expires_at",
            "idx_cache_outbox_created_at",
        ],
    ),
    ("looking at what other servers have written", &["idx_cache_outbox_position"]),
    (
        "the audit log, whose plans `moderation.rs` tests",
        &[
            "idx_audit_log_created",
            "idx_audit_log_action",
            "idx_audit_log_actor",
            "idx_audit_log_target",
        ],
    ),
    (
        "cards and spreads, which are in memory",
        &[
            "idx_wasteland_cards_card_type",
            "idx_wasteland_cards_suit",
            "idx_spread_templates_is_active",
            "idx_spread_templates_difficulty",
        ],
    ),
];

/// Makes PostgreSQL log the plan of every statement of a connection.
const EXPLAINED: &str = "?options[session_preload_libraries]=auto_explain\
    &options[auto_explain.log_min_duration]=0\
    &options[auto_explain.log_analyze]=on\
    &options[auto_explain.log_timing]=off\
    &options[auto_explain.log_format]=json\
    &options[client_min_messages]=log";

/// A node of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    depth: usize,
    text: String,
    scan: Option<Scan>,
}

/// Rows read from a table by one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Scan {
    table: String,
    index: Option<String>,
    /// All of the table or index, with nothing to begin or to stop at.
    is_whole: bool,
}

type Plan = Vec<Step>;

/// Observations of a statement.
#[derive(Debug, Default)]
struct Seen {
    /// One, unless it depends on the values.
    plans: BTreeSet<Plan>,
    /// The most readings that it read for a page without returning them.
    unreturned: Option<f64>,
}

/// By the text of the statement.
type Statements = BTreeMap<String, Seen>;

/// State shared by the tests of one database.
struct Taken {
    /// By the name of the case.
    cases: BTreeMap<&'static str, Statements>,
    /// The same of the cases of [`REPEATED`], after many executions. PostgreSQL only.
    repeated: BTreeMap<&'static str, Statements>,
    /// The plans of the cases of [`SAMPLED_AGAIN`] with other samples, with the samples' sizes. PostgreSQL
    /// only.
    sampled_again: Vec<(u32, &'static str, Statements)>,
    /// The same of the case that needs an index, without it.
    without: BTreeMap<&'static str, (&'static str, Statements)>,
    /// The indexes that no constraint needs.
    indexes: BTreeSet<String>,
}

fn text_of(plan: &[Step]) -> String {
    let lines = plan.iter().map(|step| format!("{}{}", "  ".repeat(step.depth), step.text));
    lines.collect::<Vec<_>>().join("\n")
}

fn plans_of(statements: &Statements) -> Vec<&BTreeSet<Plan>> {
    statements.values().map(|seen| &seen.plans).collect()
}

fn scans_of(statements: &Statements) -> impl Iterator<Item = &Scan> {
    statements.values().flat_map(|seen| &seen.plans).flatten().filter_map(|step| step.scan.as_ref())
}

/// A plan of PostgreSQL, from `FORMAT JSON`.
fn plan_of_postgres(node: &Value) -> Plan {
    fn add(
        node: &Value,
        table: Option<&str>,
        (depth, stops_early): (usize, bool),
        plan: &mut Plan,
    ) {
        let of = |name: &str| node[name].as_str();
        let kind = of("Node Type").expect("a node has a type");
        let (table, index) = (of("Relation Name").or(table), of("Index Name"));
        let is_scan = kind.ends_with("Scan") && kind != "Bitmap Heap Scan";
        let scan = table.filter(|_| is_scan).map(|table| Scan {
            table: table.to_owned(),
            index: index.map(str::to_owned),
            is_whole: of("Index Cond").is_none() && !stops_early,
        });
        let mut text = String::new();
        if let Some(name) = of("Subplan Name").and_then(|name| name.split(' ').next()) {
            text = format!("{name}: ");
        }
        text += kind;
        for (before, name) in [
            (" ", of("Join Type")),
            (" ", of("Scan Direction").filter(|direction| *direction != "Forward")),
            (" by ", index),
            (" on ", of("Relation Name").or(of("Function Name")).or(of("CTE Name"))),
        ] {
            text.extend(name.map(|name| format!("{before}{name}")));
        }
        if is_scan && table.is_some() && of("Index Cond").is_none() {
            text += if stops_early { ", until it is enough" } else { ", in whole" };
        }
        plan.push(Step { depth, text, scan });
        let stops_early = match kind {
            "Limit" => true,
            "Incremental Sort" | "Subquery Scan" => stops_early,
            _ => false,
        };
        for child in node["Plans"].as_array().into_iter().flatten() {
            add(child, table, (depth + 1, stops_early), plan);
        }
    }
    let mut plan = Plan::new();
    add(node, None, (0, false), &mut plan);
    plan
}

/// The readings that PostgreSQL read for a page beyond those that it returned and one for each
/// parent, which shows whether there are some on the page's other side. (One more is among the
/// returned: it shows whether there are more.) Counts are left out, once for each parent. `None` if
/// the plan is of no page.
fn unreturned(plan: &Value) -> Option<f64> {
    fn add<'a>(node: &'a Value, nodes: &mut Vec<&'a Value>) {
        nodes.push(node);
        if node["Node Type"] != "Aggregate" {
            node["Plans"].as_array().into_iter().flatten().for_each(|child| add(child, nodes));
        }
    }
    let mut nodes = Vec::new();
    add(plan, &mut nodes);
    // Of each loop, on average.
    let rows = |node: &Value| {
        let of = |name: &str| node[name].as_f64().unwrap_or_default();
        let removed = of("Rows Removed by Filter") + of("Rows Removed by Index Recheck");
        (of("Actual Rows") + removed) * of("Actual Loops")
    };
    let sum = |name: &str, value: &str| -> f64 {
        nodes.iter().filter(|node| node[name] == value).map(|node| rows(node)).sum()
    };
    nodes.iter().any(|node| node["Node Type"] == "Limit").then(|| {
        let parents = sum("Function Name", "unnest").max(1.0);
        let counts = (sum("Node Type", "Aggregate") - parents).max(0.0);
        sum("Relation Name", "reading_sessions") + counts - rows(plan) - parents
    })
}

/// A plan of SQLite, from the rows of `EXPLAIN QUERY PLAN`.
fn plan_of_sqlite(rows: &[QueryResult]) -> Plan {
    let nodes: Vec<(i32, i32, String)> = rows
        .iter()
        .map(|row| {
            let number = |name| row.try_get("", name).expect("a number");
            (number("id"), number("parent"), row.try_get("", "detail").expect("a text"))
        })
        .collect();
    let mut depths = BTreeMap::from([(0, 0)]);
    let mut plan = Plan::new();
    for (id, parent, text) in &nodes {
        // One for each user whose readings are selected, but the first.
        if text == "UNION ALL" {
            continue;
        }
        let Some(depth) = depths.get(parent).copied() else { continue };
        depths.insert(*id, depth + 1);
        let words: Vec<_> = text.split(' ').collect();
        // Only pages have a limit, and a page that is sorted is read before it is cut off.
        let is_page = nodes.iter().any(|node| node.0 == *parent && node.2.ends_with(" page"));
        let is_sorted =
            nodes.iter().any(|node| node.1 == *parent && node.2.starts_with("USE TEMP B-TREE"));
        let index = words.iter().position(|word| *word == "INDEX");
        let scan = matches!(words[0], "SCAN" | "SEARCH").then(|| Scan {
            table: words[1].to_owned(),
            index: index.map(|position| words[position + 1].to_owned()),
            is_whole: words[0] == "SCAN" && (is_sorted || !is_page),
        });
        // Subqueries are numbered, those that are left out as well.
        let text = text.trim_end_matches(|character: char| character.is_ascii_digit());
        plan.push(Step { depth, text: text.trim_end().to_owned(), scan });
    }
    plan
}

/// Sink of the server's SQL and of PostgreSQL's notices.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to capture PostgreSQL's notices on this thread, until the guard is dropped.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("sqlx::postgres::notice=trace"))
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// The plans that PostgreSQL logged since the last call, with the texts of their statements.
    fn take(&self) -> Vec<(String, Value)> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        lines
            .map(|line| line.expect("the log is JSON"))
            .filter_map(|line| {
                let (_, plan) = line["fields"]["message"].as_str()?.split_once("plan:\n")?;
                let mut logged: Value = serde_json::from_str(plan).expect("a plan is JSON");
                Some((logged["Query Text"].as_str()?.to_owned(), logged["Plan"].take()))
            })
            .collect()
    }
}

/// A viewer and the values of their query.
struct ViewerValues {
    viewer: Uuid,
    values: Values,
}

/// A cursor of the same list, at that time.
fn cursor_at(cursor: &str, time: DateTime<Utc>) -> String {
    let text = URL_SAFE_NO_PAD.decode(cursor).expect("a cursor is base64");
    let text = String::from_utf8(text).expect("a cursor is text");
    let (list, _) = text.rsplit_once('|').expect("a cursor ends with its key");
    let key = format!("{},{}", time.timestamp_micros(), Uuid::nil().simple());
    URL_SAFE_NO_PAD.encode(format!("{list}|{key}"))
}

/// A server on a database of that size.
struct Loaded {
    app: TestApp,
    /// Past the server.
    database: DatabaseConnection,
    log: Log,
    /// The statements that the server sent since this was emptied.
    sent: Arc<Mutex<BTreeSet<String>>>,
    /// Number of plans requested from SQLite.
    explained: AtomicU32,
}

impl Loaded {
    async fn start(engine: Engine) -> Self {
        let mut database = TestDatabase::new(engine, Content::Reference).await;
        if engine == Engine::Postgres {
            // For all connections from now on.
            let database = database.connect().await;
            let whole = format!(
                "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_statistics_target = {SAMPLED}', current_database()); END $$"
            );
            database.execute_unprepared(&whole).await.expect("the database is one's own");
        }
        let settings = settings_of(&database.url, &[]);
        let opened = Database::connect(&settings).await.expect("the database opens");
        let catalogue = Catalogue::load(&opened.session()).await.expect("the catalogue loads");
        opened.close().await;
        let lock = StartLock::acquire(&settings.database).await.expect("nobody else prepares it");
        let loaded = load_seed(&settings.database, &lock, &catalogue, SEED, at(0), |_| ()).await;
        assert!(loaded.expect("the readings load").loaded);

        let past = database.connect().await;
        if engine == Engine::Postgres {
            database.url += EXPLAINED;
        }
        let sent: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let observer = {
            let sent = Arc::clone(&sent);
            move |sql: &str| {
                sent.lock().expect("no panic").insert(sql.to_owned());
            }
        };
        // One connection, which has prepared all; and no request is served without it.
        let flags =
            ["--database-pool-size=1", "--database-max-overflow=0", "--cache-enabled=false"];
        let app = TestApp::start_observed(database, &flags, observer).await;
        Self { app, database: past, log: Log::default(), sent, explained: AtomicU32::new(0) }
    }

    async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        let statement = Statement::from_string(self.database.get_database_backend(), sql);
        self.database.query_all_raw(statement).await.expect(sql)
    }

    async fn execute(&self, sql: &str) {
        self.database.execute_unprepared(sql).await.expect(sql);
    }

    /// Much is found for the first, little for the second and nothing for the third.
    async fn viewer_values(&self) -> [ViewerValues; 3] {
        let public = "publicReadings { pageInfo { startCursor } }";
        let public = first_cursor(&self.app, public).await;
        let values = async |order: &str, days: i64, found: Found| {
            let sql = format!(
                "SELECT users.id, users.username, reading_categories.id AS category,
                    (SELECT id FROM reading_sessions WHERE user_id = users.id LIMIT 1) AS reading
                FROM users JOIN reading_categories ON user_id = users.id
                ORDER BY (SELECT count(*) FROM reading_sessions WHERE user_id = users.id) {order},
                    users.id, reading_categories.id LIMIT 1"
            );
            let rows = self.rows(&sql).await;
            let id = |name| rows[0].try_get::<Uuid>("", name).expect("an id");
            let username: String = rows[0].try_get("", "username").expect("a name");
            let own = format!(
                "user(username: {username:?}) {{ readings {{ pageInfo {{ startCursor }} }} }}"
            );
            let time = at(0) - TimeDelta::days(days);
            let values = Values {
                username,
                user: GlobalId::User(id("id")).encode().to_string(),
                reading: GlobalId::Reading(id("reading")).encode().to_string(),
                category: GlobalId::Category(id("category")).encode().to_string(),
                cursor: cursor_at(&public, time),
                own_cursor: cursor_at(&first_cursor(&self.app, &own).await, time),
                found,
            };
            ViewerValues { viewer: id("id"), values }
        };
        // Readings were made in the 180 days before.
        let (much, little) = (values("DESC", 90, MUCH).await, values("ASC", 179, LITTLE).await);
        let (absent, long_ago) = (ABSENT, at(0) - TimeDelta::days(3_650));
        let values = Values {
            username: "nobody_of_that_name".to_owned(),
            user: GlobalId::User(absent).encode().to_string(),
            reading: GlobalId::Reading(absent).encode().to_string(),
            category: GlobalId::Category(absent).encode().to_string(),
            cursor: cursor_at(&public, long_ago),
            own_cursor: cursor_at(&much.values.own_cursor, long_ago),
            found: NOTHING,
        };
        [much, little, ViewerValues { viewer: absent, values }]
    }

    async fn query(&self, fields: &str, values: &ViewerValues) {
        let query = values.values.query(fields);
        let response = self.app.query_as(values.viewer, &query).await;
        // Viewers who are absent are refused private data.
        let is_refused = values.viewer == ABSENT && response.text.contains("UNAUTHENTICATED");
        assert!(is_refused || response.body.get("errors").is_none(), "{query}: {}", response.text);
    }

    /// The plans of all statements of a case.
    async fn take(&self, fields: &str, values: &[ViewerValues]) -> Statements {
        let mut statements = Statements::new();
        if self.database.get_database_backend() == DbBackend::Sqlite {
            self.sent.lock().expect("no panic").clear();
            self.query(fields, &values[0]).await;
            let sent = self.sent.lock().expect("no panic").clone();
            for sql in sent {
                // SQLite would use the old plan of a text that it prepared before an index was
                // dropped.
                let number = self.explained.fetch_add(1, Ordering::Relaxed);
                let explain = format!("EXPLAIN QUERY PLAN /* {number} */ {sql}");
                let plan = plan_of_sqlite(&self.rows(&explain).await);
                statements.entry(sql).or_default().plans.insert(plan);
            }
            return statements;
        }
        self.log.take();
        self.explain(fields, values, &mut statements).await;
        statements
    }

    /// The plans of a case after many executions, where PostgreSQL, left to itself, would choose others.
    async fn take_repeated(&self, fields: &str, values: &[ViewerValues]) -> Statements {
        let mut statements = Statements::new();
        for usual in values {
            // The server connects again, and prepares again.
            self.rows(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend'
                    AND pid <> pg_backend_pid()",
            )
            .await;
            for _ in 0..EXECUTIONS {
                self.query(fields, usual).await;
            }
            self.log.take();
            self.explain(fields, values, &mut statements).await;
        }
        statements
    }

    /// The plans of the cases of [`SAMPLED_AGAIN`], after the database has sampled other rows.
    async fn take_sampled_again(
        &self,
        values: &[ViewerValues],
    ) -> Vec<(u32, &'static str, Statements)> {
        let mut taken = Vec::new();
        for target in OTHER_SAMPLES {
            // In one request, because the setting is that of one connection.
            let analyze = |target| {
                format!(
                    "SET default_statistics_target = {target}; ANALYZE reading_sessions;
                    RESET default_statistics_target"
                )
            };
            self.execute(&analyze(target)).await;
            for (name, fields) in CASES.iter().copied() {
                if SAMPLED_AGAIN.contains(&name) {
                    taken.push((target, name, self.take(fields, values).await));
                }
            }
            self.execute(&analyze(SAMPLED)).await;
        }
        assert_eq!(taken.len(), SAMPLED_AGAIN.len() * OTHER_SAMPLES.len());
        taken
    }

    /// Executes a case with all values, and adds the plans that PostgreSQL logs.
    async fn explain(&self, fields: &str, values: &[ViewerValues], statements: &mut Statements) {
        for values in values {
            self.query(fields, values).await;
        }
        for (sql, plan) in self.log.take() {
            let seen = statements.entry(sql).or_default();
            seen.plans.insert(plan_of_postgres(&plan));
            let unreturned =
                unreturned(&plan).map(|rows| rows.max(seen.unreturned.unwrap_or(rows)));
            seen.unreturned = unreturned.or(seen.unreturned);
        }
    }

    /// Names and definitions of the indexes that no constraint needs.
    async fn indexes(&self) -> BTreeMap<String, String> {
        let sql = match self.database.get_database_backend() {
            DbBackend::Sqlite => {
                "SELECT name, sql AS definition FROM sqlite_master
                WHERE type = 'index' AND sql IS NOT NULL"
            }
            _ => {
                "SELECT indexname::text AS name, indexdef AS definition FROM pg_indexes
                WHERE schemaname = current_schema()
                    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)"
            }
        };
        let rows = self.rows(sql).await;
        let text = |row: &QueryResult, name| row.try_get::<String>("", name).expect("a text");
        rows.iter().map(|row| (text(row, "name"), text(row, "definition"))).collect()
    }
}

impl Taken {
    async fn take(engine: Engine) -> Self {
        let loaded = Loaded::start(engine).await;
        let _listening = loaded.log.listen();
        let values = loaded.viewer_values().await;
        let indexes = loaded.indexes().await;
        let mut cases = BTreeMap::new();
        for (name, fields) in CASES.iter().copied() {
            cases.insert(name, loaded.take(fields, &values).await);
        }
        let mut repeated = BTreeMap::new();
        if engine == Engine::Postgres {
            for (name, fields) in CASES.iter().copied().filter(|case| REPEATED.contains(&case.0)) {
                repeated.insert(name, loaded.take_repeated(fields, &values).await);
            }
            assert_eq!(repeated.len(), REPEATED.len());
        }
        let sampled_again = match engine {
            Engine::Sqlite => Vec::new(),
            Engine::Postgres => loaded.take_sampled_again(&values).await,
        };
        let mut without = BTreeMap::new();
        for (index, case) in needed(engine) {
            let (_, fields) = CASES.iter().find(|(name, _)| *name == case).expect("a case");
            let definition = indexes.get(index).expect(index);
            loaded.execute(&format!("DROP INDEX {index}")).await;
            without.insert(index, (case, loaded.take(fields, &values).await));
            loaded.execute(definition).await;
        }
        let indexes = indexes.into_keys().collect();
        Self { cases, repeated, sampled_again, without, indexes }
    }

    /// Taken once for all tests. `None`, with a word about it, where they cannot be.
    async fn of(engine: Engine, test: &str) -> Option<&'static Self> {
        static SQLITE: OnceCell<Taken> = OnceCell::const_new();
        static POSTGRES: OnceCell<Option<Taken>> = OnceCell::const_new();
        match engine {
            Engine::Sqlite => Some(SQLITE.get_or_init(|| Box::pin(Self::take(engine))).await),
            Engine::Postgres => {
                let taken = POSTGRES.get_or_init(async || {
                    let database = TestDatabase::new(engine, Content::Empty).await;
                    let can =
                        database.connect().await.execute_unprepared("LOAD 'auto_explain'").await;
                    match can {
                        Ok(_) => Some(Box::pin(Self::take(engine)).await),
                        Err(_) => None,
                    }
                });
                let taken = taken.await.as_ref();
                if taken.is_none() {
                    skip(test, "a superuser of a PostgreSQL with auto_explain");
                }
                taken
            }
        }
    }
}

fn needed(engine: Engine) -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_engine = NEEDED.into_iter().filter(move |needed| needed.0.contains(&engine));
    of_engine.map(|(_, index, case)| (index, case))
}

on_both_databases! {
    async fn every_plan_is_as_its_file_says(engine: Engine) {
        let Some(taken) = Taken::of(engine, "every_plan_is_as_its_file_says").await else { return };
        for (name, fields) in CASES.iter().copied() {
            let plans = |seen: &Seen| {
                let plans: Vec<_> = seen.plans.iter().map(|plan| text_of(plan)).collect();
                plans.join("\nor, for other values:\n")
            };
            let statements: Vec<_> = taken.cases[name].values().map(plans).collect();
            insta::with_settings!({
                snapshot_path => files(engine),
                prepend_module_to_snapshot => false,
                omit_expression => true,
                description => format!("{{ {fields} }}"),
            }, {
                insta::assert_snapshot!(format!("{name}.plan"), statements.join("\n\n"));
            });
        }
    }

    async fn no_large_table_is_read_in_whole_but_where_listed(engine: Engine) {
        let test = "no_large_table_is_read_in_whole_but_where_listed";
        let Some(taken) = Taken::of(engine, test).await else { return };
        let mut found = BTreeSet::new();
        for (case, statements) in &taken.cases {
            let whole = scans_of(statements).filter(|scan| scan.is_whole);
            let large = whole.filter(|scan| LARGE.contains(&scan.table.as_str()));
            let large = large.filter(|scan| scan.index.as_deref() != Some(FEW_USERS));
            let what = large.map(|scan| scan.index.as_ref().unwrap_or(&scan.table).as_str());
            found.extend(what.map(|what| (*case, what)));
        }
        let listed = READ_IN_WHOLE.into_iter().filter(|listed| listed.0.contains(&engine));
        assert_eq!(found, listed.map(|(_, case, what)| (case, what)).collect());
    }

    async fn without_an_index_that_is_needed_the_plan_is_another(engine: Engine) {
        let test = "without_an_index_that_is_needed_the_plan_is_another";
        let Some(taken) = Taken::of(engine, test).await else { return };
        for (index, (case, without)) in &taken.without {
            let with = &taken.cases[case];
            let mut scans = scans_of(with);
            let is_used = scans.any(|scan| scan.index.as_deref() == Some(*index));
            assert!(is_used, "{case} does not use {index}");
            assert_ne!(plans_of(with), plans_of(without), "{case} does not need {index}");
        }
    }

    async fn every_index_is_needed_or_for_later(engine: Engine) {
        let test = "every_index_is_needed_or_for_later";
        let Some(taken) = Taken::of(engine, test).await else { return };
        let scans = taken.cases.values().flat_map(scans_of);
        let used: BTreeSet<_> = scans.filter_map(|scan| scan.index.as_deref()).collect();
        for index in taken.indexes.iter().map(String::as_str) {
            let is_needed = taken.without.contains_key(index);
            assert_eq!(used.contains(index), is_needed, "{index} is in a plan, or is needed");
            let is_for_later = FOR_LATER.iter().any(|(_, indexes)| indexes.contains(&index));
            assert!(is_needed || is_for_later, "no case needs {index}");
        }
    }
}

#[tokio::test]
async fn plans_do_not_change_with_the_number_of_executions() {
    let test = "plans_do_not_change_with_the_number_of_executions";
    if !Engine::has_postgres(test) {
        return;
    }
    let Some(taken) = Taken::of(Engine::Postgres, test).await else { return };
    for (case, statements) in &taken.repeated {
        assert_eq!(plans_of(statements), plans_of(&taken.cases[case]), "{case}");
    }
}

/// Another sample is another estimate of the number of matches. The plan has to be the same, and to use the
/// index of trigrams, whatever the estimate.
#[tokio::test]
async fn plans_of_searches_do_not_change_with_the_sampled_rows() {
    let test = "plans_of_searches_do_not_change_with_the_sampled_rows";
    if !Engine::has_postgres(test) {
        return;
    }
    let Some(taken) = Taken::of(Engine::Postgres, test).await else { return };
    for (target, case, statements) in &taken.sampled_again {
        assert_eq!(plans_of(statements), plans_of(&taken.cases[case]), "{case}, {target}");
        let trigrams = "idx_reading_sessions_question_trgm";
        for plan in plans_of(statements).into_iter().flatten() {
            let mut scans = plan.iter().filter_map(|step| step.scan.as_ref());
            let is_used = scans.any(|scan| scan.index.as_deref() == Some(trigrams));
            assert!(is_used, "{case}, {target}: {}", text_of(plan));
        }
    }
}

/// SQLite does not count them.
#[tokio::test]
async fn pages_read_no_more_than_they_return_and_two_rows_for_each_parent() {
    let test = "pages_read_no_more_than_they_return_and_two_rows_for_each_parent";
    if !Engine::has_postgres(test) {
        return;
    }
    let Some(taken) = Taken::of(Engine::Postgres, test).await else { return };
    let reads_more = |statements: &Statements| {
        statements.values().any(|seen| seen.unreturned.is_some_and(|rows| rows > 0.0))
    };
    let is_narrow = |name| CASES.iter().any(|case| case.0 == name && is_narrowed(case.1));
    let whole = taken.cases.iter().filter(|(name, _)| !is_narrow(**name));
    let found = whole.filter(|(_, statements)| reads_more(statements));
    assert_eq!(found.map(|(case, _)| *case).collect::<Vec<_>>(), Vec::<&str>::new());
}
