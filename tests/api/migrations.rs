//! The schema of the database: it goes up and down on both engines, and has the documented constraints.

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use search_text::{fold_for_trigrams, skeleton};

use crate::support::app::{Content, Engine, TestDatabase, on_both_databases, skip};
use crate::support::tables::Access;

/// The indexes that the performance guide names.
const GUIDE_INDEXES: [&str; 14] = [
    "idx_reading_sessions_user_id",
    "idx_reading_sessions_created_at",
    "idx_reading_sessions_spread_type",
    "idx_reading_sessions_character_voice",
    "idx_reading_sessions_karma_context",
    "idx_reading_sessions_user_created",
    "idx_reading_sessions_tags",
    "idx_reading_sessions_question_trgm",
    "idx_users_email",
    "idx_users_username",
    "idx_wasteland_cards_card_type",
    "idx_wasteland_cards_suit",
    "idx_spread_templates_is_active",
    "idx_spread_templates_difficulty",
];

/// Those that are needed besides.
const OWN_INDEXES: [&str; 7] = [
    "idx_reading_sessions_user_active",
    "idx_reading_sessions_public_feed",
    "idx_reading_sessions_user_public",
    "idx_reading_sessions_user_favorites",
    "idx_reading_sessions_user_category",
    "idx_reading_cards_card_id",
    "idx_reading_shares_token",
];

const TABLES: [&str; 27] = [
    "users",
    "refresh_tokens",
    "daily_usage",
    "wasteland_cards",
    "card_texts",
    "card_stats",
    "card_interpretations",
    "voices",
    "voice_texts",
    "factions",
    "faction_texts",
    "faction_voices",
    "spread_templates",
    "spread_texts",
    "spread_positions",
    "spread_position_texts",
    "spread_stats",
    "reading_categories",
    "reading_sessions",
    "reading_cards",
    "reading_shares",
    "idempotency_keys",
    "user_card_stats",
    "login_throttles",
    "token_revocations",
    "audit_log",
    "hidden_readings",
];

async fn names(connection: &DatabaseConnection, sqlite: &str, postgres: &str) -> BTreeSet<String> {
    let backend = connection.get_database_backend();
    let sql = if backend == sea_orm::DbBackend::Sqlite { sqlite } else { postgres };
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await.expect(sql);
    rows.iter().map(|row| row.try_get::<String>("", "name").expect("a name")).collect()
}

async fn tables(connection: &DatabaseConnection) -> BTreeSet<String> {
    names(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'table'",
        "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
    )
    .await
}

async fn indexes(connection: &DatabaseConnection) -> BTreeSet<String> {
    names(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'index'",
        "SELECT indexname::text AS name FROM pg_indexes WHERE schemaname = 'public'",
    )
    .await
}

async fn execute(connection: &DatabaseConnection, sql: &str) {
    connection.execute_unprepared(sql).await.expect(sql);
}

