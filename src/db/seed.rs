//! Writing demonstration data: a few thousand readings or a million, all or none.

use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, Query, TableRef, UpdateStatement};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    FromQueryResult, Statement, TransactionTrait,
};

use super::bulk::insert_missing;
use super::entities::{
    card_stats, reading_cards, reading_categories, reading_sessions, spread_stats, users,
};
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

/// The same, and the triggers that keep the text search.
const INDEXES_ON_SQLITE: &str = "
    SELECT upper(type) AS kind, name, sql AS definition FROM sqlite_master
    WHERE tbl_name IN ('reading_sessions', 'reading_cards') AND type IN ('index', 'trigger')
        AND sql IS NOT NULL";

const REBUILD_SEARCH_ON_SQLITE: &str =
    "INSERT INTO reading_sessions_search (reading_sessions_search) VALUES ('rebuild')";

const STATEMENT: &str = "seed_insert";

/// Writes demonstration rows that are not there yet, all or none.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_missing_seed(database: &Database, rows: SeedRows) -> Result<(), DbError> {
    database.transaction(STATEMENT, async |transaction| insert(transaction, rows).await).await
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

    /// Makes the indexes, sets the counters of cards and spreads to what the readings say, and
    /// commits.
    ///
    /// # Errors
    ///
    /// A statement fails; then nothing is left of the load.
    pub async fn finish(self) -> Result<(), DbError> {
        let of = |error| DbError::of(STATEMENT, error);
        let Self { connection, transaction, indexes } = self;
        make_indexes(&transaction, &indexes).await.map_err(of)?;
        transaction.execute(&count_draws()).await.map_err(of)?;
        transaction.execute(&count_uses()).await.map_err(of)?;
        transaction.commit().await.map_err(of)?;
        if connection.get_database_backend() == DbBackend::Postgres {
            // Else the first queries are planned for empty tables, and read rows to see whether they
            // are visible.
            connection.execute_unprepared("VACUUM (ANALYZE)").await.map_err(of)?;
        }
        connection.close().await.map_err(of)
    }
}

async fn insert(transaction: &DatabaseTransaction, rows: SeedRows) -> Result<(), DbErr> {
    insert_missing(transaction, rows.users).await?;
    insert_missing(transaction, rows.categories).await?;
    insert_missing(transaction, rows.readings).await?;
    insert_missing(transaction, rows.drawn_cards).await
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
        transaction.execute_unprepared(REBUILD_SEARCH_ON_SQLITE).await?;
    }
    Ok(())
}

/// Sets the counters of every card to its draws.
fn count_draws() -> UpdateStatement {
    use card_stats::Column as Stats;
    use reading_cards::Column as Drawn;
    let drawn = |column: Drawn| (reading_cards::Entity, column);
    let of_card = || (card_stats::Entity, Stats::CardId);
    let counted = Query::select()
        .column(of_card())
        .expr_as(Expr::col(drawn(Drawn::CardId)).count(), "draws")
        .expr_as(Expr::col(drawn(Drawn::CreatedAt)).max(), "last")
        .from(card_stats::Entity)
        .left_join(reading_cards::Entity, Expr::col(drawn(Drawn::CardId)).equals(of_card()))
        .group_by_col(of_card())
        .to_owned();
    Query::update()
        .table(card_stats::Entity)
        .from(TableRef::SubQuery(counted.into(), "counted".into_iden()))
        .value(Stats::DrawCount, Expr::col(("counted", "draws")))
        .value(Stats::LastDrawnAt, Expr::col(("counted", "last")))
        .value(Stats::UpdatedAt, super::now())
        .and_where(Expr::col(of_card()).equals(("counted", Stats::CardId)))
        .to_owned()
}

/// Sets the counters of every spread to its readings and their ratings.
fn count_uses() -> UpdateStatement {
    use reading_sessions::Column as Reading;
    use spread_stats::Column as Stats;
    let reading = |column: Reading| (reading_sessions::Entity, column);
    let of_spread = || (spread_stats::Entity, Stats::SpreadId);
    let rating = || Expr::col(reading(Reading::UserSatisfaction));
    let counted = Query::select()
        .column(of_spread())
        .expr_as(Expr::col(reading(Reading::Id)).count(), "uses")
        .expr_as(rating().sum().if_null(0_i64), "rating_sum")
        .expr_as(rating().count(), "rating_n")
        .expr_as(Expr::col(reading(Reading::CreatedAt)).max(), "last")
        .from(spread_stats::Entity)
        .left_join(
            reading_sessions::Entity,
            Expr::col(reading(Reading::SpreadTemplateId)).equals(of_spread()),
        )
        .group_by_col(of_spread())
        .to_owned();
    Query::update()
        .table(spread_stats::Entity)
        .from(TableRef::SubQuery(counted.into(), "counted".into_iden()))
        .value(Stats::UsageCount, Expr::col(("counted", "uses")))
        .value(Stats::RatingSum, Expr::col(("counted", "rating_sum")))
        .value(Stats::RatingN, Expr::col(("counted", "rating_n")))
        .value(Stats::LastUsedAt, Expr::col(("counted", "last")))
        .value(Stats::UpdatedAt, super::now())
        .and_where(Expr::col(of_spread()).equals(("counted", Stats::SpreadId)))
        .to_owned()
}
