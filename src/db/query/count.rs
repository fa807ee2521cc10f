//! COUNT and EXISTS subqueries.

use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, SelectStatement, SimpleExpr};

use super::constant;

/// Number of rows of a statement, as a subquery. To be selected only on request: counting reads an index
/// entry for each row.
///
/// ```
/// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query};
/// use wasteland_tarot::db::query::count::count;
///
/// let users = Query::select().column(Alias::new("id")).from("users").to_owned();
/// let query = Query::select().expr(count(&users)).to_owned();
/// let sql = query.to_string(PostgresQueryBuilder);
/// assert_eq!(sql, r#"SELECT (SELECT COUNT(*) FROM "users")"#);
/// ```
#[must_use]
pub fn count(rows: &SelectStatement) -> SimpleExpr {
    let mut count = rows.clone();
    count.clear_selects().expr(Expr::col(Asterisk).count());
    SimpleExpr::SubQuery(None, Box::new(count.into()))
}

/// Subquery that is true if a statement has any row.
///
/// ```
/// use sea_orm::sea_query::{Alias, Expr, ExprTrait, PostgresQueryBuilder, Query};
/// use wasteland_tarot::db::query::count::exists;
///
/// let users = Query::select()
///     .column(Alias::new("id"))
///     .from("users")
///     .and_where(Expr::col("username").eq("demo"))
///     .to_owned();
/// let query = Query::select().expr(exists(&users)).to_owned();
/// let sql = query.to_string(PostgresQueryBuilder);
/// assert_eq!(sql, r#"SELECT EXISTS(SELECT 1 FROM "users" WHERE "username" = 'demo')"#);
/// ```
#[must_use]
pub fn exists(rows: &SelectStatement) -> SimpleExpr {
    let mut any = rows.clone();
    any.clear_selects().expr(constant(1));
    Expr::exists(any)
}
