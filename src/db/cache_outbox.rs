//! Statements on the cache outbox: the cache invalidations of each write, in a row that is committed with
//! the write and polled by all servers on the database.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, IntoIden, JoinType, Query, SelectStatement};
use sea_orm::{ColumnTrait, FromQueryResult};
use serde_json::Value;
use uuid::Uuid;

use super::bulk::delete_up_to;
use super::entities::cache_outbox::{Column, Entity};
use super::query::Dialect;
use super::{DbError, Session, Transaction};

/// The invalidations of one write.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Chosen by the writer.
    pub id: Uuid,
    /// Invalidations, in the writer's format.
    pub changes: Value,
}

/// Result of a poll.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxPoll {
    /// Start of the next poll: this poll saw all rows below it, and no row below it will be added.
    pub next_position: i64,
    /// Rows at or after the requested position, in any order. Earlier polls may have returned some of them.
    pub rows: Vec<OutboxRow>,
}

/// Writes the invalidations of the transaction.
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
    transaction.execute("outbox_insert", &statement).await.map(drop)
}

/// The rows at or after a position. Without a position no rows, only the start of the first poll.
pub async fn outbox_poll(session: &Session, from: Option<i64>) -> Result<OutboxPoll, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        settled: i64,
        id: Option<Uuid>,
        changes: Option<Value>,
    }
    let from = from.unwrap_or(i64::MAX);
    let rows: Vec<Row> = session.all("outbox_poll", &poll_query(session.dialect(), from)).await?;
    Ok(OutboxPoll {
        next_position: rows.first().map_or(from, |row| row.settled),
        rows: rows
            .into_iter()
            .filter_map(|row| Some(OutboxRow { id: row.id?, changes: row.changes? }))
            .collect(),
    })
}

/// One statement, which sees one snapshot of the database.
fn poll_query(dialect: Dialect, from: i64) -> SelectStatement {
    let settled = match dialect {
        // All transactions below this number have ended.
        Dialect::Postgres => "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
        // Also correct when all rows are swept.
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

/// Deletes up to `limit` rows written before that time. Returns their number.
pub async fn outbox_sweep(
    transaction: &Transaction,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    let statement = delete_up_to::<Entity>(Column::Id, Column::CreatedAt.lt(before), limit);
    transaction.execute("outbox_sweep", &statement).await
}
