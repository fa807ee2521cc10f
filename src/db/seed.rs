//! Bulk insertion of demonstration data: a few thousand readings or a million, all or none.

use sea_orm::sea_query::Query;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, Statement, TransactionTrait,
};

use super::bulk::{insert_missing, insert_missing_searched};
use super::counters::{recount_draws, recount_site, recount_uses};
use super::entities::{counter_deltas, reading_cards, reading_categories, reading_sessions, users};
use super::user_card_stats::{UserCardsRecount, recount_user_cards};
use super::{Database, DbError, StartLock, migrations};
use crate::config::database::DatabaseSettings;

/// Users and their readings, in the order of foreign keys.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field a table")]
pub struct SeedRows {
    pub users: Vec<users::Model>,
    pub categories: Vec<reading_categories::Model>,
    pub readings: Vec<reading_sessions::Model>,
    pub drawn_cards: Vec<reading_cards::Model>,
}

/// Indexes of readings and cards that no constraint needs: dropped before a load and created after it,
/// which is faster.
const INDEXES_ON_POSTGRES: &str = "
    SELECT 'INDEX' AS kind, indexname::text AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename IN ('reading_sessions', 'reading_cards')
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)";

/// The same, and the triggers that maintain the search tables.
const INDEXES_ON_SQLITE: &str = "
    SELECT upper(type) AS kind, name, sql AS definition FROM sqlite_master
    WHERE tbl_name IN ('reading_sessions', 'reading_cards') AND type IN ('index', 'trigger')
        AND sql IS NOT NULL";

/// The rows that those triggers would have written.
const REBUILD_SEARCH_ON_SQLITE: [&str; 2] = [
    "INSERT INTO reading_sessions_search (reading_sessions_search) VALUES ('rebuild')",
    "INSERT INTO reading_session_tags (tag, search_id)
    SELECT DISTINCT value, search_id FROM reading_sessions, json_each(tags) ORDER BY value, search_id",
];

const STATEMENT: &str = "seed_insert";

/// Inserts the demonstration rows whose keys are missing, all or none, and recounts all counters.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_missing_seed(database: &Database, rows: SeedRows) -> Result<(), DbError> {
    database
        .bulk_transaction(STATEMENT, async |transaction| {
            insert(transaction, rows).await?;
            recount(transaction).await
        })
        .await
}

/// A load of demonstration data into a database without users: one transaction, without the timeouts of
/// requests. It is rolled back unless [`Self::finish`] succeeds.
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
    /// Begins a load, unless the database has a user.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, or a statement fails.
    pub async fn begin(
        settings: &DatabaseSettings,
        _lock: &StartLock,
    ) -> Result<Option<Self>, DbError> {
        let connection = migrations::connect(settings, None).await?;
        let of = |error| DbError::of(STATEMENT, error);
        let transaction = connection.begin().await.map_err(of)?;
        if users::Entity::find().one(&transaction).await.map_err(of)?.is_some() {
            return Ok(None);
        }
        let indexes = drop_indexes(&transaction).await.map_err(of)?;
        Ok(Some(Self { connection, transaction, indexes }))
    }

    /// Inserts a batch.
    pub async fn insert(&self, rows: SeedRows) -> Result<(), DbError> {
        insert(&self.transaction, rows).await.map_err(|error| DbError::of(STATEMENT, error))
    }

    /// Creates the indexes, recounts all counters, and commits.
    ///
    /// # Errors
    ///
    /// A statement fails; then the load is rolled back.
    pub async fn finish(self) -> Result<(), DbError> {
        let of = |error| DbError::of(STATEMENT, error);
        let Self { connection, transaction, indexes } = self;
        create_indexes(&transaction, &indexes).await.map_err(of)?;
        recount(&transaction).await.map_err(of)?;
        transaction.commit().await.map_err(of)?;
        // Otherwise the first queries are planned for empty tables, and on PostgreSQL index-only scans
        // read rows for their visibility.
        let analyze = match connection.get_database_backend() {
            DbBackend::Postgres => "VACUUM (ANALYZE)",
            _ => "ANALYZE",
        };
        connection.execute_unprepared(analyze).await.map_err(of)?;
        connection.close().await.map_err(of)
    }
}

async fn insert(transaction: &DatabaseTransaction, rows: SeedRows) -> Result<(), DbErr> {
    insert_missing_searched(transaction, rows.users).await?;
    insert_missing(transaction, rows.categories).await?;
    insert_missing_searched(transaction, rows.readings).await?;
    insert_missing(transaction, rows.drawn_cards).await
}

async fn recount(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let now = super::now();
    // The recount includes the rows of unfolded deltas.
    transaction.execute(&Query::delete().from_table(counter_deltas::Entity).to_owned()).await?;
    transaction.execute(&recount_draws(now)).await?;
    transaction.execute(&recount_uses(now)).await?;
    transaction.execute(&recount_site(now)).await?;
    let UserCardsRecount { clear, count } = recount_user_cards(now)?;
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

async fn create_indexes(transaction: &DatabaseTransaction, indexes: &[Index]) -> Result<(), DbErr> {
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