on_both_databases! {
    async fn migrations_go_up_down_and_up_again(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let connection = database.connect().await;
        Migrator::up(&connection, None).await.expect("up");
        let (up_tables, up_indexes) = (tables(&connection).await, indexes(&connection).await);

        Migrator::down(&connection, None).await.expect("down");
        let left = tables(&connection).await;
        let ours: Vec<_> = TABLES.iter().filter(|table| left.contains(**table)).collect();
        assert!(ours.is_empty(), "down leaves {ours:?}");

        Migrator::up(&connection, None).await.expect("up again");
        assert_eq!(tables(&connection).await, up_tables);
        assert_eq!(indexes(&connection).await, up_indexes);
    }

    async fn each_migration_can_be_taken_back_alone(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let connection = database.connect().await;
        for _ in Migrator::migrations() {
            Migrator::up(&connection, Some(1)).await.expect("one up");
            Migrator::down(&connection, Some(1)).await.expect("one down");
            Migrator::up(&connection, Some(1)).await.expect("one up again");
        }
        assert!(Migrator::get_pending_migrations(&connection).await.expect("status").is_empty());
    }

    async fn a_migration_that_fails_midway_leaves_nothing_and_can_be_tried_again(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Empty).await;
        let connection = database.connect().await;
        // The last of several tables that one change makes is in the way.
        execute(&connection, "CREATE TABLE spread_position_texts (in_the_way integer)").await;
        Migrator::up(&connection, None).await.expect_err("the table is in the way");
        let pending = Migrator::get_pending_migrations(&connection).await.expect("status");
        assert_eq!(pending[0].name(), "m20261101_000009_create_spread_templates");
        assert!(!tables(&connection).await.contains("spread_templates"), "half a change is left");

        execute(&connection, "DROP TABLE spread_position_texts").await;
        Migrator::up(&connection, None).await.expect("up");
        assert!(Migrator::get_pending_migrations(&connection).await.expect("status").is_empty());
    }

    async fn a_fresh_start_works_on_a_full_database(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        Migrator::fresh(&connection).await.expect("fresh");
        let left = tables(&connection).await;
        assert!(TABLES.iter().all(|table| left.contains(*table)), "{left:?}");
    }

    async fn every_table_and_index_is_there_by_name(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        let tables = tables(&connection).await;
        let missing: Vec<_> = TABLES.iter().filter(|table| !tables.contains(**table)).collect();
        assert!(missing.is_empty(), "{missing:?}");

        // Trigrams and tags have their own kind of index on SQLite, or none.
        let only_postgres = ["idx_reading_sessions_tags", "idx_reading_sessions_question_trgm"];
        let indexes = indexes(&connection).await;
        let missing: Vec<_> = GUIDE_INDEXES
            .iter()
            .chain(&OWN_INDEXES)
            .filter(|index| engine == Engine::Postgres || !only_postgres.contains(index))
            .filter(|index| !indexes.contains(**index))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        if engine == Engine::Postgres {
            assert!(indexes.contains("idx_reading_sessions_user_texts"));
            assert!(indexes.contains("idx_reading_sessions_user_long_texts"));
        } else {
            assert!(tables.contains("reading_sessions_search"));
        }
    }

    async fn existing_rows_are_folded_for_the_search(engine: Engine) {
        const MIGRATION: &str = "m20261101_000028_fold_searched_texts";
        /// More than one batch of the migration.
        const READINGS: usize = 2_500;
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        let all = Migrator::migrations();
        let before = all.iter().position(|migration| migration.name() == MIGRATION);
        let last = u32::try_from(all.len() - before.expect("there is such a migration"));
        let last = last.expect("a few");
        Migrator::down(&connection, Some(last)).await.expect("down");

        let backend = connection.get_database_backend();
        let (id, now) = match engine {
            Engine::Sqlite => ("unhex(printf('%032x', number))", "''"),
            Engine::Postgres => ("CAST(lpad(to_hex(number), 32, '0') AS uuid)", "now()"),
        };
        execute(&connection, &format!(
            "INSERT INTO users (id, email, username, password_hash, created_at, updated_at)
             SELECT {id}, 'Σ@b', 'straße', '!', {now}, {now} FROM (SELECT 1 AS number) AS one"
        )).await;
        execute(&connection, &format!(
            "INSERT INTO reading_sessions (id, user_id, spread_template_id, spread_type, character_voice,
                karma_context, question, notes, interpretation, summary, locale, created_at, updated_at)
             WITH RECURSIVE numbers (number) AS (
                SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {READINGS}
             )
             SELECT {id}, users.id, spread.id, spread_type, 'ghoul', 'good',
                'Straße \"' || number || '\"\\?', CASE WHEN number % 2 = 0 THEN 'Σίσυφος 愛' END,
                '', '', 'en', {now}, {now}
             FROM numbers, users, (SELECT * FROM spread_templates LIMIT 1) AS spread"
        )).await;

        let texts = async || {
            let sql = "SELECT question, notes, search_question, search_notes FROM reading_sessions";
            let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await;
            let text = |row: &QueryResult, name| {
                row.try_get::<Option<String>>("", name).expect("a text or none")
            };
            let rows: Vec<_> = rows
                .expect(sql)
                .iter()
                .map(|row| {
                    ["question", "notes", "search_question", "search_notes"].map(|name| text(row, name))
                })
                .collect();
            rows
        };
        // Up, down and up again, with rows.
        for _ in 0..2 {
            Migrator::up(&connection, None).await.expect("up");
            let texts = texts().await;
            assert_eq!(texts.len(), READINGS);
            for [question, notes, search_question, search_notes] in texts {
                assert_eq!(search_question, question.as_deref().map(fold_for_trigrams));
                assert_eq!(search_notes, notes.as_deref().map(fold_for_trigrams));
            }
            let sql = "SELECT search_username || ' ' || search_email || coalesce(search_display_name, '')
                AS name FROM users";
            assert_eq!(names(&connection, sql, sql).await, BTreeSet::from(["strasse σ@b".to_owned()]));
            if engine == Engine::Sqlite {
                let sql = "SELECT count(*) AS number FROM reading_sessions_search
                    WHERE reading_sessions_search MATCH '\"愛愛愛\"'";
                let row = connection.query_one_raw(Statement::from_string(backend, sql)).await;
                let number: i64 =
                    row.expect(sql).expect("a row").try_get("", "number").expect("a number");
                assert_eq!(number, i64::try_from(READINGS / 2).expect("a few"));
            }
            Migrator::down(&connection, Some(last)).await.expect("down");
        }
    }

    async fn of_look_alikes_that_are_there_already_the_oldest_has_the_skeleton(engine: Engine) {
        const MIGRATION: &str = "m20261101_000032_add_skeletons_of_usernames_since_000029";
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        let all = Migrator::migrations();
        let before = all.iter().position(|migration| migration.name() == MIGRATION);
        let last = u32::try_from(all.len() - before.expect("there is such a migration"));
        let last = last.expect("a few");
        Migrator::down(&connection, Some(last)).await.expect("down");
        let id = |number: i32| match engine {
            Engine::Sqlite => format!("unhex('{number:032x}')"),
            Engine::Postgres => format!("'{number:032x}'"),
        };
        for (number, username, year) in [(1, "bi1l", 2002), (2, "bill", 2001), (3, "ada", 2003)] {
            let (id, time) = (id(number), format!("'{year}-01-01T00:00:00.000000+00:00'"));
            execute(&connection, &format!(
                "INSERT INTO users (id, email, username, search_username, search_email, password_hash,
                    created_at, updated_at)
                 VALUES ({id}, '{username}@b', '{username}', '', '', '!', {time}, {time})"
            )).await;
        }
        for _ in 0..2 {
            Migrator::up(&connection, None).await.expect("up");
            let sql = "SELECT username || ' ' || coalesce(username_skeleton, 'none') AS name FROM users";
            let skeletons = names(&connection, sql, sql).await;
            let bill = format!("bill {}", skeleton("bill"));
            let expected = ["ada ada".to_owned(), "bi1l none".to_owned(), bill];
            assert_eq!(skeletons, BTreeSet::from(expected));
            Migrator::down(&connection, Some(last)).await.expect("down");
        }
    }

    async fn wrong_words_are_rejected(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        for wrong in [
            "UPDATE wasteland_cards SET suit = 'cups'",
            "UPDATE wasteland_cards SET threat_level = 11",
            "UPDATE wasteland_cards SET radiation_level = 1.5",
            "UPDATE wasteland_cards SET vault_number = 123",
            "UPDATE spread_templates SET card_count = 16",
            "UPDATE spread_templates SET difficulty_level = 'hard'",
            "UPDATE voices SET response_length = 'endless'",
            "UPDATE card_texts SET locale = 'fr'",
            "UPDATE wasteland_cards SET number = 1 WHERE suit = 'bottle_caps'",
        ] {
            assert!(connection.execute_unprepared(wrong).await.is_err(), "{wrong} was accepted");
        }
    }
}

