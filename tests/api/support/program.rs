//! [`Program`]: the real program as a process of a test's own, to be killed and started again at the same
//! address, with its log and what it holds of the machine.
//!
//! `TEST_SERVER_PROGRAM` names another build of it, as `scripts/soak` does.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use wasteland_tarot::db::seed::{SeedRows, insert_missing_seed};
use wasteland_tarot::db::{Database, now};
use wasteland_tarot::services::tokens::{AccessClaims, TokenIssuer};

use crate::support::app::{SECRET, TestResponse, settings_of};
use crate::support::postgres_cluster::{free_port, signal};

/// A server that has not started by then never will.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(10);

/// A running server, whose process and files go with it.
pub struct Program {
    folder: TempDir,
    database_url: String,
    flags: Vec<String>,
    port: u16,
    /// `None` after it was killed.
    process: RefCell<Option<Child>>,
    tokens: TokenIssuer,
    client: reqwest::Client,
}

fn program() -> OsString {
    let named = std::env::var_os("TEST_SERVER_PROGRAM").filter(|path| !path.is_empty());
    named.unwrap_or_else(|| env!("CARGO_BIN_EXE_wasteland-tarot").into())
}

/// Writes people and readings past any server.
pub async fn insert(database_url: &str, rows: SeedRows) {
    let database = Database::connect(&settings_of(database_url, &[])).await;
    let database = database.expect("the database opens");
    insert_missing_seed(&database, rows).await.expect("the rows are written");
    database.close().await;
}

impl Program {
    /// A server on that database with these flags.
    pub async fn start(database_url: &str, flags: &[&str]) -> Self {
        let program = Self {
            folder: TempDir::new().expect("a folder"),
            database_url: database_url.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            port: free_port(),
            process: RefCell::default(),
            tokens: TokenIssuer::new(&settings_of(database_url, &[]).auth),
            client: reqwest::Client::builder().no_proxy().build().expect("a client"),
        };
        program.start_again().await;
        program
    }

    /// Starts it after it was killed, at the same address.
    pub async fn start_again(&self) {
        assert!(self.process.borrow().is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.log_path());
        let address = format!("127.0.0.1:{}", self.port);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program()).arg("serve").args(&self.flags);
        command.current_dir(self.folder.path()).env_clear();
        command.envs([
            ("PATH", "/usr/bin:/bin"),
            ("APP_ENV", "testing"),
            ("DATABASE_URL", &self.database_url),
            ("JWT_SECRET", SECRET),
            ("LISTEN", &address),
            ("RATE_LIMIT", "0"),
            ("MAX_CONNECTIONS_PER_ADDRESS", "100000"),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        *self.process.borrow_mut() = Some(command.spawn().expect("the program starts"));
        let serves = async {
            while tokio::net::TcpStream::connect(&address).await.is_err() {
                let state = self.process.borrow_mut().as_mut().expect("started above").try_wait();
                assert_eq!(state.expect("a state"), None, "{}", self.log());
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, serves).await.expect("the server serves");
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// All lines that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Number of lines of the log that have that text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    fn id(&self) -> u32 {
        self.process.borrow().as_ref().expect("it runs").id()
    }

    /// Kills it in the middle of whatever it does.
    pub fn kill(&self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it is killed");
        process.wait().expect("it is gone");
    }

    /// Stops it; its exit code.
    pub async fn stop(&self) -> Option<i32> {
        signal("TERM", &[self.id()]);
        let mut process = self.process.take().expect("it runs");
        loop {
            if let Some(status) = process.try_wait().expect("a state") {
                return status.code();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends a request; an error if the connection ends before the response.
    pub async fn try_request(
        &self,
        method: Method,
        path: &str,
        user: Option<Uuid>,
        body: Option<&Value>,
    ) -> Result<TestResponse, reqwest::Error> {
        let mut request = self
            .client
            .request(method, format!("http://127.0.0.1:{}{path}", self.port))
            .header("accept", "application/graphql-response+json")
            .header("content-type", "application/json");
        if let Some(user) = user {
            let access = AccessClaims { user, login: None, epoch: 0 };
            let token = self.tokens.issue_access_token(access, now()).expect("a token").token;
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(TestResponse { status, headers, text, body })
    }

    /// Sends a query of that user; an error if the connection ends before the response.
    pub async fn try_query_as(
        &self,
        user: Uuid,
        query: &str,
    ) -> Result<TestResponse, reqwest::Error> {
        let body = json!({ "query": query });
        self.try_request(Method::POST, "/graphql", Some(user), Some(&body)).await
    }

    /// Sends a query of that user.
    pub async fn query_as(&self, user: Uuid, query: &str) -> TestResponse {
        self.try_query_as(user, query).await.expect("the server responds")
    }

    /// The id of the spread of that name.
    pub async fn spread_id(&self, name: &str) -> String {
        let body = json!({ "query": format!("{{ spreadByName(name: {name:?}) {{ id }} }}") });
        let response = self.send(None, &body).await;
        let spread = &response.body["data"]["spreadByName"];
        spread["id"].as_str().expect("a spread of that name").to_owned()
    }

    /// Sends a body as that user, or as nobody.
    pub async fn send(&self, user: Option<Uuid>, body: &Value) -> TestResponse {
        let response = self.try_request(Method::POST, "/graphql", user, Some(body)).await;
        response.expect("the server responds")
    }

    /// The readiness probe: its status and its body.
    pub async fn ready(&self) -> (u16, Value) {
        self.try_ready().await.expect("the server responds")
    }

    /// The readiness probe; `None` if the server does not respond.
    pub async fn try_ready(&self) -> Option<(u16, Value)> {
        let response = self.try_request(Method::GET, "/health/ready", None, None).await;
        response.ok().map(|TestResponse { status, body, .. }| (status, body))
    }

    /// Memory that the process holds, in kilobytes.
    pub fn resident_kilobytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).expect("a line of it");
        number.parse().expect("a number")
    }

    /// Number of files, sockets and pipes that the process has open.
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(path).expect("it runs").count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.process.borrow().is_some() {
            self.kill();
        }
    }
}
