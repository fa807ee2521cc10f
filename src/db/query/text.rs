//! Text search. Search terms are literal: `%`, `_` and quotes have no special meaning. Case is ignored.

use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::{
    Alias, ColumnRef, Expr, ExprTrait, Func, IntoColumnRef, LikeExpr, Query, SimpleExpr,
};
use search_text::{fold_for_trigrams, has_trigram, has_trigram_of_words};

use super::Dialect;

/// True if the column contains the text, compared character by character. For a case-insensitive search both must
/// be folded.
///
/// ```
/// use sea_orm::sea_query::{Alias, IntoColumnRef, PostgresQueryBuilder, Query};
/// use wasteland_tarot::db::query::{Dialect, text::contains};
///
/// let name = Alias::new("search_username").into_column_ref();
/// let query = Query::select()
///     .column(name.clone())
///     .from("users")
///     .and_where(contains(Dialect::Postgres, name, "50%"))
///     .to_owned();
/// assert_eq!(
///     query.to_string(PostgresQueryBuilder),
///     r#"SELECT "search_username" FROM "users" WHERE STRPOS("search_username", '50%') > 0"#
/// );
/// ```
#[must_use]
pub fn contains(dialect: Dialect, column: ColumnRef, text: &str) -> SimpleExpr {
    let position = if dialect.is_sqlite() { "INSTR" } else { "STRPOS" };
    let position = Func::cust(position).arg(Expr::col(column)).arg(text);
    SimpleExpr::from(position).gt(super::constant(0))
}

/// Escape character of patterns: PostgreSQL's default. An explicit ESCAPE clause makes sea-query put brackets
/// around pattern and clause, which is invalid SQL.
const ESCAPE: char = '\\';

/// The `LIKE` pattern that matches a text anywhere.
fn pattern_of(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if ['%', '_', ESCAPE].contains(&character) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The search index of a table's texts. Its columns hold texts folded by [`fold_for_trigrams`]; the databases compare
/// them without case folding of their own.
#[derive(Debug, Clone, Copy)]
pub struct SearchIndex {
    /// The table.
    pub table: &'static str,
    /// SQLite's full-text index of the table.
    pub index: &'static str,
    /// The table's column that is the row number of the full-text index.
    pub row: &'static str,
}

impl SearchIndex {
    /// True if one of these columns contains the text. PostgreSQL finds terms by the trigrams of each
    /// column, if all columns have an index; SQLite finds terms of three characters. Shorter terms, and on PostgreSQL
    /// those of punctuation only, are compared row by row: narrow the rows first.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query, SqliteQueryBuilder};
    /// use wasteland_tarot::db::query::{Dialect, text::SearchIndex};
    ///
    /// let index = SearchIndex {
    ///     table: "reading_sessions",
    ///     index: "reading_sessions_search",
    ///     row: "search_id",
    /// };
    /// let query = |dialect, text| {
    ///     Query::select()
    ///         .column(Alias::new("id"))
    ///         .from("reading_sessions")
    ///         .and_where(index.contains(dialect, &["search_question", "search_notes"], text))
    ///         .to_owned()
    /// };
    /// let sqlite = |text| query(Dialect::Sqlite, text).to_string(SqliteQueryBuilder);
    /// assert!(sqlite("Fußball").contains(r#"MATCH '{search_question search_notes} : "fussball"'"#));
    /// assert!(sqlite("愛").contains(r#"MATCH '{search_question search_notes} : "愛愛愛"'"#));
    /// assert!(sqlite("no").contains(r#"INSTR("reading_sessions"."search_question", 'no') > 0"#));
    /// let postgres = |text| query(Dialect::Postgres, text).to_string(PostgresQueryBuilder);
    /// assert!(postgres("50%").contains(r#""search_question" LIKE E'%50\\%%'"#));
    /// assert!(postgres("???").contains(r#"STRPOS("reading_sessions"."search_question", '???') > 0"#));
    /// ```
    #[must_use]
    pub fn contains(&self, dialect: Dialect, columns: &[&'static str], text: &str) -> SimpleExpr {
        let column = |name: &'static str| (self.table, name).into_column_ref();
        let term = fold_for_trigrams(text);
        let has_trigram =
            if dialect.is_sqlite() { has_trigram(text) } else { has_trigram_of_words(text) };
        if !has_trigram {
            return self.contains_unindexed(dialect, columns, text);
        }
        if !dialect.is_sqlite() {
            let like = |name: &&'static str| {
                Expr::col(column(name)).like(LikeExpr::new(pattern_of(&term)))
            };
            return any(columns.iter().map(like));
        }
        let quoted = term.replace('"', "\"\"");
        let phrase = format!("{{{}}} : \"{quoted}\"", columns.join(" "));
        let index = Alias::new(self.index);
        let rows = Query::select()
            .column(Alias::new("rowid"))
            .from(index.clone())
            // The name of the index stands for all of its columns.
            .and_where(SqliteExpr::matches(Expr::col(index), phrase))
            .to_owned();
        Expr::col(column(self.row)).in_subquery(rows)
    }

    /// The same without the index, compared row by row, for rows that another index has narrowed. PostgreSQL then has
    /// one generic plan for all terms; with `LIKE` that plan could use the index of trigrams for a term without
    /// trigrams.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query};
    /// use wasteland_tarot::db::query::{Dialect, text::SearchIndex};
    ///
    /// let index = SearchIndex {
    ///     table: "reading_sessions",
    ///     index: "reading_sessions_search",
    ///     row: "search_id",
    /// };
    /// let sql = Query::select()
    ///     .column(Alias::new("id"))
    ///     .from("reading_sessions")
    ///     .and_where(index.contains_unindexed(Dialect::Postgres, &["search_question"], "No"))
    ///     .to_string(PostgresQueryBuilder);
    /// assert!(sql.ends_with(r#"STRPOS("reading_sessions"."search_question", 'no') > 0"#), "{sql}");
    /// ```
    #[must_use]
    pub fn contains_unindexed(
        &self,
        dialect: Dialect,
        columns: &[&'static str],
        text: &str,
    ) -> SimpleExpr {
        let term = fold_for_trigrams(text);
        let column = |name: &'static str| (self.table, name).into_column_ref();
        any(columns.iter().map(|name| contains(dialect, column(name), &term)))
    }
}

fn any(conditions: impl Iterator<Item = SimpleExpr>) -> SimpleExpr {
    conditions.reduce(ExprTrait::or).unwrap_or_else(|| super::constant(false))
}
