//! Soak test: a server under a mixed load, while everything that it depends on fails in turn. No acknowledged write
//! is lost or doubled, the server recovers from each fault by itself, and its memory, its open files and its
//! connections do not grow.
//!
//! One round of faults by default; with `SOAK_MINUTES`, rounds until that time has passed. `scripts/soak` runs it
//! alone, with an optimised server.

use std::fmt;
use std::time::{Duration, Instant};

use crate::connection_shortage::Others;
use crate::full_disks::FullDisk;
use crate::support::app::{Content, Engine, TestDatabase};
use crate::support::fixtures::{rows, user};
use crate::support::load::Load;
use crate::support::postgres_cluster::{Mode, PostgresCluster, has_cluster};
use crate::support::program::{Program, insert};
use crate::support::redis_server::{RedisServer, has_redis};
use crate::support::tables::Access;

const WRITERS: usize = 8;
const READERS: usize = 4;
/// Pause of each writer after each write, so that hours of them stay below the daily limit of readings.
const WRITER_PAUSE: Duration = Duration::from_millis(100);
/// Duration of each fault.
const HOLD: Duration = Duration::from_millis(400);
const POOL: i64 = 8;
/// Connections beside the pool: readiness (two while one is renewed), outbox poller, health check, start.
const BESIDE_THE_POOL: i64 = 5;
const MEMORY_MAXIMUM: u64 = 256 << 10;
/// Growth in the second half of the rounds, by which all caches and connections are there.
const MEMORY_GROWTH: u64 = 32 << 10;
const FILES_GROWTH: usize = 32;
/// No budget of SQL time: all clients have one address, and waits for a locked database are SQL time.
const FLAGS: [&str; 4] = [
    "--daily-readings=65535",
    "--database-pool-size=8",
    "--log=warn",
    "--client-sql-ms-per-second=0",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ServerKilled,
    DatabaseRestarted,
    DatabaseKilled,
    DatabaseFrozen,
    DatabaseLocked,
    DatabaseDiskFull,
    ConnectionsEnded,
    ConnectionsTaken,
    ReplicaKilled,
    RedisKilled,
    RedisFrozen,
    RedisIsReplica,
}

const POSTGRES_FAULTS: [Fault; 11] = [
    Fault::ServerKilled,
    Fault::DatabaseRestarted,
    Fault::DatabaseKilled,
    Fault::DatabaseFrozen,
    Fault::DatabaseDiskFull,
    Fault::ConnectionsEnded,
    Fault::ConnectionsTaken,
    Fault::ReplicaKilled,
    Fault::RedisKilled,
    Fault::RedisFrozen,
    Fault::RedisIsReplica,
];
const SQLITE_FAULTS: [Fault; 2] = [Fault::ServerKilled, Fault::DatabaseLocked];

/// What the faults of one kind led to.
struct FaultFigures {
    fault: Fault,
    times: u32,
    requests: u64,
    failed: u64,
    longest_recovery: Duration,
}

/// What the server holds of the machine.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    kilobytes: u64,
    files: usize,
    connections: i64,
}

