//! Rows by the tags in a column of JSON. PostgreSQL indexes the column itself; on SQLite a table beside
//! it, which triggers keep, tells which rows have a tag.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, IntoColumnRef, Query, SimpleExpr};
use serde_json::json;

use super::{Dialect, constant};

/// The tags of a table's rows.
#[derive(Debug, Clone, Copy)]
pub struct TagIndex {
    /// The table.
    pub table: &'static str,
    /// Its column of tags, a list of texts.
    pub column: &'static str,
    /// SQLite's table of tags and rows.
    pub index: &'static str,
    /// The column by which rows are numbered in both tables.
    pub row: &'static str,
}

/// Which rows a condition on tags is asked of. It decides how SQLite finds them; PostgreSQL decides
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Few: each is asked for its tags.
    Few,
    /// A whole table: tags are asked for their rows.
    Many,
}

impl TagIndex {
    /// The row has one of these tags; without any there is no such row.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query};
    /// use wasteland_tarot::db::query::{Dialect, tags::{Among, TagIndex}};
    ///
    /// let index = TagIndex {
    ///     table: "reading_sessions",
    ///     column: "tags",
    ///     index: "reading_session_tags",
    ///     row: "search_id",
    /// };
    /// let tags = ["愛情".to_owned()];
    /// let query = Query::select()
    ///     .column(Alias::new("id"))
    ///     .from("reading_sessions")
    ///     .and_where(index.has_any(Dialect::Postgres, Among::Many, &tags))
    ///     .to_owned();
    /// // `= ANY` would not use the index.
    /// assert!(query.to_string(PostgresQueryBuilder).contains(r#""tags" @> '["愛情"]'"#));
    /// ```
    #[must_use]
    pub fn has_any(&self, dialect: Dialect, among: Among, tags: &[String]) -> SimpleExpr {
        if tags.is_empty() {
            return constant(false);
        }
        if dialect.is_sqlite() {
            return self.is_listed(among, tags);
        }
        let each = tags.iter().map(|tag| self.holds(std::slice::from_ref(tag)));
        each.reduce(ExprTrait::or).unwrap_or_else(|| constant(false))
    }

    /// The row has all of these tags; without any every row has.
    #[must_use]
    pub fn has_all(&self, dialect: Dialect, among: Among, tags: &[String]) -> SimpleExpr {
        if tags.is_empty() {
            return constant(true);
        }
        if !dialect.is_sqlite() {
            return self.holds(tags);
        }
        let each = tags.iter().map(|tag| self.is_listed(among, std::slice::from_ref(tag)));
        each.reduce(ExprTrait::and).unwrap_or_else(|| constant(true))
    }

    fn holds(&self, tags: &[String]) -> SimpleExpr {
        Expr::col((self.table, self.column)).contains(Expr::value(json!(tags)))
    }

    fn is_listed(&self, among: Among, tags: &[String]) -> SimpleExpr {
        let of_index = |name: &'static str| (self.index, name).into_column_ref();
        let row = Expr::col((self.table, self.row));
        let mut rows = Query::select();
        rows.from(Alias::new(self.index))
            .and_where(Expr::col(of_index("tag")).is_in(tags.iter().map(String::as_str)));
        match among {
            Among::Few => {
                rows.expr(constant(1)).and_where(Expr::col(of_index(self.row)).eq(row));
                Expr::exists(rows)
            }
            Among::Many => {
                rows.column(of_index(self.row));
                row.in_subquery(rows)
            }
        }
    }
}
