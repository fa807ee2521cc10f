//! [`RedisServer`]: a Redis of one test, to be stopped, killed, frozen and filled with anything; and a
//! [`CuttableProxy`] to it.
//!
//! `TEST_REDIS_SERVER` is the program, as `scripts/test` sets it. Where it is not set, tests that need it
//! are skipped with a note. `TEST_REDIS_SERVERS` names programs of several versions, for tests of what differs
//! between them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::app::skip;
use crate::support::postgres_cluster::{free_port, signal};

/// One that has not started by then never will.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

/// A running Redis, whose process and files go with it.
pub struct RedisServer {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    /// `None` while it is stopped.
    process: Option<Child>,
}

fn program() -> Option<PathBuf> {
    std::env::var_os("TEST_REDIS_SERVER").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Programs of several versions, separated by colons in `TEST_REDIS_SERVERS`; by default the one program.
pub fn programs() -> Vec<PathBuf> {
    let several = std::env::var_os("TEST_REDIS_SERVERS").filter(|paths| !paths.is_empty());
    several.map_or_else(
        || program().into_iter().collect(),
        |paths| std::env::split_paths(&paths).collect(),
    )
}

/// Availability of Redis; reports a skipped test otherwise.
pub fn has_redis(test: &str) -> bool {
    let is_there = program().is_some();
    if !is_there {
        skip(test, "Redis (TEST_REDIS_SERVER)");
    }
    is_there
}

impl RedisServer {
    pub async fn start() -> Self {
        Self::start_program(program().expect("checked before")).await
    }

    /// A server of that version.
    pub async fn start_program(program: PathBuf) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut redis = Self { program, folder, port: 0, process: None };
        loop {
            redis.port = free_port();
            if redis.try_start().await {
                return redis;
            }
        }
    }

    /// Starts it after it was stopped or killed, at the same address, with its saved data.
    pub async fn start_again(&mut self) {
        assert!(self.try_start().await, "Redis does not start again");
    }

    async fn try_start(&mut self) -> bool {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("Redis starts");
        let serves = async {
            loop {
                if self.connect().await.is_some() {
                    return true;
                }
                if process.try_wait().expect("a state").is_some() {
                    return false;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let serves = tokio::time::timeout(PATIENCE, serves).await.expect("Redis serves or ends");
        self.process = serves.then_some(process);
        serves
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    async fn connect(&self) -> Option<MultiplexedConnection> {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd("PING").query_async::<()>(&mut connection).await.ok()?;
        Some(connection)
    }

    /// Runs a command on a connection of its own.
    pub async fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self.connect().await.expect("Redis responds");
        let (name, arguments) = command.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.expect("it is done")
    }

    /// The names of all keys.
    pub async fn keys(&self) -> Vec<String> {
        self.run(&["KEYS", "*"]).await
    }

    fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().expect("it is killed");
        process.wait().expect("it is gone");
    }

    /// Stops its process. Its connections stay open, and the system accepts new ones for it.
    pub fn freeze(&self) {
        signal("STOP", &[self.id()]);
    }

    /// Continues its process.
    pub fn thaw(&self) {
        signal("CONT", &[self.id()]);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// A TCP proxy to a Redis, whose connections can be cut.
pub struct CuttableProxy {
    url: String,
    is_cut: watch::Sender<bool>,
}

impl CuttableProxy {
    pub async fn to(redis: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let (is_cut, state) = watch::channel(false);
        let port = redis.port;
        tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else { return };
                let mut state = state.clone();
                tokio::spawn(async move {
                    if *state.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|is_cut| *is_cut) => {}
                    }
                });
            }
        });
        Self { url, is_cut }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Cuts all connections, or accepts new ones again.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }
}
