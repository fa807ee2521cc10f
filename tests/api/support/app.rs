//! [`TestApp`]: a server with a database of its own, and requests to it.
//!
//! PostgreSQL is the server at `TEST_POSTGRES_URL` (its user must be allowed to create databases).
//! Without it, tests that need it are skipped with a note; with `TEST_NOTHING_SKIPPED=1`, as under
//! `scripts/test`, that is a failure. Tests that break PostgreSQL
//! itself have one of their own, see [`crate::support::postgres_cluster`].

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use jsonwebtoken::{EncodingKey, Header};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use wasteland_tarot::cache::pattern::Pattern;
use wasteland_tarot::config::Settings;
use wasteland_tarot::db::seed::{SeedRows, insert_missing_seed};
use wasteland_tarot::db::{Database, StartLock, migrations, now};
use wasteland_tarot::graphql::documents::Documents;
use wasteland_tarot::http::connections::Connections;
use wasteland_tarot::http::{self, App};
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::outbox_poller;
use wasteland_tarot::services::reference::load_reference;
use wasteland_tarot::services::seed::{SeedPlan, load_seed};
use wasteland_tarot::services::tokens::{AccessClaims, TokenIssuer};

/// JWT secret of all test servers.
pub const SECRET: &str = "a secret that only the tests know, long enough";

