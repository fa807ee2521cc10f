//! What each write has made old in the caches of all servers on the database, in a row that is committed
//! with the write.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, JoinType, Query, SelectStatement};
use sea_orm::{ColumnTrait, FromQueryResult};
use serde_json::Value;
use uuid::Uuid;

use super::entities::cache_outbox::{Column, Entity};
use super::query::Dialect;
use super::{DbError, Session, Transaction};

/// What a write has made old.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Chosen by the writer.
    pub id: Uuid,
    /// As the writer says it.
    pub changes: Value,
}

/// What was found at a look.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxPoll {
    /// From where on the next look has to read: whatever has a lower position was seen at this one, and
    /// no row with a lower one will come.
    pub next_position: i64,
    /// Rows from the position that was asked for on, in any order. They may have been seen before.
    pub rows: Vec<OutboxRow>,
}

/// Writes down what the transaction has made old.
///
/// # Errors
///
/// The statement fails.
pub async fn outbox_insert(
    transaction: &Transaction,
    OutboxRow { id, changes }: OutboxRow,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = Query::insert()
        .into_table(Entity)
        .columns([Column::Id, Column::Changes, Column::CreatedAt])
        .values_panic([id.into(), changes.into(), now.into()])
        .to_owned();
    transaction.execute("cache_outbox_insert", &statement).await.map(drop)
}

/// The rows from that position on; none, only where to begin, if none is named.
///
/// # Errors
///
/// The statement fails.
pub async fn outbox_poll(session: &Session, from: Option<i64>) -> Result<OutboxPoll, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        settled: i64,
        id: Option<Uuid>,
        changes: Option<Value>,
    }
    let from = from.unwrap_or(i64::MAX);
    let rows: Vec<Row> =
        session.all("cache_outbox_poll", &poll_query(session.dialect(), from)).await?;
    Ok(OutboxPoll {
        next_position: rows.first().map_or(from, |row| row.settled),
        rows: rows
            .into_iter()
            .filter_map(|row| Some(OutboxRow { id: row.id?, changes: row.changes? }))
            .collect(),
    })
}

/// In one statement, which sees one state of the database.
fn poll_query(dialect: Dialect, from: i64) -> SelectStatement {
    let settled = match dialect {
        // Of all transactions below it is known how they ended.
        Dialect::Postgres => "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
        // Also where all rows are swept.
        Dialect::Sqlite => {
            "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cache_outbox'), 0) + 1"
        }
    };
    let now = "now".into_iden();
    let state = Query::select().expr_as(Expr::cust(settled), "settled").to_owned();
    Query::select()
        .column((now.clone(), "settled"))
        .columns([(Entity, Column::Id), (Entity, Column::Changes)])
        .from_subquery(state, now)
        .join(JoinType::LeftJoin, Entity, Expr::col((Entity, Column::Position)).gte(from))
        .to_owned()
}

/// Deletes rows that were written before that time, at most so many. Answers how many.
///
/// # Errors
///
/// The statement fails.
pub async fn outbox_sweep(
    transaction: &Transaction,
    before: DateTime<Utc>,
    most: u64,
) -> Result<u64, DbError> {
    let old = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::CreatedAt.lt(before))
        .limit(most)
        .to_owned();
    let statement =
        Query::delete().from_table(Entity).and_where(Column::Id.in_subquery(old)).to_owned();
    transaction.execute("cache_outbox_sweep", &statement).await
}
