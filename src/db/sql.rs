//! Rendering of statements in a database's dialect.

use std::fmt::{self, Display, Write};

use sea_orm::sea_query::{
    PostgresQueryBuilder, QueryBuilder, QueryStatementWriter, SqlWriter, SqliteQueryBuilder, Value,
    Values,
};
use sea_query_sqlx::SqlxValues;

use super::query::Dialect;

/// Text and values of a statement.
pub(super) fn build(dialect: Dialect, query: &impl QueryStatementWriter) -> (String, SqlxValues) {
    let mut text = SqlText::default();
    match dialect {
        Dialect::Postgres => query.build_collect_into(PostgresQueryBuilder, &mut text),
        Dialect::Sqlite => query.build_collect_into(SqliteQueryBuilder, &mut text),
    }
    (text.sql, SqlxValues(Values(text.values)))
}

/// Writer of a statement. Limits are inlined, other values are bound: for a bound limit PostgreSQL expects
/// a tenth of all rows, overestimates the cost of a generic plan, and so plans each execution anew, which
/// takes several times as long as reading a page. Page sizes are few, so there are few more statements.
#[derive(Default)]
struct SqlText {
    sql: String,
    values: Vec<Value>,
}

impl Write for SqlText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.sql.write_str(text)
    }
}

impl Display for SqlText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sql)
    }
}

impl SqlWriter for SqlText {
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
