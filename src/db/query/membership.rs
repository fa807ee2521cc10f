//! Conditions "is one of these ids", for batches.

use sea_orm::ColumnTrait;
use sea_orm::sea_query::extension::postgres::PgFunc;
use sea_orm::sea_query::{ArrayType, Expr, ExprTrait, SimpleExpr, Value};
use uuid::Uuid;

use super::Dialect;

/// True if the column is one of the ids. On PostgreSQL the ids are one array, so that the statement's text,
/// and with it the prepared statement, is the same for any number of ids.
///
/// ```
/// use sea_orm::sea_query::{PostgresQueryBuilder, Query};
/// use uuid::Uuid;
/// use wasteland_tarot::db::entities::users::{Column, Entity};
/// use wasteland_tarot::db::query::{Dialect, membership::is_one_of};
///
/// let condition = is_one_of(Dialect::Postgres, Column::Id, &[Uuid::nil(), Uuid::max()]);
/// let query = Query::select().column(Column::Id).from(Entity).and_where(condition).to_owned();
/// assert!(query.to_string(PostgresQueryBuilder).contains(r#""users"."id" = ANY("#));
/// ```
pub fn is_one_of(dialect: Dialect, column: impl ColumnTrait, ids: &[Uuid]) -> SimpleExpr {
    let column_expression = Expr::col(column.as_column_ref());
    if dialect.is_sqlite() {
        return column_expression.is_in(ids.iter().copied());
    }
    column_expression.eq(PgFunc::any(uuid_array(ids)))
}

/// The ids as one PostgreSQL array.
pub fn uuid_array(ids: &[Uuid]) -> Value {
    let values = ids.iter().copied().map(Value::from).collect();
    Value::Array(ArrayType::Uuid, Some(Box::new(values)))
}