/// Migrations that build indexes while requests write, which no transaction can. Each of their steps may be repeated.
const WITHOUT_TRANSACTION: [&str; 1] = ["m20261101_000035_index_inactive_users_since_000029"];

#[test]
fn each_migration_is_applied_whole_or_can_be_repeated() {
    for migration in Migrator::migrations() {
        let in_transaction = !WITHOUT_TRANSACTION.contains(&migration.name());
        assert_eq!(migration.use_transaction(), Some(in_transaction), "{}", migration.name());
    }
}

on_both_databases! {
    async fn an_interrupted_migration_without_a_transaction_is_repeated(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        let indexes = "SELECT CAST(count(*) AS bigint) AS number";
        let from = match engine {
            Engine::Sqlite => "sqlite_master WHERE name = 'idx_users_inactive' AND sql",
            Engine::Postgres => "pg_indexes WHERE indexname = 'idx_users_inactive' AND indexdef",
        };
        Migrator::down(&connection, Some(1)).await.expect("one down");
        // The first of its steps was done.
        execute(&connection, "CREATE INDEX idx_users_inactive ON users (id)").await;
        Migrator::up(&connection, None).await.expect("repeated");
        let access = Access::open(&database).await;
        assert_eq!(access.number(&format!("{indexes} FROM {from} LIKE '%is_active%'")).await, 1);
        access.close().await;
    }
}