struct Report {
    faults: Vec<FaultFigures>,
    /// After each round.
    holdings: Vec<Holdings>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| fault | times | requests | failed | longest recovery |")?;
        writeln!(formatter, "|---|---|---|---|---|")?;
        for FaultFigures { fault, times, requests, failed, longest_recovery } in &self.faults {
            let milliseconds = longest_recovery.as_millis();
            let row = format!("| {times} | {requests} | {failed} | {milliseconds} ms |");
            writeln!(formatter, "| {fault:?} {row}")?;
        }
        writeln!(
            formatter,
            "\n| round | memory | open files | database connections |\n|---|---|---|---|"
        )?;
        let last = self.holdings.len();
        for (round, Holdings { kilobytes, files, connections }) in (1..).zip(&self.holdings) {
            // The first ones, and few of many.
            if round <= 3 || round == last || round % (last / 10).max(1) == 0 {
                writeln!(
                    formatter,
                    "| {round} | {} MB | {files} | {connections} |",
                    kilobytes >> 10
                )?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn new(faults: &[Fault]) -> Self {
        let none = |fault: &Fault| FaultFigures {
            fault: *fault,
            times: 0,
            requests: 0,
            failed: 0,
            longest_recovery: Duration::ZERO,
        };
        Self { faults: faults.iter().map(none).collect(), holdings: Vec::new() }
    }

    fn assert_flat(&self) {
        let last = self.holdings.last().expect("there was a round");
        assert!(last.kilobytes < MEMORY_MAXIMUM, "{last:?}");
        assert!(last.connections <= POOL + BESIDE_THE_POOL, "{last:?}");
        let half = self.holdings[self.holdings.len() / 2];
        assert!(last.kilobytes < half.kilobytes + MEMORY_GROWTH, "{half:?} {last:?}");
        assert!(last.files < half.files + FILES_GROWTH, "{half:?} {last:?}");
    }
}

/// What the server depends on.
enum Dependencies {
    Sqlite(TestDatabase),
    Postgres(Box<PostgresAndRedis>),
}

struct PostgresAndRedis {
    primary: PostgresCluster,
    standby: PostgresCluster,
    redis: RedisServer,
}

impl Dependencies {
    async fn begin(&mut self, fault: Fault, server: &Program) -> Ongoing {
        match (fault, self) {
            (Fault::ServerKilled, _) => server.kill(),
            (Fault::DatabaseLocked, Self::Sqlite(database)) => {
                let access = Access::open(database).await;
                access.run("PRAGMA busy_timeout = 60000").await;
                access.run("BEGIN IMMEDIATE").await;
                return Ongoing::Lock(access);
            }
            (_, Self::Sqlite(_)) => panic!("{fault:?} is none of SQLite's"),
            (_, Self::Postgres(parts)) => return parts.begin(fault).await,
        }
        Ongoing::Nothing
    }

    async fn end(&mut self, fault: Fault, ongoing: Ongoing, server: &Program) {
        match ongoing {
            Ongoing::Nothing => {}
            Ongoing::Lock(access) => {
                access.run("ROLLBACK").await;
                access.close().await;
            }
            Ongoing::Disk(disk) => {
                let Self::Postgres(parts) = self else { panic!("begun with one") };
                disk.end(&parts.primary).await;
            }
            Ongoing::Others(others) => others.go().await,
        }
        match (fault, self) {
            (Fault::ServerKilled, _) => server.start_again().await,
            (_, Self::Sqlite(_)) => {}
            (_, Self::Postgres(parts)) => parts.end(fault).await,
        }
    }

    async fn connections(&self) -> i64 {
        let Self::Postgres(parts) = self else { return 0 };
        let access = Access::open(&parts.primary.database()).await;
        let number = "SELECT count(*) AS number FROM pg_stat_activity WHERE datname = 'tarot'
            AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let connections = access.number(number).await;
        access.close().await;
        connections
    }
}

impl PostgresAndRedis {
    async fn begin(&mut self, fault: Fault) -> Ongoing {
        let Self { primary, standby, redis } = self;
        match fault {
            Fault::DatabaseRestarted => primary.stop(Mode::Fast).await,
            Fault::DatabaseKilled => primary.kill_postmaster().await,
            Fault::DatabaseFrozen => primary.freeze(),
            Fault::DatabaseDiskFull => return Ongoing::Disk(FullDisk::begin(primary).await),
            Fault::ConnectionsEnded => {
                primary.connection_killer().kill("TRUE");
            }
            Fault::ConnectionsTaken => {
                let mut others = Others::default();
                others.take_all(primary).await;
                return Ongoing::Others(others);
            }
            Fault::ReplicaKilled => standby.kill_postmaster().await,
            Fault::RedisKilled => redis.kill(),
            Fault::RedisFrozen => redis.freeze(),
            Fault::RedisIsReplica => {
                redis.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
            }
            Fault::ServerKilled | Fault::DatabaseLocked => panic!("{fault:?}"),
        }
        Ongoing::Nothing
    }

    async fn end(&mut self, fault: Fault) {
        let Self { primary, standby, redis } = self;
        match fault {
            Fault::DatabaseRestarted | Fault::DatabaseKilled => primary.start_again().await,
            Fault::DatabaseFrozen => primary.thaw(),
            Fault::ReplicaKilled => standby.start_again().await,
            Fault::RedisKilled => redis.start_again().await,
            Fault::RedisFrozen => redis.thaw(),
            Fault::RedisIsReplica => redis.run::<()>(&["REPLICAOF", "NO", "ONE"]).await,
            _ => {}
        }
    }
}

/// What has to be undone at the end of a fault.
enum Ongoing {
    Nothing,
    Lock(Access),
    Disk(FullDisk),
    Others(Others),
}

/// Rounds of faults until the time has passed, one at least.
async fn rounds(
    dependencies: &mut Dependencies,
    faults: &[Fault],
    server: &Program,
    load: &Load<'_>,
) -> Report {
    let minutes = std::env::var("SOAK_MINUTES").ok().filter(|text| !text.is_empty());
    let minutes = minutes.map_or(0, |text| text.parse().expect("SOAK_MINUTES is a number"));
    let (began, duration) = (Instant::now(), Duration::from_mins(minutes));
    let mut report = Report::new(faults);
    loop {
        for figures in &mut report.faults {
            // Once only, so that one process is observed from then on.
            if figures.fault == Fault::ServerKilled && figures.times > 0 {
                continue;
            }
            let before = load.requests();
            let ongoing = dependencies.begin(figures.fault, server).await;
            tokio::time::sleep(HOLD).await;
            dependencies.end(figures.fault, ongoing, server).await;
            let recovery = load.recovery().await;
            let after = load.requests();
            figures.times += 1;
            figures.failed += after.failures - before.failures;
            figures.requests +=
                after.responses - before.responses + after.failures - before.failures;
            figures.longest_recovery = figures.longest_recovery.max(recovery);
        }
        let connections = dependencies.connections().await;
        let (kilobytes, files) = (server.resident_kilobytes(), server.open_files());
        report.holdings.push(Holdings { kilobytes, files, connections });
        if began.elapsed() >= duration {
            return report;
        }
    }
}

async fn soak(
    mut dependencies: Dependencies,
    database: &TestDatabase,
    faults: &[Fault],
    flags: &[&str],
) {
    let writers: Vec<String> = (0..WRITERS).map(|number| format!("writer{number}")).collect();
    let users = writers.iter().map(|name| user(name)).collect();
    insert(&database.url, rows(users, Vec::new())).await;
    let server = Program::start(&database.url, &[&FLAGS, flags].concat()).await;
    let load = Load::new(&server, writers, READERS).await.with_writer_pause(WRITER_PAUSE);
    let report = load.run(Box::pin(rounds(&mut dependencies, faults, &server, &load))).await;
    println!("{report}\n{} acknowledged writes", load.acknowledged());
    load.assert_nothing_is_lost_or_doubled(database).await;
    report.assert_flat();
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_grows_whatever_fails_with_sqlite() {
    let database = TestDatabase::new(Engine::Sqlite, Content::Reference).await;
    let at_the_same_place = TestDatabase::at(database.url.clone());
    soak(Dependencies::Sqlite(at_the_same_place), &database, &SQLITE_FAULTS, &[]).await;
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_grows_whatever_fails_with_postgresql_and_redis() {
    let test = "nothing_is_lost_and_nothing_grows_whatever_fails_with_postgresql_and_redis";
    if !has_cluster(test) || !has_redis(test) {
        return;
    }
    let settings = ["wal_retrieve_retry_interval=200ms", "max_connections=40"];
    let primary = PostgresCluster::start_with(&settings).await;
    let standby = primary.standby(None).await;
    let redis = RedisServer::start().await;
    let replica = format!("--database-replica-urls={}", standby.database().url);
    let redis_url = format!("--redis-url={}", redis.url());
    let database = primary.database();
    let parts = PostgresAndRedis { primary, standby, redis };
    let dependencies = Dependencies::Postgres(Box::new(parts));
    let flags = ["--replica-check-ms=200", &replica, &redis_url];
    soak(dependencies, &database, &POSTGRES_FAULTS, &flags).await;
}