/// Declares tests that run on both databases: each function takes the [`Engine`].
macro_rules! on_both_databases {
    ($($(#[$doc:meta])* async fn $name:ident($engine:ident: Engine $(,)?) $body:block)+) => { $(
        mod $name {
            use super::*;

            $(#[$doc])*
            async fn run($engine: $crate::support::app::Engine) $body

            #[tokio::test]
            async fn sqlite() {
                run($crate::support::app::Engine::Sqlite).await;
            }

            #[tokio::test]
            async fn postgres() {
                if $crate::support::app::Engine::has_postgres(stringify!($name)) {
                    run($crate::support::app::Engine::Postgres).await;
                }
            }
        }
    )+ };
}
pub(crate) use on_both_databases;

/// Database engine of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Reports a skipped test; fails if skipping is not allowed.
pub fn skip(test: &str, missing: &str) {
    assert!(
        std::env::var_os("TEST_NOTHING_SKIPPED").is_none(),
        "{test} needs {missing}, and nothing may be skipped"
    );
    // Not `eprintln!`, which the test harness hides for tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs {missing}");
}

fn postgres_url() -> Option<String> {
    std::env::var("TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())
}

impl Engine {
    /// Availability of PostgreSQL; reports a skipped test otherwise.
    pub fn has_postgres(test: &str) -> bool {
        let is_there = postgres_url().is_some();
        if !is_there {
            skip(test, "PostgreSQL (TEST_POSTGRES_URL)");
        }
        is_there
    }
}

/// A database of one test, removed at its end.
pub struct TestDatabase {
    pub url: String,
    _folder: Option<TempDir>,
    name: Option<String>,
}

/// Initial content of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// No table.
    Empty,
    /// The schema and the reference data.
    Reference,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

fn unique_name() -> String {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{number}", std::process::id())
}

/// Runs a statement on the PostgreSQL server, outside the databases of tests.
#[expect(clippy::disallowed_methods, reason = "a connection of the test's own, past the server")]
pub async fn run_admin_statement(statement: &str) {
    let url = postgres_url().expect("checked before");
    let connection = sea_orm::Database::connect(&url).await.expect("PostgreSQL responds");
    connection.execute_unprepared(statement).await.expect(statement);
    connection.close().await.expect("the connection closes");
}

fn url_of(name: &str) -> String {
    let url = postgres_url().expect("checked before");
    let (server, _) = url.rsplit_once('/').expect("an address ends with a database");
    format!("{server}/{name}")
}

/// Gives an empty database the schema and the reference data.
pub async fn fill(url: &str) {
    let settings = settings_of(url, &[]);
    let lock = StartLock::acquire(&settings.database).await.expect("nobody else prepares it");
    migrations::up(&settings.database, &lock).await.expect("the migrations apply");
    let database = Database::connect(&settings).await.expect("the database opens");
    load_reference(&database, &lock).await.expect("the reference data loads");
    database.close().await;
}

/// A database with reference data that others are copied from, created once per process.
async fn template(engine: Engine) -> &'static str {
    static SQLITE: OnceCell<String> = OnceCell::const_new();
    static POSTGRES: OnceCell<String> = OnceCell::const_new();
    match engine {
        Engine::Sqlite => {
            SQLITE
                .get_or_init(|| async {
                    // Statics are not dropped at the end; here it goes with the build.
                    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
                    let path = folder.join(format!("{}.db", unique_name()));
                    let path = path.to_str().expect("a plain path").to_owned();
                    fill(&format!("sqlite://{path}?mode=rwc")).await;
                    path
                })
                .await
        }
        Engine::Postgres => {
            POSTGRES
                .get_or_init(|| async {
                    let name = unique_name();
                    run_admin_statement(&format!("CREATE DATABASE {name}")).await;
                    fill(&url_of(&name)).await;
                    name
                })
                .await
        }
    }
}

impl TestDatabase {
    pub async fn new(engine: Engine, content: Content) -> Self {
        match engine {
            Engine::Sqlite => {
                let folder = TempDir::new().expect("a folder");
                let path: PathBuf = folder.path().join("test.db");
                if content == Content::Reference {
                    std::fs::copy(template(engine).await, &path).expect("the template is copied");
                }
                let url = format!("sqlite://{}?mode=rwc", path.display());
                Self { url, _folder: Some(folder), name: None }
            }
            Engine::Postgres => {
                let name = unique_name();
                let template = match content {
                    Content::Empty => "template0",
                    Content::Reference => template(engine).await,
                };
                run_admin_statement(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
                Self { url: url_of(&name), _folder: None, name: Some(name) }
            }
        }
    }

    /// The database at that address, which its owner removes.
    pub const fn at(url: String) -> Self {
        Self { url, _folder: None, name: None }
    }

    /// Drops the database at once, with all its connections. PostgreSQL only.
    pub async fn remove_now(&self) {
        let name = self.name.as_ref().expect("a database on a server");
        run_admin_statement(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }

    /// A direct connection, without the server.
    #[expect(clippy::disallowed_methods, reason = "the server's own way is what is tested")]
    pub async fn connect(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.url).await.expect("the database opens")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else { return };
        let drop_database = async move {
            run_admin_statement(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        };
        // Dropping is not asynchronous, and the test's own runtime may be ending.
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(drop_database);
        });
        let _ = thread.join();
    }
}

#[derive(Parser)]
#[command(args_override_self = true)]
struct TestSettings {
    #[command(flatten)]
    settings: Settings,
}

/// Settings of test servers, overridden by these flags.
pub fn settings_of(url: &str, flags: &[&str]) -> Settings {
    let own = [
        "test".to_owned(),
        "--app-env=testing".to_owned(),
        format!("--database-url={url}"),
        format!("--jwt-secret={SECRET}"),
        "--listen=127.0.0.1:0".to_owned(),
        "--graphiql=true".to_owned(),
        "--introspection=true".to_owned(),
        "--surrogate-keys=true".to_owned(),
        // Tests repeat requests to see what is executed; those of the response cache turn it on.
        "--response-cache-bytes=0".to_owned(),
        // All clients of a test have one address.
        "--max-connections-per-address=100000".to_owned(),
        // Tests send more requests than anybody may, and wait for all of them; those of the limits set them.
        "--max-concurrent-requests=100000".to_owned(),
        "--max-concurrent-requests-per-client=100000".to_owned(),
        "--max-queued-requests=100000".to_owned(),
        "--max-queued-requests-per-client=100000".to_owned(),
        "--queue-timeout-ms=60000".to_owned(),
        "--client-sql-ms-per-second=0".to_owned(),
        "--rate-limit=0".to_owned(),
        "--login-rate=0".to_owned(),
        "--login-failure-rate=0".to_owned(),
        "--registration-rate=0".to_owned(),
        "--admin-rate=0".to_owned(),
    ];
    let flags = flags.iter().map(|flag| (*flag).to_owned());
    TestSettings::try_parse_from(own.into_iter().chain(flags))
        .expect("the flags are right")
        .settings
}

/// A running server.
pub struct TestApp {
    pub url: String,
    pub app: Arc<App>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    poller: Option<DropGuard>,
    // Last, so that the server is gone before its database.
    pub database: TestDatabase,
}

/// A response with its body.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    /// The body byte for byte.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl TestResponse {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The whole body with `ID` in place of the request id, which must be that of the header.
    pub fn body_without_request_id(&self) -> Value {
        let mut body = self.body.clone();
        for error in body.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
            assert_eq!(error["extensions"]["requestId"], self.header("x-request-id"));
            error["extensions"]["requestId"] = "ID".into();
        }
        self.replace_random_delays(&mut body);
        body
    }

    /// Replaces the random delays of `SERVICE_UNAVAILABLE` by their minimum. The header has the longest.
    fn replace_random_delays(&self, body: &mut Value) {
        let mut longest = None;
        for error in body.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
            let extensions = &mut error["extensions"];
            if extensions["code"] == "SERVICE_UNAVAILABLE" && !extensions["retryAfterMs"].is_null()
            {
                let delay = extensions["retryAfterMs"].as_u64().expect("a number");
                assert!((1_000..=3_000).contains(&delay), "{delay}");
                longest = longest.max(Some(delay.div_ceil(1_000)));
                extensions["retryAfterMs"] = 1_000.into();
            }
        }
        if let Some(seconds) = longest {
            assert_eq!(self.header("retry-after"), seconds.to_string());
        }
    }

    /// Number of SQL statements, from the `Server-Timing` header.
    pub fn statements(&self) -> u64 {
        self.counted('"', " statements")
    }

    /// Number of rows read, from the `Server-Timing` header.
    pub fn rows(&self) -> u64 {
        self.counted(' ', " rows")
    }

    /// Duration of that name in `Server-Timing`, in milliseconds.
    pub fn milliseconds(&self, name: &str) -> f64 {
        let timing = self.header("server-timing");
        let (_, after) = timing.split_once(&format!("{name};dur=")).expect("the header has it");
        after.split([',', ';']).next().and_then(|time| time.parse().ok()).expect("a number")
    }

    /// Number in `Server-Timing` between `start` and `end`.
    fn counted(&self, start: char, end: &str) -> u64 {
        let timing = self.header("server-timing");
        let (before, _) = timing.split_once(end).expect("the header counts");
        before.rsplit(start).next().and_then(|count| count.parse().ok()).expect("a number")
    }
}

