//! Conditions on the tags in a JSON column. PostgreSQL indexes the column itself; SQLite has a table of
//! tags and rows beside it, which triggers maintain.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::{
    Alias, BinOper, Expr, ExprTrait, IntoColumnRef, Query, SimpleExpr, Value,
};
use serde_json::json;

use super::{Dialect, constant};

/// The tags of a table's rows.
#[derive(Debug, Clone, Copy)]
pub struct TagIndex {
    /// The table.
    pub table: &'static str,
    /// Its JSON column of tags, a list of texts.
    pub column: &'static str,
    /// SQLite's table of tags and rows.
    pub index: &'static str,
    /// Row number column of both tables.
    pub row: &'static str,
}

/// Direction in which SQLite evaluates a condition on tags. PostgreSQL chooses by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagLookup {
    /// The tags of each row: for few rows.
    ByRow,
    /// The rows of each tag: for a whole table.
    ByTag,
}

impl TagIndex {
    /// True for rows with at least one of these tags; false for all rows if the list is empty.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query};
    /// use wasteland_tarot::db::query::{Dialect, tags::{TagIndex, TagLookup}};
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
    ///     .and_where(index.has_any(Dialect::Postgres, TagLookup::ByTag, &tags))
    ///     .to_owned();
    /// // `= ANY` would not use the index.
    /// assert!(query.to_string(PostgresQueryBuilder).contains(r#""tags" ?| ARRAY ['愛情']"#));
    /// ```
    #[must_use]
    pub fn has_any(&self, dialect: Dialect, lookup: TagLookup, tags: &[String]) -> SimpleExpr {
        if tags.is_empty() {
            return constant(false);
        }
        if dialect.is_sqlite() {
            return self.is_listed(lookup, tags);
        }
        // One condition for any number of tags: of twenty, PostgreSQL plans each for longer than it reads.
        let tags = Value::from(tags.to_vec());
        Expr::col((self.table, self.column)).binary(BinOper::Custom("?|"), Expr::value(tags))
    }

    /// True for rows with all of these tags; true for all rows if the list is empty.
    #[must_use]
    pub fn has_all(&self, dialect: Dialect, lookup: TagLookup, tags: &[String]) -> SimpleExpr {
        if tags.is_empty() {
            return constant(true);
        }
        if !dialect.is_sqlite() {
            return self.holds(tags);
        }
        let each = tags.iter().map(|tag| self.is_listed(lookup, std::slice::from_ref(tag)));
        each.reduce(ExprTrait::and).unwrap_or_else(|| constant(true))
    }

    fn holds(&self, tags: &[String]) -> SimpleExpr {
        Expr::col((self.table, self.column)).contains(Expr::value(json!(tags)))
    }

    fn is_listed(&self, lookup: TagLookup, tags: &[String]) -> SimpleExpr {
        let of_index = |name: &'static str| (self.index, name).into_column_ref();
        let row = Expr::col((self.table, self.row));
        let mut rows = Query::select();
        rows.from(Alias::new(self.index))
            .and_where(Expr::col(of_index("tag")).is_in(tags.iter().map(String::as_str)));
        match lookup {
            TagLookup::ByRow => {
                rows.expr(constant(1)).and_where(Expr::col(of_index(self.row)).eq(row));
                Expr::exists(rows)
            }
            TagLookup::ByTag => {
                rows.column(of_index(self.row));
                row.in_subquery(rows)
            }
        }
    }
}
