//! Time ranges.

use chrono::{DateTime, Utc};
use sea_orm::Condition;
use sea_orm::sea_query::{ColumnRef, Expr, ExprTrait};

/// True for times in the half-open range from `from` to `to`; `None` is unbounded.
///
/// ```
/// use sea_orm::sea_query::{Alias, IntoColumnRef, Query, SqliteQueryBuilder};
/// use wasteland_tarot::db::query::range::within;
///
/// let from = "2026-11-01T00:00:00Z".parse().ok();
/// let created_at = Alias::new("created_at").into_column_ref();
/// let query = Query::select()
///     .column(Alias::new("id"))
///     .from("reading_sessions")
///     .cond_where(within(&created_at, from, None))
///     .to_owned();
/// assert!(query.to_string(SqliteQueryBuilder).contains(r#"WHERE "created_at" >= '2026-11-01"#));
/// ```
#[must_use]
pub fn within(
    column: &ColumnRef,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Condition {
    Condition::all()
        .add_option(from.map(|from| Expr::col(column.clone()).gte(from)))
        .add_option(to.map(|to| Expr::col(column.clone()).lt(to)))
}
