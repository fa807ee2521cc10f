//! PostgreSQL clusters of a test's own, which may be stopped, killed and frozen, and have standbys.
//!
//! PostgreSQL's programs are where `TEST_PG_BIN` says. Where it is not set, tests that need it are
//! skipped as those without PostgreSQL are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::app::{TestDatabase, skip};

/// A cluster; it is ended and removed with this.
pub struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

/// How a cluster is stopped.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// Clients are thrown out, and everything is written.
    Fast,
    /// As by a power cut.
    Immediate,
}

/// Where PostgreSQL's programs are; says so if that is not known.
fn programs(test: &str) -> Option<PathBuf> {
    let programs = std::env::var_os("TEST_PG_BIN").filter(|path| !path.is_empty());
    if programs.is_none() {
        skip(test, "PostgreSQL's programs (TEST_PG_BIN)");
    }
    programs.map(PathBuf::from)
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output().expect("id runs");
    user.stdout == b"0\n"
}

fn succeeded(what: &str, output: Output) {
    let Output { status, stdout, stderr } = output;
    let told = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    assert!(status.success(), "{what}: {told}");
}

impl Cluster {
    /// A new one, if there is PostgreSQL.
    pub fn start(test: &str) -> Option<Self> {
        let cluster = Self::empty(programs(test)?);
        let initdb = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"];
        succeeded("initdb", cluster.run("initdb", &[&["-D", &cluster.data()], &initdb[..]].concat()));
        cluster.start_again();
        Some(cluster)
    }

    fn empty(programs: PathBuf) -> Self {
        let folder = TempDir::new().expect("a folder");
        if is_root() {
            // PostgreSQL refuses to run as root.
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).output();
            succeeded("chown", owned.expect("chown runs"));
        }
        Self { programs, folder, port: free_port() }
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_str().expect("a plain path").to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir(self.folder.path()).output().expect("it runs")
    }

    /// Starts it after it was stopped or killed. Those that were killed with it may take a moment to
    /// go.
    pub fn start_again(&self) {
        let log = self.folder.path().join("log");
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=60 \
             -c shared_buffers=16MB -c wal_level=replica -c max_wal_senders=4 -c fsync=off \
             -c wal_receiver_timeout=5s -c wal_retrieve_retry_interval=200ms",
            self.port
        );
        let data = self.data();
        let log = log.to_str().expect("a plain path");
        let start = ["-D", &data, "-w", "-t", "60", "-l", log, "-o", &options, "start"];
        for _ in 0..50 {
            if self.run("pg_ctl", &start).status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("PostgreSQL does not start: {}", std::fs::read_to_string(log).unwrap_or_default());
    }

    pub fn stop(&self, how: Stop) {
        let how = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        succeeded("stop", self.run("pg_ctl", &["-D", &self.data(), "-m", how, "-w", "stop"]));
    }

    /// The first process, and those that it has started.
    fn processes(&self) -> Vec<String> {
        let file = Path::new(&self.data()).join("postmaster.pid");
        let file = std::fs::read_to_string(file).expect("the cluster runs");
        let first = file.lines().next().expect("a number").to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &first]).output();
        let children = String::from_utf8(children.expect("ps runs").stdout).expect("numbers");
        let children = children.split_whitespace().map(str::to_owned);
        std::iter::once(first).chain(children).collect()
    }

    fn signal(&self, signal: &str) {
        // One of them may have gone meanwhile.
        let _ = Command::new("kill").arg(signal).args(self.processes()).output();
    }

    /// Kills all of it at once.
    pub fn kill(&self) {
        self.signal("-KILL");
    }

    /// Nothing of it does anything any more, until it thaws.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Its database with the schema and the reference data.
    pub async fn database(&self) -> TestDatabase {
        TestDatabase::filled_at(self.url()).await
    }

    /// Its database as it is.
    pub fn database_as_it_is(&self) -> TestDatabase {
        TestDatabase::at(self.url())
    }

    /// A cluster that follows this one, and applies what it is told so much later.
    pub fn standby(&self, delay: &str) -> Self {
        let standby = Self::empty(self.programs.clone());
        let (data, port) = (standby.data(), self.port.to_string());
        let backup = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-D", &data, "-R"];
        let backup = [&backup[..], &["-X", "stream", "-c", "fast", "-N"]].concat();
        succeeded("pg_basebackup", standby.run("pg_basebackup", &backup));
        let file = Path::new(&data).join("postgresql.auto.conf");
        let mut text = std::fs::read_to_string(&file).expect("it is there");
        text += &format!("recovery_min_apply_delay = '{delay}'\n");
        std::fs::write(&file, text).expect("it can be written");
        standby.start_again();
        standby
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.signal("-CONT");
            let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
        }
    }
}
