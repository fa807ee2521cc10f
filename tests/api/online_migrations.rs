//! Migrations of a database that is in use: a migration waits for a table in short attempts, so that the
//! requests behind it go on, `migrate status` waits for nobody, and programs of the version before start on a
//! database that a newer one has migrated.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use migration::{ConcurrentIndex, LOCK_TIMEOUT, Migrator, MigratorTrait, SchemaManager};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use serde_json::json;

use wasteland_tarot::db::StartLock;

use crate::cli::{Server, command, execute, folder, refusal};
use crate::support::app::{Content, Engine, TestDatabase, on_both_databases, settings_of};

/// A migration that changes the table of users, and the newest one.
const CHANGES_USERS: &str = "m20261101_000032_add_skeletons_of_usernames_since_000029";
const NEWEST: &str = "m20261101_000035_index_inactive_users_since_000029";

const REFUSED: &str = "another session holds a lock that a migration needs";

/// A database of PostgreSQL that lacks a migration of the users, and those after it.
async fn outdated_database() -> TestDatabase {
    let database = TestDatabase::new(Engine::Postgres, Content::Reference).await;
    let connection = database.connect().await;
    Migrator::down(&connection, Some(4)).await.expect("four down");
    let pending = Migrator::get_pending_migrations(&connection).await.expect("status");
    assert_eq!(pending[0].name(), CHANGES_USERS);
    database
}

/// `migrate` on that database, with its log.
fn migrate(database: &TestDatabase, environment: &[(&str, &str)]) -> Child {
    let environment = [&[("DATABASE_URL", database.url.as_str())], environment].concat();
    let mut command = command(folder().path(), &environment, &["migrate"]);
    command.current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Reads the log up to a line that contains the text.
fn read_until(log: &mut impl Iterator<Item = std::io::Result<String>>, text: &str) -> String {
    let mut lines = log.map(|line| line.expect("text"));
    lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("the log has no {text:?}"))
}

