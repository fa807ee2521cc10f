//! Shared state of all groups: the arguments, a folder for the files of this run, and the start of servers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use uuid::Uuid;
use wasteland_tarot::config::auth::AuthSettings;
use wasteland_tarot::db::now;
use wasteland_tarot::services::tokens::{AccessClaims, TokenIssuer};

use crate::processes::Process;
use crate::samples::query;
use crate::{Arguments, Outcome};

const SECRET: &str = "a secret that only the benchmarks know";
/// Lifetime of tokens: longer than any run.
const TOKEN_SECONDS: u64 = 86_400;
/// Default number of client connections, and size of the server's connection pool.
pub const CONNECTIONS: u32 = 16;

/// Setting that turns the server's caches on or off.
pub const CACHE_ENABLED: &str = "CACHE_ENABLED";

/// One run of the suite.
pub struct Bench {
    pub arguments: Arguments,
    tokens: TokenIssuer,
    /// Scripts and plans of this run.
    pub files: PathBuf,
    files_made: AtomicUsize,
}

/// A database that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// PostgreSQL with all readings.
    Full,
    /// PostgreSQL with a tenth of them.
    Tenth,
    /// The embedded database with a tenth of them.
    Embedded,
}

/// The settings that tokens are signed with, as the server reads them.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    auth: AuthSettings,
}

impl Bench {
    pub fn new(arguments: Arguments) -> Outcome<Self> {
        let files = arguments.folder.join("files");
        if files.exists() {
            std::fs::remove_dir_all(&files)?;
        }
        std::fs::create_dir(&files)?;
        let flags = [
            "bench".to_owned(),
            format!("--jwt-secret={SECRET}"),
            format!("--access-token-seconds={TOKEN_SECONDS}"),
        ];
        let tokens = TokenIssuer::new(&Flags::try_parse_from(flags)?.auth);
        Ok(Self { arguments, tokens, files, files_made: AtomicUsize::new(0) })
    }

    pub fn url(&self, database: Database) -> String {
        match database {
            Database::Full | Database::Tenth => self.postgres_url(database.name()),
            Database::Embedded => {
                format!("sqlite://{}?mode=rw", self.arguments.folder.join("tenth.db").display())
            }
        }
    }

