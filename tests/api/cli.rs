//! The program as an operator meets it: its commands, its settings, how it starts and how it stops.
//! Each test runs the real binary in a folder of its own with nothing in its environment.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;

use clap::{CommandFactory as _, Parser};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use wasteland_tarot::config::Settings;
use wasteland_tarot::db::seed::insert_missing_seed;
use wasteland_tarot::db::{Database, StartLock, now};
use wasteland_tarot::services::tokens::{AccessClaims, TokenIssuer};

use crate::support::app::{
    Content, Engine, RawConnection, SECRET, TestDatabase, forge, on_both_databases, raw_post,
    settings_of,
};
use crate::support::fixtures::{id, rows, user};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const ANSWER: &[u8] = br#"{"data":{"__typename":"Query"}}"#;

/// The program with these arguments, in that folder, with that environment and no other.
pub fn command(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasteland-tarot"));
    command.current_dir(folder).env_clear().envs(environment.iter().copied()).args(arguments);
    command
}

/// Runs the program to its end.
pub fn execute(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    command(folder, environment, arguments).output().expect("the program runs")
}

/// The same with a text at its standard input.
fn execute_with_input(
    folder: &Path,
    environment: &[(&str, &str)],
    arguments: &[&str],
    input: &str,
) -> Output {
    let mut child = command(folder, environment, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that rejects its arguments does not read; then the pipe is closed.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program runs")
}

/// A folder of a test's own.
pub fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The one line in which the program says why it does not start.
pub fn refusal(output: &Output) -> String {
    let complaint = text(&output.stderr);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    let line = complaint.trim_end().strip_prefix("wasteland-tarot: ");
    line.unwrap_or_else(|| panic!("{complaint}")).to_owned()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// The address in the output of a starting server, if it gets that far. Other lines may stand
/// before it.
fn listen_url(stdout: ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.find_map(|line| line.strip_prefix("wasteland-tarot listens on ").map(str::to_owned))
}

/// A running server. It is killed if the test does not stop it.
pub struct Server {
    child: Child,
    pub url: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    pub fn start(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::try_start(folder, environment, arguments).unwrap_or_else(|log| panic!("{log}"))
    }

    /// A server on a free port, or the log of one that failed to start.
    fn try_start(
        folder: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut command = command(folder, &[("LISTEN", "127.0.0.1:0")], arguments);
        command.envs(environment.iter().copied());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("piped");
        // Read all the time, because lines that the pipe does not take are dropped.
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let Some(url) = listen_url(child.stdout.take().expect("piped")) else {
            let _ = child.wait();
            return Err(log.join().expect("the log is read"));
        };
        Ok(Self { url, child, log: Some(log) })
    }

    pub fn signal(&self, name: &str) {
        let order = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &order]).status().expect("a shell").success());
    }

    /// Waits until the program has ended; its exit code and its log.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends");
        let log = self.log.take().expect("taken once").join().expect("the log is read");
        (status.code(), log)
    }

    pub fn stop(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.wait()
    }

    pub async fn connect(&self) -> RawConnection {
        RawConnection::open_to(&self.url).await
    }

    /// Sends a body and returns the response body.
    pub async fn query(&self, headers: &str, body: &str) -> Value {
        let mut connection = self.connect().await;
        connection.write(raw_post(headers, body)).await;
        connection.read_response().await.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// Commands

#[test]
fn schema_prints_schema_graphql() {
    let printed = succeeded(&execute(folder().path(), &[], &["schema"]));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    if let Ok(held) = fs::read_to_string(file) {
        assert!(printed == held, "schema.graphql differs from what `schema` prints");
    }
    assert!(printed.contains("type Query {"), "{printed}");
}

#[test]
fn a_reader_that_has_read_enough_of_the_schema_is_no_failure() {
    let folder = folder();
    let mut child = command(folder.path(), &[], &["schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    // Before the rest, which is larger than the buffer of a pipe, is written.
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn help_and_version_are_printed_without_a_complaint() {
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["help"]] {
        let output = execute(folder().path(), &[], arguments);
        assert!(!succeeded(&output).is_empty());
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn help_names_every_setting_and_shows_no_value_of_the_environment() {
    let secret = "a secret that must never be shown, long enough";
    let url = "sqlite://hidden-in-help.db?mode=rwc";
    let environment = [("JWT_SECRET", secret), ("DATABASE_URL", url)];
    let help = succeeded(&execute(folder().path(), &environment, &["--help"]));
    for setting in settings() {
        assert!(help.contains(&format!("[env: {}]", setting.name)), "{}", setting.name);
    }
    assert!(!help.contains(secret) && !help.contains(url), "{help}");
}

#[test]
fn help_of_a_subcommand_has_its_own_arguments_and_points_to_the_settings() {
    for (arguments, own) in [
        (&["seed", "--help"][..], "--readings <READINGS>"),
        (&["help", "seed"], "--until <UNTIL>"),
        (&["seed", "-h"], "--readings <READINGS>"),
        (&["migrate", "--help"], "down"),
        (&["migrate", "down", "--help"], "--steps <STEPS>"),
        (&["user", "create", "--help"], "--admin"),
        (&["schema", "--help"], "--help"),
    ] {
        let help = succeeded(&execute(folder().path(), &[], arguments));
        assert!(help.contains(own), "{help}");
        assert!(!help.contains("[env: "), "{help}");
        let hint = "see `wasteland-tarot serve --help` and docs/settings.md.";
        assert_eq!(help.matches(hint).count(), 1, "{help}");
    }
    let serve = succeeded(&execute(folder().path(), &[], &["serve", "--help"]));
    for setting in settings() {
        assert!(serve.contains(&format!("[env: {}]", setting.name)), "{}", setting.name);
    }
    // They are options of each command all the same.
    let output = execute(folder().path(), &[], &["schema", "--max-page-size=0"]);
    assert_eq!(
        refusal(&output),
        "MAX_PAGE_SIZE=\"0\" (command line): a whole number of at least 1"
    );
}

on_both_databases! {
    async fn migrations_are_applied_taken_back_and_listed(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let (folder, environment) = (folder(), [("DATABASE_URL", database.url.as_str())]);
        let migrate = |arguments: &[&str]| {
            let arguments: Vec<_> = std::iter::once("migrate").chain(arguments.iter().copied()).collect();
            let listed = succeeded(&execute(folder.path(), &environment, &arguments));
            listed
                .lines()
                .map(|line| line.split_once(' ').expect("a state and a name"))
                .map(|(state, name)| (state.to_owned(), name.to_owned()))
                .collect::<Vec<_>>()
        };
        let applied = |listed: &[(String, String)]| {
            assert!(listed.iter().all(|(state, _)| state == "applied" || state == "pending"));
            listed.iter().filter(|(state, _)| state == "applied").count()
        };
        let before = migrate(&["status"]);
        let all = before.len();
        assert!(all > 1);
        assert_eq!(applied(&before), 0);
        assert_eq!(applied(&migrate(&["up"])), all);
        // Again is nothing new, and says so.
        assert_eq!(applied(&migrate(&[])), all);
        let output = execute(folder.path(), &environment, &["migrate"]);
        let log = text(&output.stderr);
        assert!(log.contains("nothing to do: all migrations are applied"), "{log}");
        let down = migrate(&["down"]);
        assert_eq!(applied(&down), all - 1);
        let again = execute(folder.path(), &environment, &["migrate"]);
        assert!(!text(&again.stderr).contains("nothing to do"), "{again:?}");
        assert_eq!(applied(&migrate(&["down"])), all - 1);
        assert_eq!(down.last().map(|(state, _)| state.as_str()), Some("pending"));
        assert_eq!(applied(&migrate(&["down", "--steps", &(all - 1).to_string()])), 0);
        assert_eq!(applied(&migrate(&["up"])), all);
        assert_eq!(applied(&migrate(&["status"])), all);
    }
}

on_both_databases! {
    async fn seed_makes_the_same_rows_of_the_same_numbers_and_leaves_the_schema_as_it_was(
        engine: Engine,
    ) {
        let one = TestDatabase::new(engine, Content::Reference).await;
        let two = TestDatabase::new(engine, Content::Empty).await;
        let schema_before = schema_of(&one).await;
        let folder = folder();
        let seed = |database: &TestDatabase, flags: &[&str]| {
            let environment = [("DATABASE_URL", database.url.as_str())];
            let given = ["seed", "--users=40", "--readings=1200", "--until=2026-11-01T12:00:00Z"];
            execute(folder.path(), &environment, &[&given, flags].concat())
        };
        let output = succeeded(&seed(&one, &[]));
        assert!(output.ends_with("loaded 40 users and 1200 readings\n"), "{output}");
        succeeded(&seed(&two, &[]));
        // Indexes and triggers are away while the rows are written.
        assert_eq!(schema_of(&one).await, schema_before);
        assert_eq!(schema_of(&two).await, schema_before);

        let rows = rows_of(&one).await;
        assert_eq!(rows, rows_of(&two).await);
        assert_eq!(rows.len(), 1_200);
        let again = refusal(&seed(&one, &["--log=error"]));
        assert_eq!(again, "seed: there are users already; seed fills a database that has none");
        assert_eq!(rows_of(&one).await, rows);

        let other = TestDatabase::new(engine, Content::Empty).await;
        succeeded(&seed(&other, &["--seed=7"]));
        assert_ne!(rows_of(&other).await, rows);
    }
}

/// The definitions of all indexes and triggers.
async fn schema_of(database: &TestDatabase) -> Vec<String> {
    let (sqlite, postgres) = (
        "SELECT name || sql AS value FROM sqlite_master
            WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_stat%' ORDER BY 1",
        "SELECT indexdef AS value FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    );
    values(database, sqlite, postgres).await
}

/// All readings, each with its owner and its cards.
async fn rows_of(database: &TestDatabase) -> Vec<String> {
    let sqlite = "SELECT hex(r.id) || u.email || r.question || r.created_at || (
            SELECT group_concat(hex(c.card_id) || c.orientation) FROM reading_cards c
            WHERE c.reading_id = r.id ORDER BY c.position_number
        ) AS value FROM reading_sessions r JOIN users u ON u.id = r.user_id ORDER BY r.id";
    let postgres = "SELECT r.id || u.email || r.question || r.created_at || (
            SELECT string_agg(c.card_id || c.orientation, ',' ORDER BY c.position_number)
            FROM reading_cards c WHERE c.reading_id = r.id
        ) AS value FROM reading_sessions r JOIN users u ON u.id = r.user_id ORDER BY r.id";
    values(database, sqlite, postgres).await
}

async fn values(database: &TestDatabase, sqlite: &str, postgres: &str) -> Vec<String> {
    let connection = database.connect().await;
    let backend = connection.get_database_backend();
    let sql = if backend == sea_orm::DbBackend::Sqlite { sqlite } else { postgres };
    let rows = connection.query_all_raw(sea_orm::Statement::from_string(backend, sql)).await;
    let rows = rows.expect("the statement runs");
    rows.iter().map(|row| row.try_get("", "value").expect("a text")).collect()
}

#[test]
fn seed_is_rejected_in_production_and_needs_its_numbers() {
    let folder = folder();
    let environment = [("APP_ENV", "production"), ("JWT_SECRET", SECRET)];
    let line =
        refusal(&execute(folder.path(), &environment, &["seed", "--users=2", "--readings=0"]));
    assert_eq!(line, "seed: demonstration data is refused in production");
    for wrong in [&["seed"][..], &["seed", "--users=1", "--readings=1"], &["seed", "--users=2"]] {
        assert!(!execute(folder.path(), &[], wrong).status.success(), "{wrong:?}");
    }
    for until in ["yesterday", "2026-11-01", "2026-11-01T12:00:00"] {
        let arguments = ["seed", "--users=2", "--readings=1", "--until", until];
        let complaint = text(&execute(folder.path(), &[], &arguments).stderr);
        let expected = "'--until <UNTIL>': a time such as 2026-11-01T12:00:00Z";
        assert!(complaint.contains(expected), "{complaint}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was made");
}

#[tokio::test]
async fn plain_serve_makes_its_database_and_says_where_it_listens() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &[]);
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    let query = r#"{"query":"{ publicStats { cards } }"}"#;
    assert_eq!(
        server.query("", query).await,
        json!({ "data": { "publicStats": { "cards": 78 } } })
    );
    assert!(folder.path().join("data/wasteland.db").is_file());
    assert_eq!(server.stop().0, Some(0));
    // The existing database is used again.
    let server = Server::start(folder.path(), &[], &["serve"]);
    assert_eq!(
        server.query("", query).await,
        json!({ "data": { "publicStats": { "cards": 78 } } })
    );
    assert_eq!(server.stop().0, Some(0));
}

#[tokio::test]
async fn a_server_database_is_migrated_only_with_the_flag() {
    let test = "a_server_database_is_migrated_only_with_the_flag";
    if !Engine::has_postgres(test) {
        return;
    }
    let database = TestDatabase::new(Engine::Postgres, Content::Empty).await;
    let (folder, environment) = (folder(), [("DATABASE_URL", database.url.as_str())]);
    let output = execute(folder.path(), &environment, &["serve"]);
    let listed = succeeded(&execute(folder.path(), &environment, &["migrate", "status"]));
    let missing: Vec<_> = listed.lines().filter_map(|line| line.strip_prefix("pending ")).collect();
    assert_eq!(missing.len(), listed.lines().count());
    assert_eq!(
        refusal(&output),
        format!(
            "the database lacks these migrations: {}. Run `wasteland-tarot migrate`, or serve \
             with --migrate",
            missing.join(", ")
        )
    );
    let server = Server::start(folder.path(), &environment, &["serve", "--migrate"]);
    assert_eq!(server.query("", QUERY).await, json!({ "data": { "__typename": "Query" } }));
    assert_eq!(server.stop().0, Some(0));
}

// Starting

on_both_databases! {
    async fn of_several_servers_that_start_at_once_all_serve_and_one_loads(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let folder = folder();
        let starts: Vec<_> = (0..4)
            .map(|_| {
                let (url, folder) = (database.url.clone(), folder.path().to_owned());
                std::thread::spawn(move || {
                    let environment = [("DATABASE_URL", url.as_str())];
                    Server::try_start(&folder, &environment, &["serve", "--migrate", "--demo"])
                })
            })
            .collect();
        let mut loaded = 0;
        for start in starts {
            let server = start.join().expect("no panic").unwrap_or_else(|log| panic!("{log}"));
            let query = r#"{"query":"{ publicStats { cards users } }"}"#;
            let response = server.query("", query).await;
            assert_eq!(response, json!({ "data": { "publicStats": { "cards": 78, "users": 50 } } }));
            let (code, log) = server.stop();
            assert_eq!(code, Some(0), "{log}");
            loaded += log.matches("loaded the demonstration data").count();
        }
        assert_eq!(loaded, 1);
    }

    async fn a_server_that_is_killed_while_it_prepares_its_database_starts_again(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let (folder, environment) = (folder(), [("DATABASE_URL", database.url.as_str())]);
        let arguments = ["serve", "--listen=127.0.0.1:0", "--migrate", "--demo"];
        // Wherever that is: in a migration, between two, in the reference data, or after all.
        for milliseconds in [10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 800] {
            let mut child = command(folder.path(), &environment, &arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
            child.kill().expect("killed");
            child.wait().expect("it ended");
        }
        let server = Server::start(folder.path(), &environment, &["serve", "--migrate", "--demo"]);
        let query = r#"{"query":"{ publicStats { cards users } }"}"#;
        let response = server.query("", query).await;
        assert_eq!(response, json!({ "data": { "publicStats": { "cards": 78, "users": 50 } } }));
        assert_eq!(server.stop().0, Some(0));
    }

    async fn a_server_that_waits_for_another_to_prepare_the_database_can_be_stopped(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let settings = settings_of(&database.url, &[]);
        let lock = StartLock::acquire(&settings.database).await.expect("nobody else has it");
        let folder = folder();
        let mut child = command(
            folder.path(),
            &[("DATABASE_URL", &database.url), ("LISTEN", "127.0.0.1:0")],
            &["serve", "--migrate"],
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        // Held open: the server logs more when it stops.
        let mut said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = said.by_ref().map_while(Result::ok).find(|line| line.contains("waiting for it"));
        assert!(line.is_some(), "it does not say that it waits");
        let order = format!("kill -TERM {}", child.id());
        assert!(Command::new("sh").args(["-c", &order]).status().expect("a shell").success());
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        assert_eq!(output.lines().count(), 0, "it listened");
        lock.release().await;
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_one_line_with_the_reason() {
    let folder = folder();
    // Nothing listens at the port of a socket that is bound and never listens.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let place = format!("127.0.0.1:{}/none", socket.local_addr().expect("an address").port());
    let url = format!("postgres://someone:hunter2@{place}");
    for arguments in [&["serve"][..], &["migrate"], &["migrate", "status"]] {
        let line = refusal(&execute(folder.path(), &[("DATABASE_URL", &url)], arguments));
        let expected = format!(
            "DATABASE_URL=postgres://…@{place}: the database cannot be reached: Connection Error: \
             error communicating with database: Connection refused (os error 111)"
        );
        assert_eq!(line, expected);
    }
}

#[test]
fn replicas_are_those_of_a_postgres() {
    let ours = "postgres://user:secret@localhost/tarot";
    let line = refusal(&execute(folder().path(), &[("DATABASE_REPLICA_URLS", ours)], &[]));
    let expected = "DATABASE_REPLICA_URLS=\"…\" (beside an embedded DATABASE_URL): \
                    replicas of a PostgreSQL database";
    assert_eq!(line, expected);
    let mixed = format!("{ours},mysql://user:secret@localhost/tarot");
    let line = refusal(&execute(folder().path(), &[("DATABASE_REPLICA_URLS", &mixed)], &[]));
    let expected = "DATABASE_REPLICA_URLS=\"…\" (environment): addresses that begin with \
                    postgres:// or postgresql://, separated by commas";
    assert_eq!(line, expected);
}

#[test]
fn a_missing_file_of_an_embedded_database_is_made_only_if_the_url_says_so() {
    let folder = folder();
    for url in
        ["sqlite://new/x.db", "sqlite:new/x.db", "sqlite://x.db?mode=rw", "sqlite://x.db?mode=ro"]
    {
        for arguments in [&["serve"][..], &["migrate"], &["migrate", "status"]] {
            let line = refusal(&execute(folder.path(), &[("DATABASE_URL", url)], arguments));
            let expected = format!(
                "DATABASE_URL={url}: the database cannot be reached: Connection Error: there is no such \
                 file; end the URL with `?mode=rwc` to create it"
            );
            assert_eq!(line, expected);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was made");
    }
    let url = "sqlite://new/x.db?mode=rwc";
    succeeded(&execute(folder.path(), &[("DATABASE_URL", url)], &["migrate"]));
    assert!(folder.path().join("new/x.db").is_file());
    // A file that is there needs no `mode=rwc`.
    let url = "sqlite://new/x.db";
    succeeded(&execute(folder.path(), &[("DATABASE_URL", url)], &["migrate", "status"]));
}

#[test]
fn an_embedded_database_needs_a_file() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://x.db?mode=memory"] {
        let line = refusal(&execute(folder().path(), &[("DATABASE_URL", url)], &[]));
        let expected = "DATABASE_URL=\"…\" (environment): a database in a file, or on a server: \
                        in-memory databases are not supported";
        assert_eq!(line, expected);
    }
}

// Stopping

/// A request whose header was read and whose body was not sent.
async fn request_in_flight(server: &Server) -> RawConnection {
    let mut connection = server.connect().await;
    let request = raw_post("expect: 100-continue\r\n", QUERY);
    connection.write(&request[..request.len() - QUERY.len()]).await;
    // The server says so when it waits for the body.
    assert_eq!(connection.read_exact(25).await, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

async fn assert_drains(signal: &str) {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &["serve"]);
    let mut idle = server.connect().await;
    idle.write(raw_post("", QUERY)).await;
    assert_eq!(idle.read_response().await.body, ANSWER);
    let mut silent = server.connect().await;
    let mut in_flight = request_in_flight(&server).await;
    server.signal(signal);
    // Both end before the request does: no request is in flight on them.
    assert_eq!(idle.read_to_end().await, b"");
    assert_eq!(silent.read_to_end().await, b"");
    in_flight.write(QUERY).await;
    let response = in_flight.read_response().await;
    assert_eq!((response.status, response.body.as_slice()), (200, ANSWER));
    assert_eq!(in_flight.read_to_end().await, b"");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn sigterm_finishes_the_request_in_flight() {
    assert_drains("TERM").await;
}

#[tokio::test]
async fn sigint_finishes_the_request_in_flight() {
    assert_drains("INT").await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_prevent_shutdown() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &["serve", "--shutdown-timeout=1"]);
    let mut in_flight = request_in_flight(&server).await;
    server.signal("TERM");
    let (code, log) = server.wait();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("requests were still in flight"), "{log}");
    assert_eq!(in_flight.read_to_end().await, b"");
}

#[tokio::test]
async fn a_second_server_at_the_same_address_says_so() {
    let (first, second) = (folder(), folder());
    let server = Server::start(first.path(), &[], &[]);
    let address = server.url.strip_prefix("http://").expect("an address");
    let environment = [("LISTEN", address)];
    for arguments in [&[][..], &["serve", "--demo"]] {
        let output = execute(second.path(), &environment, arguments);
        let expected = format!("LISTEN={address}: Address already in use (os error 98)");
        assert_eq!(refusal(&output), expected);
        // Before anything was loaded, with a password that is shown once.
        assert_eq!(text(&output.stdout), "");
        assert_eq!(fs::read_dir(second.path()).expect("a folder").count(), 0, "something was made");
    }
    assert_eq!(server.query("", QUERY).await, json!({ "data": { "__typename": "Query" } }));
}

// Settings

#[derive(Parser)]
struct SettingsOnly {
    #[command(flatten)]
    settings: Settings,
}

#[test]
fn a_server_on_all_addresses_calls_itself_localhost() {
    for (flags, url) in [
        (&["--listen=0.0.0.0:8000"][..], "http://localhost:8000"),
        (&["--listen=[::]:9000"], "http://localhost:9000"),
        (&["--listen=127.0.0.1:8000"], "http://127.0.0.1:8000"),
        (&["--listen=[::1]:8000"], "http://[::1]:8000"),
        (&["--listen=0.0.0.0:8000", "--public-url=https://tarot.example"], "https://tarot.example"),
    ] {
        let command_line = SettingsOnly::try_parse_from([&["test"], flags].concat());
        assert_eq!(command_line.expect("valid").settings.public_url(), url, "{flags:?}");
    }
}

#[tokio::test]
async fn a_server_on_all_addresses_asks_for_its_public_url() {
    let folder = folder();
    let all = [("LISTEN", "0.0.0.0:0")];
    let (code, log) = Server::start(folder.path(), &all, &[]).stop();
    let warning = "PUBLIC_URL is not set: links to shared readings begin with http://localhost:";
    assert_eq!((code, log.matches(warning).count()), (Some(0), 1), "{log}");
    let flag = "--public-url=http://localhost:8000";
    let (code, log) = Server::start(folder.path(), &all, &["serve", flag]).stop();
    assert_eq!((code, log.contains("PUBLIC_URL")), (Some(0), false), "{log}");
}

struct Setting {
    name: String,
    flag: String,
}

/// Every setting that there is, as the program itself knows them.
fn settings() -> Vec<Setting> {
    let settings: Vec<_> = SettingsOnly::command()
        .get_arguments()
        .filter_map(|argument| {
            let name = argument.get_env()?.to_str()?.to_owned();
            Some(Setting { name, flag: format!("--{}", argument.get_long()?) })
        })
        .collect();
    assert!(settings.len() >= 30, "{} settings", settings.len());
    settings
}

/// Settings that are never shown, and may be in files of their own.
const SECRETS: [&str; 5] =
    ["DATABASE_REPLICA_URLS", "DATABASE_URL", "JWT_PREVIOUS_SECRETS", "JWT_SECRET", "REDIS_URL"];

/// No setting may have this value.
const WRONG: &str = "wrong=/value";

fn assert_is_refused(setting: &Setting, line: &str, source: &str) {
    let is_secret = SECRETS.contains(&setting.name.as_str());
    let shown = if is_secret { "…" } else { WRONG };
    let start = format!("{}={shown:?} ({source}): ", setting.name);
    let expected = line.strip_prefix(&start).unwrap_or_else(|| panic!("{start}… and not {line}"));
    // The allowed values, in words that a person can act on.
    assert!(expected.split(' ').count() >= 2, "{line}");
    assert!(expected != "another value" && !expected.contains("was not"), "{line}");
    assert!(!is_secret || !line.contains(WRONG), "{line}");
}

#[test]
fn a_wrong_setting_in_the_environment_is_one_line() {
    let folder = folder();
    for setting in settings() {
        let line = refusal(&execute(folder.path(), &[(&setting.name, WRONG)], &["serve"]));
        assert_is_refused(&setting, &line, "environment");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was made");
}

#[test]
fn a_wrong_flag_is_one_line() {
    let folder = folder();
    for setting in settings() {
        let flag = format!("{}={WRONG}", setting.flag);
        for arguments in [[flag.as_str(), "serve"], ["serve", &flag]] {
            let line = refusal(&execute(folder.path(), &[], &arguments));
            assert_is_refused(&setting, &line, "command line");
        }
    }
}

#[test]
fn a_flag_without_its_value_is_one_line() {
    let folder = folder();
    for (arguments, name) in [
        (&["serve", "--max-page-size"][..], "MAX_PAGE_SIZE"),
        (&["--max-page-size"], "MAX_PAGE_SIZE"),
        (&["serve", "--max-page-size", "--log=error"], "MAX_PAGE_SIZE"),
        (&["--database-url"], "DATABASE_URL"),
    ] {
        let line = refusal(&execute(folder.path(), &[], arguments));
        let shown = if name == "DATABASE_URL" { "…" } else { "" };
        assert_eq!(line, format!("{name}={shown:?} (command line): a value is missing"));
    }
    let line = refusal(&execute(folder.path(), &[], &["serve", "--app-env"]));
    let expected = "APP_ENV=\"\" (command line): one of development, production, testing";
    assert_eq!(line, expected);
}

#[test]
fn a_wrong_setting_in_the_settings_file_is_one_line() {
    let folder = folder();
    for setting in settings() {
        let file = format!("# A comment.\n\n{} = {WRONG:?}\n", setting.name);
        fs::write(folder.path().join("wasteland-tarot.toml"), file).expect("written");
        let line = refusal(&execute(folder.path(), &[], &["serve"]));
        assert_is_refused(&setting, &line, "settings file, line 3");
    }
}

#[test]
fn an_empty_value_is_rejected_or_means_none() {
    let folder = folder();
    for setting in settings() {
        let output = execute(folder.path(), &[(&setting.name, "")], &["schema"]);
        if !output.status.success() {
            let line = refusal(&output);
            assert!(line.starts_with(&format!("{}=", setting.name)), "{line}");
        }
    }
}

/// Text settings, which accept numbers too.
const TEXTS: [&str; 3] = ["ALLOWED_HOSTS", "LOG", "REFRESH_COOKIE_NAME"];

/// Numbers of which none is a sensible one.
const MAY_BE_ZERO: [&str; 14] = [
    "ADMIN_RATE",
    "CACHE_TTL_JITTER",
    "CLIENT_SQL_MS_PER_SECOND",
    "DATABASE_MAX_OVERFLOW",
    "LOGIN_FAILURE_RATE",
    "LOGIN_RATE",
    "PRIMARY_AFTER_WRITE_MS",
    "RATE_LIMIT",
    "RATE_LIMIT_COST",
    "REFUSAL_RATE",
    "REGISTRATION_RATE",
    "RESPONSE_CACHE_BYTES",
    "SHUTDOWN_DELAY_MS",
    "SLOW_QUERY_MS",
];

#[test]
fn numbers_below_their_minimum_and_fractions_are_rejected() {
    let folder = folder();
    for setting in settings() {
        let takes = |value: &str| {
            SettingsOnly::try_parse_from(["test", &format!("{}={value}", setting.flag)]).is_ok()
        };
        // The numbers among the settings. `0` and `1` are also no and yes.
        if !takes("7") || TEXTS.contains(&&*setting.name) {
            continue;
        }
        let wrong: &[&str] = if MAY_BE_ZERO.contains(&setting.name.as_str()) {
            &["-1", "1.5"]
        } else {
            &["0", "-1", "1.5"]
        };
        for value in wrong {
            let line = refusal(&execute(folder.path(), &[(&setting.name, value)], &["serve"]));
            let start = format!("{}={value:?} (environment): a whole number of ", setting.name);
            assert!(line.starts_with(&start), "{line}");
        }
    }
}

#[test]
fn the_largest_number_of_any_setting_starts_a_server_or_is_rejected() {
    let folder = folder();
    for setting in settings() {
        for value in ["18446744073709551615", "4294967295", "86400000", "86400"] {
            let flag = format!("{}={value}", setting.flag);
            let is_accepted = SettingsOnly::try_parse_from(["test", &flag]).is_ok();
            if !is_accepted || TEXTS.contains(&&*setting.name) {
                continue;
            }
            match Server::try_start(folder.path(), &[("LOG", "error")], &["serve", &flag]) {
                Ok(server) => assert_eq!(server.stop(), (Some(0), String::new()), "{flag}"),
                Err(log) => assert_eq!(log.lines().count(), 1, "{flag}: {log}"),
            }
            // Smaller ones are between it and the default.
            break;
        }
    }
}

#[test]
fn an_address_with_a_password_is_never_shown() {
    let folder = folder();
    for url in [
        "postgres://someone:hunter2@127.0.0.1:1/none",
        "postgres://someone:hunter2@127.0.0.1:port/none",
        "mysql://someone:hunter2@127.0.0.1/none",
        "postgres://someone:hunter2@[/none",
    ] {
        let environment = [("DATABASE_URL", url), ("DATABASE_POOL_TIMEOUT", "1")];
        for arguments in [&["serve"][..], &["migrate", "status"]] {
            let output = execute(folder.path(), &environment, arguments);
            let line = refusal(&output);
            assert!(!line.contains("hunter2"), "{line}");
        }
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_settings_file() {
    let folder = folder();
    let file = "LISTEN = \"127.0.0.4:0\"\nLOG = \"error\"\n";
    fs::write(folder.path().join("wasteland-tarot.toml"), file).expect("written");
    let named = folder.path().join("other.toml");
    fs::write(&named, "LISTEN = \"127.0.0.5:0\"\n").expect("written");
    let named = named.to_str().expect("a plain path");
    // Server::start sets LISTEN itself, so these run the program as it is.
    let listens_at = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut child = command(folder.path(), environment, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let url = listen_url(child.stdout.take().expect("piped")).expect("an address");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        let (host, _) = url["http://".len()..].split_once(':').expect("a host and a port");
        host.to_owned()
    };
    let environment = [("LISTEN", "127.0.0.3:0")];
    assert_eq!(listens_at(&[], &[]), "127.0.0.4");
    assert_eq!(listens_at(&[], &["serve"]), "127.0.0.4");
    assert_eq!(listens_at(&[("SETTINGS_FILE", named)], &[]), "127.0.0.5");
    assert_eq!(listens_at(&environment, &[]), "127.0.0.3");
    assert_eq!(listens_at(&environment, &["--listen=127.0.0.2:0"]), "127.0.0.2");
    assert_eq!(listens_at(&environment, &["--listen=127.0.0.2:0", "serve"]), "127.0.0.2");
    assert_eq!(listens_at(&environment, &["serve", "--listen=127.0.0.2:0"]), "127.0.0.2");
    assert_eq!(listens_at(&[], &["serve", "--listen=127.0.0.2:0"]), "127.0.0.2");
    assert_eq!(listens_at(&[], &["--listen", "127.0.0.2:0", "serve"]), "127.0.0.2");
}

#[test]
fn a_settings_file_that_cannot_be_used_is_one_line() {
    let folder = folder();
    let path = folder.path().join("mine.toml");
    let name = path.to_str().expect("a plain path");
    let refused = |content: &str| {
        fs::write(&path, content).expect("written");
        let line = refusal(&execute(folder.path(), &[("SETTINGS_FILE", name)], &["serve"]));
        let reason = line.strip_prefix(&format!("settings file {name}: "));
        reason.unwrap_or_else(|| panic!("{line}")).to_owned()
    };
    assert_eq!(refused("NO_SUCH = 1"), "line 1: NO_SUCH is no setting");
    for (wrong, meant) in [
        ("listen", "LISTEN"),
        ("max_page_size", "MAX_PAGE_SIZE"),
        ("max-page-size", "MAX_PAGE_SIZE"),
        ("MAX_PAGE_SIZES", "MAX_PAGE_SIZE"),
    ] {
        assert_eq!(
            refused(&format!("LOG = \"error\"\n# 愛\r\n{wrong} = 1")),
            format!("line 3: {wrong} is no setting; did you mean {meant}?")
        );
    }
    let wrong_kind = "line 1: LISTEN is neither text, number nor true or false";
    assert_eq!(refused("LISTEN = [\"127.0.0.1:0\"]"), wrong_kind);
    assert_eq!(refused("[LISTEN]\nport = 1"), wrong_kind);
    for (broken, at) in [
        ("LISTEN", "line 1: "),
        ("LISTEN = ", "line 1: "),
        ("\n= 1", "line 2: "),
        ("LISTEN = \"a", "line 1: "),
        ("LOG = 1\nLOG = 2", "line 2: "),
    ] {
        let reason = refused(broken);
        assert!(reason.starts_with(at) && reason.len() > at.len(), "{reason}");
        assert!(reason.len() < 200, "{reason}");
    }
    let missing = folder.path().join("missing.toml");
    let missing = missing.to_str().expect("a plain path");
    assert_eq!(
        refusal(&execute(folder.path(), &[("SETTINGS_FILE", missing)], &["serve"])),
        format!("settings file {missing}: No such file or directory (os error 2)")
    );
}

#[test]
fn the_settings_file_takes_numbers_and_yes_or_no() {
    let folder = folder();
    let file = "MAX_BODY_BYTES = 1000\nGRAPHIQL = false\nLOG = \"error\"\n";
    fs::write(folder.path().join("wasteland-tarot.toml"), file).expect("written");
    let server = Server::start(folder.path(), &[], &[]);
    assert_eq!(server.stop(), (Some(0), String::new()));
}

#[test]
fn settings_that_contradict_each_other_are_one_line() {
    let folder = folder();
    let cases = [
        (
            &["--shutdown-delay-ms=1000", "--shutdown-timeout=1"][..],
            "SHUTDOWN_DELAY_MS=\"1000\" (beside SHUTDOWN_TIMEOUT): less than 1000",
        ),
        (
            &["--max-response-bytes=16777217"],
            "MAX_RESPONSE_BYTES=\"16777217\" (beside MAX_UNSENT_BYTES_PER_CONNECTION): at most 16777216",
        ),
        (
            &["--max-unsent-bytes-per-connection=33554433"],
            "MAX_UNSENT_BYTES_PER_CONNECTION=\"33554433\" (beside MAX_UNSENT_BYTES_PER_ADDRESS): \
             at most 33554432",
        ),
        (
            &["--max-unsent-bytes=33554431"],
            "MAX_UNSENT_BYTES_PER_ADDRESS=\"33554432\" (beside MAX_UNSENT_BYTES): at most 33554431",
        ),
    ];
    for (flags, expected) in cases {
        let arguments = [&["serve"], flags].concat();
        assert_eq!(refusal(&execute(folder.path(), &[], &arguments)), expected);
    }
}

#[test]
fn production_wants_a_secret_of_its_own() {
    let folder = folder();
    let expected = "JWT_SECRET=\"\" (not set): required in production, at least 32 bytes";
    assert_eq!(refusal(&execute(folder.path(), &[("APP_ENV", "production")], &[])), expected);
    let short = [("APP_ENV", "production"), ("JWT_SECRET", "0123456789012345678901234567890")];
    let line = refusal(&execute(folder.path(), &short, &[]));
    assert_eq!(line, "JWT_SECRET=\"…\" (environment): at least 32 bytes");
}

#[tokio::test]
async fn an_empty_database_hints_at_a_command_that_makes_users() {
    let folder = folder();
    for (environment, command) in [
        (&[][..], "`serve --demo` loads 50 users and 2,000 readings."),
        (&[("APP_ENV", "production"), ("JWT_SECRET", SECRET)], "`user create` makes one."),
    ] {
        let environment = [&[("LISTEN", "127.0.0.1:0"), ("LOG", "error")], environment].concat();
        let mut child = self::command(folder.path(), &environment, &[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next().expect("a line").expect("text");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        assert_eq!(line, format!("The database has no users. {command}"));
    }
}

#[test]
fn production_refuses_a_secret_that_can_be_guessed() {
    let folder = folder();
    let guessable = "changemechangemechangemechangeme";
    for (name, environment) in [
        ("JWT_SECRET", vec![("JWT_SECRET", guessable)]),
        ("JWT_PREVIOUS_SECRETS", vec![("JWT_SECRET", SECRET), ("JWT_PREVIOUS_SECRETS", guessable)]),
    ] {
        let production = [&[("APP_ENV", "production")], &environment[..]].concat();
        assert_eq!(
            refusal(&execute(folder.path(), &production, &[])),
            format!(
                "{name}=\"…\" (in production): a random key in production, such as \
                 `head -c 32 /dev/urandom | base64` prints: this one can be guessed"
            )
        );
        let server = Server::start(folder.path(), &environment, &[]);
        assert_eq!(server.stop().0, Some(0), "development takes it");
    }
}

/// As orchestrators mount secrets.
#[tokio::test]
async fn each_secret_can_be_in_a_file() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let secret = write("secret", &format!("{SECRET}\n"));
    let url = write("url", "sqlite://in-a-file.db?mode=rwc\n");
    let environment = [("JWT_SECRET_FILE", &*secret), ("DATABASE_URL_FILE", &*url)];
    let server = Server::start(folder.path(), &environment, &[]);
    assert!(folder.path().join("in-a-file.db").exists());
    let claims = json!({
        "sub": id("none"), "iss": "wasteland-tarot", "aud": "wasteland-tarot-api",
        "iat": now().timestamp(), "exp": now().timestamp() + 900,
    });
    let headers = format!("authorization: Bearer {}\r\n", forge(&claims, SECRET));
    let response = server.query(&headers, QUERY).await;
    assert_eq!(response, json!({ "data": { "__typename": "Query" } }));
    assert_eq!(server.stop().0, Some(0));

    // In the settings file too, which the environment beats.
    let file = format!("JWT_SECRET_FILE = {secret:?}\nDATABASE_URL_FILE = \"nowhere\"\n");
    fs::write(folder.path().join("wasteland-tarot.toml"), file).expect("written");
    let server = Server::start(folder.path(), &[("DATABASE_URL_FILE", &*url)], &[]);
    assert_eq!(server.query(&headers, QUERY).await["data"]["__typename"], "Query");
    assert_eq!(server.stop().0, Some(0));
    fs::remove_file(folder.path().join("wasteland-tarot.toml")).expect("removed");

    let wrong = write("wrong", WRONG);
    for name in SECRETS {
        let file_name = format!("{name}_FILE");
        let line = refusal(&execute(folder.path(), &[(&*file_name, &*wrong)], &["serve"]));
        assert!(line.starts_with(&format!("{name}=\"…\" ({file_name}): ")), "{line}");
        let line = refusal(&execute(folder.path(), &[(&*file_name, "nowhere")], &["serve"]));
        let expected = format!("{file_name}=\"nowhere\" (environment): the path of a file that ");
        assert!(line.starts_with(&expected), "{line}");
        let both = [(&*file_name, &*wrong), (name, "anything")];
        let line = refusal(&execute(folder.path(), &both, &["serve"]));
        let expected = format!("{file_name}={wrong:?} (environment): not to be set beside {name}");
        assert_eq!(line, expected);
    }
}

#[test]
fn demonstration_data_is_rejected_in_production() {
    let folder = folder();
    let environment = [("APP_ENV", "production"), ("JWT_SECRET", SECRET)];
    let line = refusal(&execute(folder.path(), &environment, &["serve", "--demo"]));
    assert_eq!(line, "--demo: demonstration data is refused in production");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was made");
}

// Accounts and logs

/// A folder with a database that holds the user `dweller`.
async fn folder_with_user() -> (TempDir, PathBuf, Uuid) {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &[]);
    assert_eq!(server.stop().0, Some(0));
    let path = folder.path().join("data/wasteland.db");
    let settings = settings_of(&format!("sqlite://{}", path.display()), &[]);
    let database = Database::connect(&settings).await.expect("the database opens");
    let user = user("dweller");
    let id = user.id;
    insert_missing_seed(&database, rows(vec![user], Vec::new()))
        .await
        .expect("the user is written");
    database.close().await;
    (folder, path, id)
}

/// Output of `user create` with that password.
fn create(folder: &Path, name: &str, flags: &[&str], password: &str) -> Output {
    let email = format!("{name}@example.com");
    let arguments = ["user", "create", "--username", name, "--email", &email];
    execute_with_input(folder, &[], &[&arguments, flags].concat(), password)
}

/// Login payload for that name and password.
async fn log_in(server: &Server, name: &str, password: &str) -> Value {
    let query = "mutation ($input: LoginInput!) { login(input: $input) {
        viewer { username email isAdmin isPremium } userErrors { code } } }";
    let input = json!({ "login": name, "password": password });
    let body = json!({ "query": query, "variables": { "input": input } });
    server.query("", &body.to_string()).await["data"]["login"].take()
}

#[tokio::test]
async fn user_create_makes_an_account_with_a_password_from_standard_input() {
    let folder = folder();
    let output = "user created\n";
    // The first line without its end, or all there is; blanks are part of a password.
    assert_eq!(succeeded(&create(folder.path(), "Ada", &[], "a password\nnot this\n")), output);
    assert_eq!(succeeded(&create(folder.path(), "Zoe\u{308}", &[], " a password \r\n")), output);
    assert_eq!(succeeded(&create(folder.path(), "root", &["--admin"], "a password")), output);
    let server = Server::start(folder.path(), &[], &[]);
    for (name, password, is_admin) in [
        ("ada", "a password", false),
        ("zo\u{eb}", " a password ", false),
        ("root", "a password", true),
    ] {
        assert_eq!(
            log_in(&server, name, password).await,
            json!({
                "viewer": {
                    "username": name, "email": format!("{name}@example.com"),
                    "isAdmin": is_admin, "isPremium": false,
                },
                "userErrors": [],
            })
        );
    }
    assert_eq!(log_in(&server, "zo\u{eb}", "a password").await["viewer"], Value::Null);
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn user_create_rejects_nonsense() {
    let folder = folder();
    succeeded(&create(folder.path(), "ada", &[], "a password"));
    let refused = |name: &str, email: &str, password: &str| {
        let arguments = ["user", "create", "--username", name, "--email", email];
        refusal(&execute_with_input(folder.path(), &[], &arguments, password))
    };
    let good = "bob@example.com";
    for password in ["", "\n", "\na password", "1234567"] {
        let count = password.lines().next().unwrap_or_default().len();
        assert_eq!(
            refused("bob", good, password),
            match count {
                0 => "user create: password is missing".to_owned(),
                _ =>
                    format!("user create: password has {count} characters; it must have at least 8"),
            }
        );
    }
    let taken = "this e-mail address is taken; this username is taken";
    assert_eq!(refused("ADA", "ADA@example.com", "a password"), format!("user create: {taken}"));
    assert_eq!(
        refused(" ", "nonsense", "a password"),
        "user create: email must be an address such as ada@example.com; username is missing"
    );
    for missing in [&["--username", "bob"][..], &["--email", good]] {
        let arguments = [&["user", "create"], missing].concat();
        let output = execute_with_input(folder.path(), &[], &arguments, "a password");
        assert_eq!(output.status.code(), Some(2));
    }
    // A password in the arguments would be seen by everybody on the machine.
    let arguments =
        ["user", "create", "--username", "bob", "--email", good, "--password", "a password"];
    assert_eq!(execute(folder.path(), &[], &arguments).status.code(), Some(2));
    succeeded(&create(folder.path(), "bob", &[], "a password"));
}

#[tokio::test]
async fn user_promote_gives_roles_and_nothing_else() {
    let folder = folder();
    for name in ["ada", "bob", "eve", "mallory"] {
        succeeded(&create(folder.path(), name, &[], "a password"));
    }
    let promote = |name: &str, flags: &[&str]| {
        let arguments = [&["user", "promote", "--username", name], flags].concat();
        execute(folder.path(), &[], &arguments)
    };
    assert_eq!(succeeded(&promote("Ada", &["--admin"])), "Ada is promoted\n");
    succeeded(&promote("bob", &["--premium"]));
    succeeded(&promote("eve", &["--admin", "--premium"]));
    // Twice is no more than once.
    succeeded(&promote("eve", &["--admin"]));
    let line = refusal(&promote("nobody", &["--admin"]));
    assert_eq!(line, "user promote: there is no user \"nobody\"");
    for nonsense in [&[][..], &["--king"], &["--admin=yes"]] {
        assert_eq!(promote("mallory", nonsense).status.code(), Some(2), "{nonsense:?}");
    }
    let server = Server::start(folder.path(), &[], &[]);
    for (name, is_admin, is_premium) in
        [("ada", true, false), ("bob", false, true), ("eve", true, true), ("mallory", false, false)]
    {
        let viewer = &log_in(&server, name, "a password").await["viewer"];
        assert_eq!(
            [&viewer["isAdmin"], &viewer["isPremium"]],
            [&json!(is_admin), &json!(is_premium)],
            "{name}"
        );
    }
    assert_eq!(server.stop().0, Some(0));
}

#[tokio::test]
async fn user_token_prints_a_token_that_works() {
    let (folder, _, _) = folder_with_user().await;
    let environment = [("JWT_SECRET", SECRET)];
    let arguments = ["user", "token", "--username", "Dweller"];
    let token = succeeded(&execute(folder.path(), &environment, &arguments));
    let server = Server::start(folder.path(), &environment, &[]);
    let headers = format!("authorization: Bearer {}\r\n", token.trim_end());
    let response = server.query(&headers, r#"{"query":"{ viewer { username } }"}"#).await;
    assert_eq!(response, json!({ "data": { "viewer": { "username": "dweller" } } }));
    assert_eq!(server.stop().0, Some(0));
    let unknown = ["user", "token", "--username", "nobody"];
    let line = refusal(&execute(folder.path(), &environment, &unknown));
    assert_eq!(line, "user token: there is no user \"nobody\"");
    let line = refusal(&execute(folder.path(), &[], &arguments));
    assert_eq!(
        line,
        "user token: set JWT_SECRET, to the same value for this command and for the server; \
         without it the server makes up a secret of its own"
    );
    let production = [("JWT_SECRET", SECRET), ("APP_ENV", "production")];
    let line = refusal(&execute(folder.path(), &production, &arguments));
    assert_eq!(line, "user token: tokens are printed in development only");
}

#[tokio::test]
async fn production_logs_one_line_of_json_for_each_request_and_no_secret() {
    let (folder, path, id) = folder_with_user().await;
    let settings = settings_of(&format!("sqlite://{}", path.display()), &[]);
    let access = AccessClaims { user: id, login: None, epoch: 0 };
    let token =
        TokenIssuer::new(&settings.auth).issue_access_token(access, now()).expect("a token").token;
    let environment = [("APP_ENV", "production"), ("JWT_SECRET", SECRET), ("LOG", "debug")];
    let server = Server::start(folder.path(), &environment, &[]);
    let question = "will-the-water-last";
    let body = json!({
        "query": format!("query WhoAmI($q: String!) {{ viewer {{ username }} \
            a: cardByCode(code: \"{question}\") {{ id }} b: cardByCode(code: $q) {{ id }} }}"),
        "variables": { "q": question },
        "operationName": "WhoAmI",
    });
    let headers = format!("authorization: Bearer {token}\r\nx-request-id: mine\r\n");
    let response = server.query(&headers, &body.to_string()).await;
    assert_eq!(response["data"]["viewer"]["username"], "dweller");
    let wrong = format!("authorization: Bearer {token}x\r\n");
    let response = server.query(&wrong, &body.to_string()).await;
    assert_eq!(response["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let mut connection = server.connect().await;
    let get = format!("GET /graphql?query=%7B+nope_{question}+%7D HTTP/1.1\r\nhost: test\r\n\r\n");
    connection.write(get).await;
    assert_eq!(connection.read_response().await.status, 200);
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));

    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let of_requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(of_requests.len(), 3, "{log}");
    let line = of_requests.iter().find(|line| line["request_id"] == "mine").expect("its line");
    assert_eq!(line["level"], "INFO");
    assert_eq!(
        [&line["method"], &line["path"], &line["status"], &line["operation"]],
        [&json!("POST"), &json!("/graphql"), &json!(200), &json!("WhoAmI")]
    );
    assert!(line["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{line}");
    assert_eq!(line["statements"], 1, "{line}");
    for secret in [question, &token, SECRET] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[tokio::test]
async fn a_slow_statement_is_in_the_log_once_a_minute_and_without_its_values() {
    let folder = folder();
    let environment = [("SLOW_QUERY_MS", "0"), ("LOG_FORMAT", "json"), ("JWT_SECRET", SECRET)];
    let server = Server::start(folder.path(), &environment, &[]);
    for name in ["s3cret-one", "s3cret-two", "s3cret-three"] {
        let query = format!("query Find {{ user(username: \"{name}\") {{ id }} }}");
        server.query("x-request-id: mine\r\n", &json!({ "query": query }).to_string()).await;
    }
    let (_, log) = server.stop();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let is_slow = |line: &&Value| line["message"] == "a statement was slow";
    let of_field = |line: &&Value| line["field"] == "Query.user";
    let slow: Vec<_> = lines.iter().filter(is_slow).filter(of_field).collect();
    assert_eq!(slow.len(), 1, "{log}");
    assert_eq!(
        [&slow[0]["level"], &slow[0]["statement"], &slow[0]["operation"]],
        ["WARN", "user_by_username", "Find"]
    );
    assert!(slow[0]["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn a_proxy_that_reports_no_client_is_in_the_log_once() {
    let folder = folder();
    let environment = [("TRUSTED_PROXIES", "127.0.0.1"), ("LOG_FORMAT", "json")];
    let server = Server::start(folder.path(), &environment, &[]);
    let lengthy = format!("x-forwarded-for: unknown, {}\r\n", "y".repeat(500));
    for headers in [&lengthy, "x-forwarded-for: unknown\r\n", "forwarded: for=_x\r\n"] {
        for _ in 0..2 {
            server.query(headers, QUERY).await;
        }
    }
    for _ in 0..3 {
        let both = "x-forwarded-for: 198.51.100.1\r\nforwarded: for=198.51.100.2\r\n";
        server.query(both, QUERY).await;
    }
    let (_, log) = server.stop();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    // Not those about statements that were slow because the machine was busy.
    let is_about_clients =
        |line: &&Value| line["target"] == "wasteland_tarot::http::client_address";
    let warnings: Vec<_> = lines.iter().filter(is_about_clients).collect();
    let [unreadable, ambiguous] = warnings[..] else { panic!("{log}") };
    assert_eq!(
        [
            &unreadable["message"],
            &unreadable["header"],
            &unreadable["element"],
            &unreadable["proxy"]
        ],
        [
            "a trusted proxy reported no client address; such requests count as the proxy's",
            "x-forwarded-for",
            &format!("{:?}", "y".repeat(200)),
            "127.0.0.1",
        ]
    );
    assert_eq!(
        [&ambiguous["message"], &ambiguous["proxy"]],
        [
            "x-forwarded-for and forwarded report different clients; such requests count as the \
             proxy's until TRUSTED_PROXY_HEADERS names the header that the proxy writes",
            "127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn development_logs_text_for_people() {
    let folder = folder();
    let server = Server::start(folder.path(), &[], &[]);
    server.query("x-request-id: mine\r\n", QUERY).await;
    let (_, log) = server.stop();
    let line = log.lines().find(|line| line.contains("request_id=mine")).expect("its line");
    assert!(line.contains("INFO") && line.contains("statements=0"), "{line}");
    // No colours where the output is no terminal.
    assert!(!log.contains('\u{1b}'), "{log}");
}
