//! The one connection that a request holds, from its first statement to its end. A request that took
//! one for each statement would hold several at once, and could wait for itself.

use std::fmt::{self, Display, Write};

use sea_orm::QueryResult;
use sea_orm::sea_query::{
    PostgresQueryBuilder, QueryBuilder, SelectStatement, SqlWriter, SqliteQueryBuilder, Value,
    Values,
};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection, PgPool, Postgres, Row, Sqlite, SqlitePool, query_with,
};
use sea_query_sqlx::SqlxValues;

/// Where connections are lent from.
#[derive(Clone)]
pub(super) enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// A connection out of the pool. Dropped, it goes back there.
pub(super) enum Lent {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

impl Pool {
    /// Takes a connection, as it is: whether it still works is found out by using it.
    pub(super) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        Ok(match self {
            Self::Postgres(pool) => Lent::Postgres(pool.acquire().await?),
            Self::Sqlite(pool) => Lent::Sqlite(pool.acquire().await?),
        })
    }

    /// Takes a connection that answers. Those that do not are thrown away.
    pub(super) async fn lend_tested(&self) -> Result<Lent, sqlx::Error> {
        loop {
            let mut lent = self.lend().await?;
            if lent.ping().await.is_ok() {
                return Ok(lent);
            }
            lent.discard();
        }
    }

    pub(super) const fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// A query in the engine's own spelling, and its values.
    pub(super) fn build(&self, query: &SelectStatement) -> (String, SqlxValues) {
        let mut text = Text::default();
        match self {
            Self::Postgres(_) => query.build_collect_into(PostgresQueryBuilder, &mut text),
            Self::Sqlite(_) => query.build_collect_into(SqliteQueryBuilder, &mut text),
        }
        (text.sql, SqlxValues(Values(text.values)))
    }
}

/// A statement that is being written. Limits stand in it, other values are bound: for a limit that it
/// does not know PostgreSQL expects a tenth of all rows, takes a plan for any value to be dear, and so
/// plans each execution anew, which takes several times as long as reading a page. There are few
/// sizes of pages, so there are few statements more.
#[derive(Default)]
struct Text {
    sql: String,
    values: Vec<Value>,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.sql.write_str(text)
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sql)
    }
}

impl SqlWriter for Text {
    fn push_param<T: QueryBuilder>(&mut self, value: Value, builder: &T) {
        // Writing to a string cannot fail. No column is unsigned, so an unsigned number is a limit.
        let _ = match value {
            Value::BigUnsigned(Some(limit)) => write!(self.sql, "{limit}"),
            value => {
                self.values.push(value);
                let (placeholder, is_numbered) = builder.placeholder();
                if is_numbered {
                    write!(self.sql, "{placeholder}{}", self.values.len())
                } else {
                    self.sql.write_str(placeholder)
                }
            }
        };
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}

impl Lent {
    async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => connection.ping().await,
            Self::Sqlite(connection) => connection.ping().await,
        }
    }

    /// All rows of a statement, which is kept prepared.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        // Its text is built of the program's own parts; what a client sent is among the values.
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => {
                query_with(sql, values).fetch_all(&mut **connection).await.map(results)
            }
            Self::Sqlite(connection) => {
                query_with(sql, values).fetch_all(&mut **connection).await.map(results)
            }
        }
    }

    /// Closes the connection without a word to the other side, which may not be listening.
    pub(super) fn discard(self) {
        match self {
            Self::Postgres(connection) => drop(connection.detach()),
            Self::Sqlite(connection) => drop(connection.detach()),
        }
    }
}

fn results<R: Row + Into<QueryResult>>(rows: Vec<R>) -> Vec<QueryResult> {
    rows.into_iter().map(Into::into).collect()
}