    fn postgres_url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.arguments.port)
    }

    /// The server's settings that differ from the defaults, without `DATABASE_URL` and `JWT_SECRET`.
    pub fn server_settings() -> Vec<(&'static str, String)> {
        vec![
            ("APP_ENV", "production".to_owned()),
            ("DATABASE_POOL_SIZE", CONNECTIONS.to_string()),
            ("DATABASE_MAX_OVERFLOW", "0".to_owned()),
            ("ACCESS_TOKEN_SECONDS", TOKEN_SECONDS.to_string()),
            ("LOG", "warn".to_owned()),
            ("LISTEN", "127.0.0.1:0".to_owned()),
            ("RATE_LIMIT", "0".to_owned()),
            ("MAX_CONNECTIONS_PER_ADDRESS", "100000".to_owned()),
            // All load comes from one address, and that of a user from few accounts.
            ("MAX_CONCURRENT_REQUESTS_PER_CLIENT", "100000".to_owned()),
            ("MAX_QUEUED_REQUESTS_PER_CLIENT", "100000".to_owned()),
            ("CLIENT_SQL_MS_PER_SECOND", "0".to_owned()),
            ("LOGIN_RATE", "0".to_owned()),
            ("LOGIN_FAILURE_RATE", "0".to_owned()),
            ("LOGIN_FAILURES", u16::MAX.to_string()),
            // Computation is measured, and not caching, unless a group overrides this.
            (CACHE_ENABLED, false.to_string()),
        ]
    }

    /// A server on that database.
    pub fn start_server(&self, database: Database) -> Outcome<Process> {
        self.start_server_with(&self.url(database), &[])
    }

    /// A server on the database of that URL, with these additional settings.
    pub fn start_server_with(
        &self,
        url: &str,
        additional: &[(&'static str, String)],
    ) -> Outcome<Process> {
        let mut settings = Self::server_settings();
        settings.extend_from_slice(additional);
        self.start(url, settings)
    }

    /// A server on that database with the defaults of production: its limits, caches and connections.
    pub fn start_default_server(&self, database: Database) -> Outcome<Process> {
        let settings = [("APP_ENV", "production"), ("LOG", "warn"), ("LISTEN", "127.0.0.1:0")];
        let settings = settings.map(|(name, value)| (name, value.to_owned()));
        self.start(&self.url(database), settings.into())
    }

    fn start(&self, url: &str, mut settings: Vec<(&'static str, String)>) -> Outcome<Process> {
        settings.push(("DATABASE_URL", url.to_owned()));
        settings.push(("JWT_SECRET", SECRET.to_owned()));
        Process::start(&self.arguments.server, &["serve"], &settings, &self.files)
    }

    pub fn token(&self, user: Uuid) -> Outcome<String> {
        Ok(self
            .tokens
            .issue_access_token(AccessClaims { user, login: None, epoch: 0 }, now())?
            .token)
    }

    /// A name for a new file of this run.
    pub fn new_file(&self, extension: &str) -> PathBuf {
        let number = self.files_made.fetch_add(1, Ordering::Relaxed);
        self.files.join(format!("{number}.{extension}"))
    }

    pub fn cluster_log(&self) -> PathBuf {
        self.cluster().join("log/postgres.json")
    }

    /// The process id of PostgreSQL's first process.
    pub fn postmaster(&self) -> Outcome<u32> {
        let file = std::fs::read_to_string(self.cluster().join("postmaster.pid"))?;
        Ok(file.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// Stops PostgreSQL, does something, and starts it again with the settings that it had.
    pub fn restart_cluster(&self, meanwhile: impl FnOnce() -> Outcome) -> Outcome {
        self.pg_ctl("stop")?;
        // A failure is noted beside the figures.
        let _ = meanwhile();
        self.pg_ctl("start")
    }

    fn pg_ctl(&self, action: &str) -> Outcome {
        let cluster = self.cluster();
        let pg_ctl = self.arguments.pg_bin.join("pg_ctl");
        let options = std::fs::read_to_string(cluster.join("postmaster.opts"))?;
        let mut command = if is_root()? {
            // PostgreSQL refuses to run as root.
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"])
                .arg(pg_ctl);
            command
        } else {
            Command::new(pg_ctl)
        };
        command.arg("-D").arg(&cluster).args(["-m", "fast", "-w", "-l"]);
        command.arg(self.arguments.folder.join("postgres.log")).arg(action);
        if action == "start" {
            // The program's own name comes first there.
            let (_, given) = options.trim().split_once(' ').unwrap_or_default();
            command.args(["-o", given]);
        }
        let done = command.current_dir(&self.arguments.folder).output()?;
        if !done.status.success() {
            return Err(format!("{action}: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
        Ok(())
    }

    pub fn cluster(&self) -> PathBuf {
        Path::new(&self.arguments.folder).join("data")
    }
}

/// A copy of the full database for workloads that write. It is dropped with this value.
pub struct DatabaseCopy<'a> {
    bench: &'a Bench,
    name: &'static str,
}

impl<'a> DatabaseCopy<'a> {
    /// Creates the copy and replaces one that an earlier run left behind.
    pub fn make(bench: &'a Bench, name: &'static str) -> Outcome<Self> {
        let copy = Self { bench, name };
        copy.delete()?;
        let full = Database::Full.name();
        // Copies files, not rows: the write-ahead log of the rows would be as large again.
        copy.change(&format!("CREATE DATABASE {name} TEMPLATE {full} STRATEGY FILE_COPY"))?;
        Ok(copy)
    }

    pub fn url(&self) -> String {
        self.bench.postgres_url(self.name)
    }

    fn delete(&self) -> Outcome {
        self.change(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))
    }

    /// On a connection to another database.
    fn change(&self, sql: &str) -> Outcome {
        query(self.bench, Database::Tenth, sql).map(drop)
    }
}

impl Drop for DatabaseCopy<'_> {
    fn drop(&mut self) {
        let _ = self.delete();
    }
}

impl Database {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "whole",
            Self::Tenth | Self::Embedded => "tenth",
        }
    }
}

fn is_root() -> Outcome<bool> {
    let user = Command::new("id").arg("-u").output()?;
    Ok(user.stdout.starts_with(b"0"))
}
