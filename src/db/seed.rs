//! Writing demonstration data: a few thousand readings or a million, all or none.

use sea_orm::sea_query::Query;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, Statement, TransactionTrait,
};

use super::bulk::insert_missing;
use super::counters::{count_draws, count_site, count_uses};
use super::entities::{counter_deltas, reading_cards, reading_categories, reading_sessions, users};
use super::user_card_stats::recount_user_cards;
use super::{Database, DbError, StartLock, migrations};
use crate::config::database::DatabaseSettings;

/// People and their readings, in the order in which they can be written.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field a table")]
pub struct SeedRows {
    pub users: Vec<users::Model>,
    pub categories: Vec<reading_categories::Model>,
    pub readings: Vec<reading_sessions::Model>,
    pub drawn_cards: Vec<reading_cards::Model>,
}

/// Names and definitions of what slows the writing of readings and can be made afterwards: indexes
/// that no constraint needs.
const INDEXES_ON_POSTGRES: &str = "
    SELECT 'INDEX' AS kind, indexname::text AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename IN ('reading_sessions', 'reading_cards')
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)";

/// The same, and the triggers that keep what is searched.
const INDEXES_ON_SQLITE: &str = "
    SELECT upper(type) AS kind, name, sql AS definition FROM sqlite_master
    WHERE tbl_name IN ('reading_sessions', 'reading_cards') AND type IN ('index', 'trigger')
        AND sql IS NOT NULL";

/// What those triggers would have written.
const REBUILD_SEARCH_ON_SQLITE: [&str; 2] = [
    "INSERT INTO reading_sessions_search (reading_sessions_search) VALUES ('rebuild')",
    "INSERT INTO reading_session_tags (tag, search_id)
    SELECT DISTINCT value, search_id FROM reading_sessions, json_each(tags) ORDER BY value, search_id",
];

const STATEMENT: &str = "seed_insert";

/// Writes demonstration rows that are not there yet, all or none, and sets all counters to what is
/// there then.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_missing_seed(database: &Database, rows: SeedRows) -> Result<(), DbError> {
    database
        .transaction(STATEMENT, async |transaction| {
            insert(transaction, rows).await?;
            recount(transaction).await
        })
        .await
}

/// A load of demonstration data into a database that has no user. It is one transaction, without the
/// timeouts of requests; what it wrote is taken back unless it is finished.
pub struct SeedLoad {
    connection: DatabaseConnection,
    transaction: DatabaseTransaction,
    indexes: Vec<Index>,
}

#[derive(FromQueryResult)]
struct Index {
    kind: String,
    name: String,
    definition: String,
}

impl SeedLoad {
    /// Begins, unless there is a user already.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, or a statement fails.
    pub async fn begin(
        settings: &DatabaseSettings,
        _lock: &StartLock,
    ) -> Result<Option<Self>, DbError> {
        let connection = migrations::connect(settings).await?;
        let of = |error| DbError::of(STATEMENT, error);
        let transaction = connection.begin().await.map_err(of)?;
        if users::Entity::find().one(&transaction).await.map_err(of)?.is_some() {
            return Ok(None);
        }
        let indexes = drop_indexes(&transaction).await.map_err(of)?;
        Ok(Some(Self { connection, transaction, indexes }))
    }

    /// Writes a batch.
    ///
    /// # Errors
    ///
    /// A statement fails.
    pub async fn insert(&self, rows: SeedRows) -> Result<(), DbError> {
        insert(&self.transaction, rows).await.map_err(|error| DbError::of(STATEMENT, error))
    }

    /// Makes the indexes, sets all counters to what the readings say, and commits.
    ///
    /// # Errors
    ///
    /// A statement fails; then nothing is left of the load.
    pub async fn finish(self) -> Result<(), DbError> {
        let of = |error| DbError::of(STATEMENT, error);
        let Self { connection, transaction, indexes } = self;
        make_indexes(&transaction, &indexes).await.map_err(of)?;
        recount(&transaction).await.map_err(of)?;
        transaction.commit().await.map_err(of)?;
        // Else the first queries are planned for empty tables, and on PostgreSQL read rows to see
        // whether they are visible.
        let analyze = match connection.get_database_backend() {
            DbBackend::Postgres => "VACUUM (ANALYZE)",
            _ => "ANALYZE",
        };
        connection.execute_unprepared(analyze).await.map_err(of)?;
        connection.close().await.map_err(of)
    }
}

async fn insert(transaction: &DatabaseTransaction, rows: SeedRows) -> Result<(), DbErr> {
    insert_missing(transaction, rows.users).await?;
    insert_missing(transaction, rows.categories).await?;
    insert_missing(transaction, rows.readings).await?;
    insert_missing(transaction, rows.drawn_cards).await
}

async fn recount(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let now = super::now();
    // What was to be counted is there, and so counted now.
    transaction.execute(&Query::delete().from_table(counter_deltas::Entity).to_owned()).await?;
    transaction.execute(&count_draws(now)).await?;
    transaction.execute(&count_uses(now)).await?;
    transaction.execute(&count_site(now)).await?;
    let (clear, count) = recount_user_cards(now)?;
    transaction.execute(&clear).await?;
    transaction.execute(&count).await?;
    Ok(())
}

async fn drop_indexes(transaction: &DatabaseTransaction) -> Result<Vec<Index>, DbErr> {
    let backend = transaction.get_database_backend();
    let sql = if backend == DbBackend::Postgres { INDEXES_ON_POSTGRES } else { INDEXES_ON_SQLITE };
    let statement = Statement::from_string(backend, sql);
    let indexes = Index::find_by_statement(statement).all(transaction).await?;
    for Index { kind, name, .. } in &indexes {
        transaction.execute_unprepared(&format!("DROP {kind} {name}")).await?;
    }
    Ok(indexes)
}

async fn make_indexes(transaction: &DatabaseTransaction, indexes: &[Index]) -> Result<(), DbErr> {
    for index in indexes {
        transaction.execute_unprepared(&index.definition).await?;
    }
    if transaction.get_database_backend() == DbBackend::Sqlite {
        for statement in REBUILD_SEARCH_ON_SQLITE {
            transaction.execute_unprepared(statement).await?;
        }
    }
    Ok(())
}