impl TestApp {
    /// A server with the reference data.
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, &[]).await
    }

    /// A server with the reference data and these settings.
    pub async fn start_with(engine: Engine, flags: &[&str]) -> Self {
        let database = TestDatabase::new(engine, Content::Reference).await;
        Self::start_on(database, flags).await
    }

    /// A server on that database.
    pub async fn start_on(database: TestDatabase, flags: &[&str]) -> Self {
        Self::start_observed(database, flags, |_| ()).await
    }

    /// A server that calls the observer with the SQL of each statement.
    pub async fn start_observed(
        database: TestDatabase,
        flags: &[&str],
        observer: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let mut settings = settings_of(&database.url, flags);
        let mut opened = Database::connect(&settings).await.expect("the database opens");
        opened.observe(observer);
        let catalogue = Catalogue::load(&opened.session()).await.expect("the catalogue loads");
        let listener = TcpListener::bind(settings.server.listen).await.expect("a free port");
        settings.server.listen = listener.local_addr().expect("an address");
        let url = settings.public_url();
        let documents = Documents::load(&settings).expect("every list has a bound");
        let app = App::new(settings, documents, opened, catalogue);
        let (stop, stopped) = oneshot::channel();
        let (service, connections) = (http::service(&app), Connections::public(&app));
        let shutdown_timeout = app.services.settings.limits.shutdown_timeout;
        tokio::spawn(async move {
            let stopped = async {
                drop(stopped.await);
                tokio::time::Instant::now() + shutdown_timeout
            };
            let respond = move |request| service.clone().respond(request);
            connections.serve(listener, respond, stopped).await;
        });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url, app, client, stop: Some(stop), poller: None, database }
    }

    /// Starts the outbox poller, as a server from the command line does, until the app is dropped.
    pub async fn with_outbox_poller(mut self) -> Self {
        let services = Arc::clone(&self.app.services);
        let dedicated = self
            .app
            .database
            .with_dedicated_pool(&services.settings)
            .await
            .expect("the database opens");
        let stop = CancellationToken::new();
        self.poller = Some(stop.clone().drop_guard());
        tokio::spawn(outbox_poller::run(services, dedicated, stop.cancelled_owned()));
        self
    }

    /// Sends a query as nobody, accepting `application/graphql-response+json`.
    pub async fn query(&self, query: &str) -> TestResponse {
        self.send(None, &json!({ "query": query })).await
    }

    /// Sends a query as nobody, with variables.
    pub async fn query_with_variables(&self, query: &str, variables: Value) -> TestResponse {
        self.send(None, &json!({ "query": query, "variables": variables })).await
    }

    /// An access token for that user.
    pub fn token_of(&self, user: Uuid) -> String {
        let epoch = self.app.services.token_revocations.epoch(user);
        let access = AccessClaims { user, login: None, epoch };
        let services = &self.app.services;
        services.tokens.issue_access_token(access, services.clock.now()).expect("a token").token
    }

    /// Sends a query as that user.
    pub async fn query_as(&self, user: Uuid, query: &str) -> TestResponse {
        let token = self.token_of(user);
        self.send(Some(&token), &json!({ "query": query })).await
    }

    /// Sends a query as that user, or as nobody.
    pub async fn query_as_viewer(&self, viewer: Option<Uuid>, query: &str) -> TestResponse {
        match viewer {
            Some(user) => self.query_as(user, query).await,
            None => self.query(query).await,
        }
    }

    /// Posts that body with that token.
    pub async fn send(&self, token: Option<&str>, body: &Value) -> TestResponse {
        let mut request = self
            .request(reqwest::Method::POST, "/graphql")
            .header("accept", "application/graphql-response+json")
            .header("content-type", "application/json")
            .body(body.to_string());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        send_request(request).await
    }

    /// Any request.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Data of a response without errors.
    pub async fn data(&self, query: &str) -> Value {
        data_of(self.query(query).await)
    }

    /// Data of a response to that user, without errors.
    pub async fn data_as(&self, user: Uuid, query: &str) -> Value {
        data_of(self.query_as(user, query).await)
    }

    /// Loads the demonstration set.
    pub async fn load_demonstration(&self) {
        let services = &self.app.services;
        let settings = &services.settings.database;
        let lock = StartLock::acquire(settings).await.expect("nobody else prepares it");
        let plan = SeedPlan::demonstration();
        let loaded = load_seed(settings, &lock, &services.catalogue(), plan, now(), |_| ()).await;
        assert!(loaded.expect("the demonstration loads").loaded);
    }

    /// Writes people and readings past the API.
    pub async fn insert(&self, rows: SeedRows) {
        insert_missing_seed(&self.app.database, rows).await.expect("the rows are written");
        self.clear_cache().await;
    }

    /// Invalidates all cached values, after the test has changed rows without the server.
    pub async fn clear_cache(&self) {
        let all = Pattern::parse("*").expect("a pattern");
        self.app.services.cache.invalidate(&all).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Data of a response without errors.
pub fn data_of(response: TestResponse) -> Value {
    let TestResponse { status, mut body, .. } = response;
    assert_eq!(body.get("errors"), None, "{body}");
    assert_eq!(status, 200, "{body}");
    body["data"].take()
}

/// Sends a request and reads the response.
pub async fn send_request(request: reqwest::RequestBuilder) -> TestResponse {
    let response = request.send().await.expect("the server responds");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the body arrives");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    TestResponse { status, headers, text, body }
}

/// A token with any claims, signed with any key.
pub fn forge(claims: &Value, secret: &str) -> String {
    // An issuer installs the cryptography of this process.
    let _ = TokenIssuer::new(&settings_of("sqlite://test.db", &[]).auth);
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .expect("a token")
}

/// A fixed time, and so many seconds later.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("a time") + TimeDelta::seconds(seconds)
}

