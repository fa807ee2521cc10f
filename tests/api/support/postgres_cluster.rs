//! [`PostgresCluster`]: a PostgreSQL of one test, to be stopped, killed and frozen.
//!
//! `TEST_PG_BIN` is the folder of PostgreSQL's programs, as `scripts/test` sets it. Where it is not
//! set, tests that need a cluster are skipped with a note.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt;
use sea_orm::sqlx::{self, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::support::app::{TestDatabase, fill, skip};

/// The database of each cluster, with the schema and the reference data.
const DATABASE: &str = "tarot";
/// In every address, so that a test finds it where it does not belong. The cluster does not check it.
pub const PASSWORD: &str = "swordfish";
/// Below those that outgoing connections get, so that nobody else takes the port of a cluster that
/// is stopped.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// A cluster that has not started by then never will: it is not a test of speed.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(20);

/// A running PostgreSQL, whose processes and files go with it. All of it outlives the death of a
/// process, but not that of the machine: it does not wait for the disk.
pub struct PostgresCluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    /// `None` while it is stopped.
    postmaster: Option<Child>,
}

/// Shutdown mode of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Closes all connections and shuts down properly.
    Fast,
    /// Aborts; recovers when it starts again.
    Immediate,
}

impl Mode {
    const fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// Availability of the programs of PostgreSQL; reports a skipped test otherwise.
pub fn has_cluster(test: &str) -> bool {
    let is_there = programs().is_some();
    if !is_there {
        skip(test, "PostgreSQL's programs (TEST_PG_BIN)");
    }
    is_there
}

fn programs() -> Option<PathBuf> {
    std::env::var_os("TEST_PG_BIN").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// A program that runs as PostgreSQL's owner, because PostgreSQL refuses to run as root, and ends
/// with the thread that started it.
fn as_owner(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.arg(program).current_dir(folder).env("HOME", folder).stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("this process is there").uid() == 0
}

/// A folder that PostgreSQL may write to.
fn owned_folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(PORTS);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a signal to processes, some of which may be gone.
pub fn signal(name: &str, processes: &[u32]) {
    let processes = processes.iter().map(ToString::to_string);
    let sent = Command::new("kill").arg("-s").arg(name).args(processes).output();
    sent.expect("there is a `kill`");
}

/// Processes that run or could; not zombies.
fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before the state is in brackets and may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn children_of(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

/// The files of a cluster that others are copied from, for as long as one of the tests that run uses
/// them: to make a cluster and to fill it takes much longer than to copy it.
async fn template(programs: &Path) -> Arc<TempDir> {
    static TEMPLATE: Mutex<Weak<TempDir>> = Mutex::const_new(Weak::new());
    let mut place = TEMPLATE.lock().await;
    if let Some(template) = place.upgrade() {
        return template;
    }
    let folder = owned_folder();
    run(as_owner(&programs.join("initdb"), folder.path())
        .args(["--no-sync", "-D", "data", "-U", "postgres", "-A", "trust"])
        .args(["-E", "UTF8", "--locale=C.UTF-8"]));
    let mut cluster = PostgresCluster::start_in(programs.to_owned(), folder, Vec::new()).await;
    let mut connection = cluster.connect("postgres").await;
    let create = format!("CREATE DATABASE {DATABASE}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("it is made");
    connection.close().await.expect("the connection closes");
    fill(&cluster.url(DATABASE)).await;
    cluster.stop(Mode::Fast).await;
    // Only its folder is left.
    let folder = std::mem::replace(&mut cluster.folder, TempDir::new().expect("a folder"));
    let template = Arc::new(folder);
    *place = Arc::downgrade(&template);
    template
}

impl PostgresCluster {
    /// A cluster whose database has the schema and the reference data.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these settings, each `name=value`.
    pub async fn start_with(settings: &[&str]) -> Self {
        let programs = programs().expect("checked before");
        let template = template(&programs).await;
        let folder = owned_folder();
        run(Command::new("cp").arg("-a").arg(template.path().join("data")).arg(folder.path()));
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let cluster = Self::start_in(programs, folder, settings).await;
        // Not before: the next cluster to start may copy the same files.
        drop(template);
        cluster
    }

    async fn start_in(programs: PathBuf, folder: TempDir, settings: Vec<String>) -> Self {
        let mut cluster = Self { programs, folder, port: 0, settings, postmaster: None };
        cluster.start_again().await;
        cluster
    }

    /// Starts it after it was stopped or killed, at the same address.
    pub async fn start_again(&mut self) {
        assert!(self.postmaster.is_none(), "it runs");
        loop {
            let is_new = self.port == 0;
            if is_new {
                self.port = free_port();
            }
            if self.try_start().await {
                return;
            }
            assert!(is_new, "{}", self.log());
            // Somebody else may have taken the port in the meantime.
            self.port = 0;
        }
    }

    /// Starts it and waits until it serves; `false` if it ended.
    async fn try_start(&mut self) -> bool {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log");
        let mut command = as_owner(&self.programs.join("postgres"), self.folder.path());
        command.args(["-D", "data", "-p", &self.port.to_string()]);
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=50",
            "shared_buffers=16MB",
            "wal_level=replica",
            "max_wal_senders=5",
            "hot_standby=on",
        ];
        let settings = settings.into_iter().chain(self.settings.iter().map(String::as_str));
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.postmaster = Some(command.spawn().expect("PostgreSQL starts"));
        let serves = async {
            loop {
                if let Ok(connection) = PgConnection::connect(&self.url("postgres")).await {
                    connection.close().await.expect("the connection closes");
                    return true;
                }
                let postmaster = self.postmaster.as_mut().expect("started above");
                if postmaster.try_wait().expect("a state").is_some() {
                    self.postmaster = None;
                    return false;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, serves).await.expect("PostgreSQL serves")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder of its files.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its database with the schema and the reference data.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::at(self.url(DATABASE))
    }

    /// A connection to one of its databases, past the server.
    pub async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database)).await.expect("PostgreSQL responds")
    }

    fn postmaster(&self) -> u32 {
        self.postmaster.as_ref().expect("it runs").id()
    }

    /// Stops it, and waits until it is gone.
    pub async fn stop(&mut self, mode: Mode) {
        signal(mode.signal(), &[self.postmaster()]);
        self.wait_for_end().await;
    }

    async fn wait_for_end(&mut self) {
        let mut postmaster = self.postmaster.take().expect("it runs");
        while postmaster.try_wait().expect("a state").is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills the postmaster and all its children in the middle of whatever they do.
    pub async fn kill_postmaster(&mut self) {
        let children = self.kill();
        self.wait_for_end().await;
        // While one of them holds the shared memory, no other starts.
        while children.iter().any(|child| is_alive(*child)) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills all processes; returns the ids of the children.
    fn kill(&self) -> Vec<u32> {
        let postmaster = self.postmaster();
        // Stopped, it makes no more of them meanwhile.
        signal("STOP", &[postmaster]);
        let children = children_of(postmaster);
        signal("KILL", &[&[postmaster], &*children].concat());
        children
    }

    /// Stops all its processes. Their connections stay open, and the system accepts new ones for them.
    pub fn freeze(&self) {
        let postmaster = self.postmaster();
        signal("STOP", &[postmaster]);
        signal("STOP", &children_of(postmaster));
    }

    /// Continues all its processes.
    pub fn thaw(&self) {
        let postmaster = self.postmaster();
        signal("CONT", &children_of(postmaster));
        signal("CONT", &[postmaster]);
    }

    /// Terminates connections of its clients.
    pub fn connection_killer(&self) -> ConnectionKiller {
        ConnectionKiller { psql: self.programs.join("psql"), url: self.url("postgres") }
    }

    /// A readable standby of this cluster, which applies writes after that delay (such as `5s`).
    pub async fn standby(&self, apply_delay: Option<&str>) -> Self {
        let folder = owned_folder();
        let mut command = as_owner(&self.programs.join("pg_basebackup"), folder.path());
        command.args(["-D", "data", "-R", "-X", "stream", "-c", "fast", "--no-sync"]);
        command.args(["-d", &self.url("postgres")]);
        // Waited for on another thread, because this one serves the requests of the test meanwhile.
        let copied = tokio::task::spawn_blocking(move || run(&mut command)).await;
        copied.expect("the cluster is copied");
        let mut settings = self.settings.clone();
        settings.extend(apply_delay.map(|delay| format!("recovery_min_apply_delay={delay}")));
        Self::start_in(self.programs.clone(), folder, settings).await
    }
}

/// Terminates connections of clients to the database of a cluster.
pub struct ConnectionKiller {
    psql: PathBuf,
    url: String,
}

impl ConnectionKiller {
    /// Terminates those that match a condition on `pg_stat_activity`, and waits until they are gone.
    /// Returns their number.
    pub fn kill(&self, condition: &str) -> u32 {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND datname = '{DATABASE}' AND {condition}"
        );
        let mut command = Command::new(&self.psql);
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", &sql, &self.url]);
        let output = run(&mut command);
        let number = String::from_utf8_lossy(&output.stdout);
        number.trim().parse().expect("a number")
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        if self.postmaster.is_some() {
            self.kill();
        }
        if let Some(mut postmaster) = self.postmaster.take() {
            let _ = postmaster.wait();
        }
    }
}

#[tokio::test]
async fn a_standby_applies_writes_after_its_delay() {
    const NUMBER: &str = "SELECT count(*) FROM pg_tables WHERE tablename = 'news'";
    if !has_cluster("a_standby_applies_writes_after_its_delay") {
        return;
    }
    let primary = PostgresCluster::start().await;
    let (prompt, late) = (primary.standby(None).await, primary.standby(Some("1h")).await);
    let mut writing = primary.connect(DATABASE).await;
    sqlx::raw_sql("CREATE TABLE news (id integer)").execute(&mut writing).await.expect("written");
    let position: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&mut writing)
        .await
        .expect("a position");
    for (standby, expected) in [(&prompt, 1_i64), (&late, 0)] {
        let mut reading = standby.connect(DATABASE).await;
        let reached = if expected == 1 { "replay" } else { "receive" };
        let sql =
            format!("SELECT coalesce(pg_last_wal_{reached}_lsn() >= '{position}'::pg_lsn, false)");
        loop {
            let sql = sqlx::AssertSqlSafe(sql.clone());
            let has_reached: bool =
                sqlx::query_scalar(sql).fetch_one(&mut reading).await.expect("a response");
            if has_reached {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let number: i64 =
            sqlx::query_scalar(NUMBER).fetch_one(&mut reading).await.expect("a number");
        assert_eq!(number, expected);
    }
}