/// Statements of requests, which wait for a lock as long as those of the server.
struct WritingLoad {
    is_stopped: Arc<AtomicBool>,
    finished: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl WritingLoad {
    async fn start(database: &TestDatabase) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let finished = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let connection = database.connect().await;
            let (is_stopped, finished) = (Arc::clone(&is_stopped), Arc::clone(&finished));
            tasks.push(tokio::spawn(async move {
                while !is_stopped.load(Ordering::Relaxed) {
                    write(&connection).await;
                    finished.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { is_stopped, finished, tasks }
    }

    fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Stops the load. Panics if a statement failed.
    async fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no statement fails");
        }
    }
}

/// A transaction of a request, with the default of `DATABASE_LOCK_TIMEOUT_MS`.
async fn write(connection: &DatabaseConnection) {
    let transaction = connection.begin().await.expect("a transaction");
    for sql in ["SET LOCAL lock_timeout = 1000", "UPDATE users SET is_active = is_active"] {
        transaction.execute_unprepared(sql).await.expect(sql);
    }
    transaction.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_while_a_migration_waits_for_a_table() {
    if !Engine::has_postgres("requests_go_on_while_a_migration_waits_for_a_table") {
        return;
    }
    let database = outdated_database().await;
    let reader = database.connect().await;
    // A long query, say a dump: it lets requests write, and no migration change the table.
    let long_transaction = reader.begin().await.expect("a transaction");
    long_transaction.execute_unprepared("SELECT count(*) FROM users").await.expect("read");

    let load = WritingLoad::start(&database).await;
    let mut migrating = migrate(&database, &[]);
    let mut log = BufReader::new(migrating.stderr.take().expect("piped")).lines();
    let mut counts = Vec::new();
    for attempt in 1..=3 {
        let line = read_until(&mut log, REFUSED);
        assert!(line.contains(&format!("attempt={attempt} attempts=60")), "{line}");
        assert!(line.contains(&format!("migration=\"{CHANGES_USERS}\"")), "{line}");
        counts.push(load.finished());
    }
    // Requests ran between the attempts.
    assert!(counts.is_sorted_by(|before, after| before < after), "{counts:?}");

    long_transaction.commit().await.expect("a commit");
    let status = migrating.wait().expect("it ends");
    assert!(status.success());
    load.stop().await;
    let pending = Migrator::get_pending_migrations(&reader).await.expect("status");
    assert!(pending.is_empty());
}

#[tokio::test]
async fn a_migration_that_gets_no_lock_ends_after_its_attempts_and_can_be_tried_again() {
    let test = "a_migration_that_gets_no_lock_ends_after_its_attempts_and_can_be_tried_again";
    if !Engine::has_postgres(test) {
        return;
    }
    let database = outdated_database().await;
    let reader = database.connect().await;
    let long_transaction = reader.begin().await.expect("a transaction");
    long_transaction.execute_unprepared("SELECT count(*) FROM users").await.expect("read");
    for (timeout, shown) in [(None, 500), (Some("150"), 150)] {
        let mut environment = vec![
            ("DATABASE_URL", database.url.as_str()),
            ("MIGRATION_LOCK_ATTEMPTS", "2"),
            ("LOG", "error"),
        ];
        environment.extend(timeout.map(|timeout| ("MIGRATION_LOCK_TIMEOUT_MS", timeout)));
        let line = refusal(&execute(folder().path(), &environment, &["migrate"]));
        let expected = format!(
            "statement migrations_up failed: Custom Error: {CHANGES_USERS} got no lock in 2 attempts of \
             {shown} ms each; another session holds it (pg_stat_activity lists the sessions and \
             their transactions)"
        );
        assert!(line.ends_with(&expected), "{line}");
    }
    long_transaction.commit().await.expect("a commit");
    let environment = [("DATABASE_URL", database.url.as_str()), ("MIGRATION_LOCK_ATTEMPTS", "1")];
    assert!(execute(folder().path(), &environment, &["migrate"]).status.success());
}

on_both_databases! {
    async fn status_is_shown_while_another_process_prepares_the_database(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let settings = settings_of(&database.url, &[]);
        let environment = [("DATABASE_URL", database.url.as_str())];
        let status = || execute(folder().path(), &environment, &["migrate", "status"]);
        let alone = status();
        assert!(alone.status.success() && alone.stderr.is_empty(), "{alone:?}");

        let lock = StartLock::acquire(&settings.database).await.expect("nobody else has it");
        let beside = status();
        lock.release().await;
        assert!(beside.status.success(), "{beside:?}");
        assert_eq!(beside.stdout, alone.stdout);
        let log = String::from_utf8(beside.stderr).expect("text");
        let warning = "another process prepares the database; the status may change";
        assert!(log.lines().count() == 1 && log.contains(warning), "{log}");
    }

    async fn migrate_says_that_it_waits_for_another_process(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let settings = settings_of(&database.url, &[]);
        let lock = StartLock::acquire(&settings.database).await.expect("nobody else has it");
        let mut migrating = migrate(&database, &[]);
        let mut log = BufReader::new(migrating.stderr.take().expect("piped")).lines();
        read_until(&mut log, "another process prepares the database; waiting for it");
        lock.release().await;
        assert!(migrating.wait().expect("it ends").success());
    }
}

#[tokio::test]
async fn status_ends_with_an_error_if_the_table_of_migrations_is_locked() {
    if !Engine::has_postgres("status_ends_with_an_error_if_the_table_of_migrations_is_locked") {
        return;
    }
    let database = TestDatabase::new(Engine::Postgres, Content::Reference).await;
    let connection = database.connect().await;
    let transaction = connection.begin().await.expect("a transaction");
    transaction.execute_unprepared("LOCK TABLE seaql_migrations").await.expect("locked");
    let environment = [("DATABASE_URL", database.url.as_str())];
    let line = refusal(&execute(folder().path(), &environment, &["migrate", "status"]));
    assert!(line.ends_with("statement migrations_status took longer than it may"), "{line}");
}

// Newer databases

/// Records a migration of a newer program.
async fn apply_newer(database: &TestDatabase, name: &str) {
    let connection = database.connect().await;
    let sql = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    connection.execute_unprepared(&sql).await.expect("recorded");
}

on_both_databases! {
    async fn a_newer_database_is_served_if_its_migrations_are_compatible(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let compatible = "m20991231_000901_add_decks_since_000029";
        apply_newer(&database, compatible).await;
        let environment = [("DATABASE_URL", database.url.as_str())];
        let folder = folder();
        for arguments in [&["serve"][..], &["serve", "--migrate"]] {
            let server = Server::start(folder.path(), &environment, arguments);
            let query = r#"{"query":"{ publicStats { cards } }"}"#;
            let response = server.query("", query).await;
            assert_eq!(response, json!({ "data": { "publicStats": { "cards": 78 } } }));
            assert_eq!(server.stop().0, Some(0));
        }
        for arguments in [&["migrate", "status"][..], &["migrate"]] {
            let output = execute(folder.path(), &environment, arguments);
            let listed = String::from_utf8(output.stdout).expect("text");
            let last =
                format!("applied {compatible} (of a newer version, compatible with this one)");
            assert_eq!(listed.lines().last(), Some(last.as_str()));
            assert!(output.status.success());
        }
    }

    async fn a_newer_database_with_an_incompatible_migration_is_refused(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let compatible = "m20991231_000901_add_decks_since_000029";
        let incompatible = ["m20991231_000902_drop_cards", "m20991231_000903_drop_users_since_000902"];
        for name in [compatible, incompatible[0], incompatible[1]] {
            apply_newer(&database, name).await;
        }
        let environment = [("DATABASE_URL", database.url.as_str())];
        let folder = folder();
        for arguments in [&["serve"][..], &["serve", "--migrate"]] {
            let line = refusal(&execute(folder.path(), &environment, arguments));
            assert_eq!(
                line,
                format!(
                    "the database has migrations of a newer version of this program, which this one \
                     does not work with: {}. Start the newer version",
                    incompatible.join(", ")
                )
            );
        }
        let output = execute(folder.path(), &environment, &["migrate", "status"]);
        let listed = String::from_utf8(output.stdout).expect("text");
        let last = format!("applied {} (of a newer version, not compatible with this one)", incompatible[1]);
        assert_eq!(listed.lines().last(), Some(last.as_str()));
        assert!(output.status.success());
    }

    async fn migrations_of_a_newer_database_are_neither_completed_nor_reverted(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        Migrator::down(&connection, Some(1)).await.expect("one down");
        let newer = "m20991231_000901_add_decks_since_000028";
        apply_newer(&database, newer).await;
        let environment = [("DATABASE_URL", database.url.as_str()), ("LOG", "error")];
        for arguments in [&["migrate"][..], &["migrate", "down"], &["serve", "--migrate"]] {
            let line = refusal(&execute(folder().path(), &environment, arguments));
            let expected =
                format!("a newer version of this program has applied {newer}; use that version");
            assert!(line.ends_with(&expected), "{line}");
        }
        let output = execute(folder().path(), &environment, &["migrate", "status"]);
        let listed = String::from_utf8(output.stdout).expect("text");
        assert!(listed.contains(&format!("pending {NEWEST}\n")), "{listed}");
    }
}

// Indexes

const INDEX: ConcurrentIndex = ConcurrentIndex {
    name: "idx_wasteland_cards_suit",
    definition: "ON wasteland_cards (suit, id)",
};

async fn replace_index(connection: &DatabaseConnection) {
    INDEX.create_or_replace(&SchemaManager::new(connection)).await.expect("the index is built");
}

/// Definitions of the index and of what its replacement leaves behind.
async fn definitions(connection: &DatabaseConnection) -> Vec<String> {
    let backend = connection.get_database_backend();
    let sql = if backend == DbBackend::Sqlite {
        "SELECT sql AS value FROM sqlite_master WHERE name LIKE 'idx_wasteland_cards_suit%'"
    } else {
        "SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' invalid' END AS value
        FROM pg_index WHERE CAST(CAST(indexrelid AS regclass) AS text) LIKE 'idx_wasteland_cards_suit%'"
    };
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.expect(sql);
    rows.iter().map(|row| row.try_get("", "value").expect("a text")).collect()
}

const ON_POSTGRES: &str =
    "CREATE INDEX idx_wasteland_cards_suit ON public.wasteland_cards USING btree (suit, id)";

on_both_databases! {
    async fn an_index_is_replaced_and_created(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        let expected = match engine {
            Engine::Sqlite => "CREATE INDEX idx_wasteland_cards_suit ON wasteland_cards (suit, id)",
            Engine::Postgres => ON_POSTGRES,
        };
        assert_ne!(definitions(&connection).await, [expected]);
        replace_index(&connection).await;
        assert_eq!(definitions(&connection).await, [expected]);
        connection.execute_unprepared("DROP INDEX idx_wasteland_cards_suit").await.expect("dropped");
        replace_index(&connection).await;
        assert_eq!(definitions(&connection).await, [expected]);
    }
}

#[tokio::test]
async fn an_index_is_built_while_requests_write() {
    const WRITE: &str = "UPDATE wasteland_cards SET suit = suit";
    if !Engine::has_postgres("an_index_is_built_while_requests_write") {
        return;
    }
    let database = TestDatabase::new(Engine::Postgres, Content::Reference).await;
    let (first, second) = (database.connect().await, database.connect().await);
    let long_transaction = first.begin().await.expect("a transaction");
    long_transaction.execute_unprepared("SELECT 1").await.expect("a snapshot");
    long_transaction
        .execute_unprepared("LOCK TABLE wasteland_cards IN ROW EXCLUSIVE MODE")
        .await
        .expect("locked");
    // Its connection has the lock timeout of migrations.
    let migrating =
        migration::connect(&database.url, Some(LOCK_TIMEOUT)).await.expect("a connection");
    let build = tokio::spawn(async move { replace_index(&migrating).await });
    let is_waiting = "SELECT 1 AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'";
    let is_waiting = || Statement::from_string(DbBackend::Postgres, is_waiting);
    while second.query_one_raw(is_waiting()).await.expect("activity").is_none() {
        assert!(!build.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    second.execute_unprepared("SET lock_timeout = 1000").await.expect("set");
    for _ in 0..3 {
        second.execute_unprepared(WRITE).await.expect(WRITE);
    }
    second.execute_unprepared("SELECT pg_sleep(0.7)").await.expect("longer than that timeout");
    assert!(second.query_one_raw(is_waiting()).await.expect("activity").is_some());
    long_transaction.commit().await.expect("a commit");
    build.await.expect("the index is built");
    assert_eq!(definitions(&second).await, [ON_POSTGRES]);
}

#[tokio::test]
async fn an_invalid_index_of_a_failed_build_is_replaced() {
    if !Engine::has_postgres("an_invalid_index_of_a_failed_build_is_replaced") {
        return;
    }
    let database = TestDatabase::new(Engine::Postgres, Content::Reference).await;
    let connection = database.connect().await;
    let before = definitions(&connection).await;
    // Many cards have the same suit.
    let failing =
        "CREATE UNIQUE INDEX CONCURRENTLY idx_wasteland_cards_suit_new ON wasteland_cards (suit)";
    connection.execute_unprepared(failing).await.expect_err("not unique");
    let left = definitions(&connection).await;
    assert_eq!(left.len(), before.len() + 1);
    assert!(left.iter().any(|definition| definition.ends_with(" invalid")), "{left:?}");
    replace_index(&connection).await;
    assert_eq!(definitions(&connection).await, [ON_POSTGRES]);
}