/// A TCP connection on which a test writes raw bytes.
pub struct RawConnection {
    stream: BufReader<TcpStream>,
}

/// A response read from a raw connection.
#[derive(Debug)]
pub struct RawResponse {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl RawResponse {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

impl RawConnection {
    pub async fn open(app: &TestApp) -> Self {
        Self::open_to(&app.url).await
    }

    /// To the server of that address.
    pub async fn open_to(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("an address of ours");
        let stream = TcpStream::connect(address).await.expect("the server accepts");
        Self { stream: BufReader::new(stream) }
    }

    /// From another address of this machine.
    pub async fn open_from(app: &TestApp, from: [u8; 4]) -> Self {
        let address = app.url.strip_prefix("http://").expect("an address of ours");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("every address of 127.0.0.0/8 is this machine");
        let stream = socket.connect(address.parse().expect("an address")).await;
        Self { stream: BufReader::new(stream.expect("the server accepts")) }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Writes to a server that may have closed the connection already; `false` if it has.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).await.is_ok()
    }

    pub async fn read_exact(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await.expect("the server responds");
        bytes
    }

    /// Reads one response with a `Content-Length`.
    pub async fn read_response(&mut self) -> RawResponse {
        let mut response = self.read_head().await;
        let length = response.header("content-length");
        let length = if length.is_empty() { 0 } else { length.parse().expect("a number") };
        response.body = self.read_exact(length).await;
        response
    }

