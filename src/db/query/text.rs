//! Text search.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{ColumnRef, Expr, ExprTrait, LikeExpr, SimpleExpr};

use super::Dialect;

/// The column's text holds that text somewhere, in capitals or not. What people type is text: `%`
/// and `_` stand for themselves.
#[must_use]
pub fn contains(dialect: Dialect, column: ColumnRef, text: &str) -> SimpleExpr {
    const ESCAPE: char = '\\';
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if ['%', '_', ESCAPE].contains(&character) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    pattern.push('%');
    let like = LikeExpr::new(pattern);
    if dialect.is_sqlite() {
        Expr::col(column).like(like.escape(ESCAPE))
    } else {
        // PostgreSQL escapes by this character anyway. If it is named, sea-query writes brackets around
        // the pattern and the name, which is no SQL.
        Expr::col(column).ilike(like)
    }
}