/// Triggers maintain the full-text index of SQLite, for every way in which rows come and go.
#[tokio::test]
async fn the_search_index_of_sqlite_is_updated_with_its_table() {
    let database = TestDatabase::new(Engine::Sqlite, Content::Reference).await;
    let connection = database.connect().await;
    execute(
        &connection,
        "INSERT INTO users (id, email, username, password_hash, created_at, updated_at)
         VALUES (x'01', 'a@b', 'a', '!', '', '')",
    )
    .await;
    let insert = |id: &str, question: &str| {
        format!(
            "INSERT INTO reading_sessions (id, user_id, spread_template_id, spread_type, character_voice,
                karma_context, question, search_question, notes, search_notes, interpretation, summary,
                locale, created_at, updated_at)
             SELECT x'{id}', x'01', id, spread_type, 'ghoul', 'good', '{question}', '{}', '輻射很高', '{}',
                '', '', 'en', '', ''
             FROM spread_templates LIMIT 1",
            fold_for_trigrams(question),
            fold_for_trigrams("輻射很高")
        )
    };
    let found = async |term: &str| {
        let sql = format!(
            "SELECT hex(r.id) AS name FROM reading_sessions_search s
             JOIN reading_sessions r ON r.search_id = s.rowid
             WHERE reading_sessions_search MATCH '\"{}\"' ORDER BY 1",
            fold_for_trigrams(term)
        );
        names(&connection, &sql, "").await.into_iter().collect::<Vec<_>>()
    };
    let is_sound = async || {
        execute(
            &connection,
            "INSERT INTO reading_sessions_search (reading_sessions_search, rank) VALUES ('integrity-check', 1)",
        )
        .await;
    };

    execute(&connection, &insert("0A", "Will the caravan arrive?")).await;
    execute(&connection, &insert("0B", "我該離開避難所嗎？")).await;
    assert_eq!(found("caravan").await, ["0A"]);
    assert_eq!(found("避難所").await, ["0B"]);
    assert_eq!(found("輻射很").await, ["0A", "0B"]);
    assert_eq!(found("難").await, ["0B"]);

    execute(
        &connection,
        "UPDATE reading_sessions SET search_question = 'and the brahmin?' WHERE id = x'0A'",
    )
    .await;
    assert!(found("caravan").await.is_empty());
    assert_eq!(found("brahmin").await, ["0A"]);
    is_sound().await;

    // Rows may be renumbered by a vacuum if they have no number of their own.
    execute(&connection, "VACUUM").await;
    assert_eq!(found("避難所").await, ["0B"]);
    is_sound().await;

    execute(&connection, "PRAGMA foreign_keys = ON").await;
    execute(&connection, "DELETE FROM users").await;
    assert!(found("避難所").await.is_empty(), "the readings went with their owner");
    is_sound().await;
}

/// The program that operators run. It builds the migrations by itself, so this takes a while.
#[tokio::test(flavor = "multi_thread")]
async fn sea_orm_cli_migrates_from_the_repository_root() {
    let run = |arguments: &[&str], url: Option<&str>| {
        let mut command = std::process::Command::new("sea-orm-cli");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("migrate").args(arguments).env_clear();
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Some(url) = url {
            command.env("DATABASE_URL", url);
        }
        command.output()
    };
    if run(&["--help"], None).is_err() {
        skip("sea_orm_cli_migrates_from_the_repository_root", "sea-orm-cli");
        return;
    }
    let succeeds = |arguments: &[&str], url: Option<&str>| {
        let output = run(arguments, url).expect("sea-orm-cli runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}{errors}");
        text
    };

    // Without any setting it is the embedded database of this folder; one that is there already is
    // only brought up to date.
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let was_there = data.exists();
    succeeds(&["up"], None);
    assert!(!succeeds(&["status"], None).contains("Pending"));
    assert!(data.join("wasteland.db").exists());
    if !was_there {
        std::fs::remove_dir_all(&data).expect("what the test made is taken away");
    }

    let mut databases = vec![TestDatabase::new(Engine::Sqlite, Content::Empty).await];
    if Engine::has_postgres("sea_orm_cli_migrates_from_the_repository_root") {
        databases.push(TestDatabase::new(Engine::Postgres, Content::Empty).await);
    }
    for database in databases {
        let url = Some(database.url.as_str());
        succeeds(&["up"], url);
        succeeds(&["down"], url);
        assert!(succeeds(&["status"], url).contains("Pending"));
        succeeds(&["fresh"], url);
        assert!(!succeeds(&["status"], url).contains("Pending"));
    }
}