    /// Reads the status and the headers of one response, which for a HEAD are all of it.
    pub async fn read_head(&mut self) -> RawResponse {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = self.stream.read_until(b'\n', &mut head).await.expect("the server responds");
            assert!(read > 0, "closed within {:?}", String::from_utf8_lossy(&head));
        }
        let head = String::from_utf8(head).expect("headers are text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        RawResponse { status: status.parse().expect("a number"), headers, body: Vec::new() }
    }

    /// Closes the client's side of the connection, and goes on reading.
    pub async fn close_write(&mut self) {
        self.stream.get_mut().shutdown().await.expect("the connection is open");
    }

    /// Resets the connection, as a client does that crashes.
    pub fn reset(self) {
        self.stream.get_ref().set_zero_linger().expect("the connection is open");
    }

    /// Reads until the server closes the connection, properly or not.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes).await;
        bytes
    }
}

/// A POST request of the API as bytes, with these headers (each ended by `\r\n`) and that body.
pub fn raw_post(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Runs a script of `tests/{folder}` with Node, with that argument, after its packages were
/// installed; `None`, with a note, without Node.
pub async fn run_script(test: &str, folder: &str, script: &str, argument: &str) -> Option<Output> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let (script, argument) = (script.to_owned(), argument.to_owned());
    // Waited for on another thread, because the server under test lives on this one.
    let run = tokio::task::spawn_blocking(move || {
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).current_dir(&folder).output()
        };
        run("node", &["--version"]).ok()?;
        if !folder.join("node_modules").is_dir() {
            let installed = run("npm", &["ci"]).expect("npm comes with Node");
            assert!(installed.status.success(), "{installed:?}");
        }
        Some(run("node", &[&script, &argument]).expect("Node was there a moment ago"))
    });
    let output = run.await.expect("the script was run");
    if output.is_none() {
        skip(test, "Node");
    }
    output
}

/// Default settings, overridden by these flags.
pub fn settings_with(flags: &[&str]) -> Settings {
    try_settings(flags).expect("the flags are right")
}

/// Default settings, overridden by these flags if they are right.
pub fn try_settings(flags: &[&str]) -> Result<Settings, clap::Error> {
    let flags = std::iter::once("test").chain(flags.iter().copied());
    Ok(TestSettings::try_parse_from(flags)?.settings)
}
