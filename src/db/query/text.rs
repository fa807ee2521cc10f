//! Text search. Search terms are literal: `%`, `_` and quotes have no special meaning. Case is ignored.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::{
    Alias, BinOper, ColumnRef, Expr, ExprTrait, Func, IntoColumnRef, LikeExpr, Query, SimpleExpr,
};

use super::Dialect;

/// Length of the shortest term that a trigram index finds, in characters.
const TRIGRAM: usize = 3;
/// Escape character of patterns.
const ESCAPE: char = '\\';

/// True if the column contains the text. On SQLite case is ignored for Latin letters only.
///
/// ```
/// use sea_orm::sea_query::{Alias, IntoColumnRef, PostgresQueryBuilder, Query};
/// use wasteland_tarot::db::query::{Dialect, text::contains};
///
/// let name = Alias::new("username").into_column_ref();
/// let query = Query::select()
///     .column(name.clone())
///     .from("users")
///     .and_where(contains(Dialect::Postgres, name, "50%"))
///     .to_owned();
/// assert_eq!(
///     query.to_string(PostgresQueryBuilder),
///     r#"SELECT "username" FROM "users" WHERE "username" ILIKE E'%50\\%%'"#
/// );
/// ```
#[must_use]
pub fn contains(dialect: Dialect, column: ColumnRef, text: &str) -> SimpleExpr {
    let like = LikeExpr::new(pattern_of(text));
    if dialect.is_sqlite() {
        Expr::col(column).like(like.escape(ESCAPE))
    } else {
        // PostgreSQL's default escape character. An explicit ESCAPE clause makes sea-query put brackets
        // around pattern and clause, which is invalid SQL.
        Expr::col(column).ilike(like)
    }
}

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

/// The search index of a table's texts.
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
    /// True if one of these columns contains the text. PostgreSQL finds terms of three letters and more by
    /// the trigrams of each column, if all columns have an index; SQLite finds terms of three characters
    /// and more. Shorter terms are compared row by row: narrow the rows first.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, Query, SqliteQueryBuilder};
    /// use wasteland_tarot::db::query::{Dialect, text::SearchIndex};
    ///
    /// let index = SearchIndex {
    ///     table: "reading_sessions",
    ///     index: "reading_sessions_search",
    ///     row: "search_id",
    /// };
    /// let sql = |text| {
    ///     Query::select()
    ///         .column(Alias::new("id"))
    ///         .from("reading_sessions")
    ///         .and_where(index.contains(Dialect::Sqlite, &["question", "notes"], text))
    ///         .to_string(SqliteQueryBuilder)
    /// };
    /// assert!(sql("fußball").contains(r#"MATCH '{question notes} : "fußball"'"#));
    /// assert!(sql("愛").contains(r#"INSTR("reading_sessions"."question", '愛') > 0"#));
    /// ```
    #[must_use]
    pub fn contains(&self, dialect: Dialect, columns: &[&'static str], text: &str) -> SimpleExpr {
        let column = |name: &'static str| (self.table, name).into_column_ref();
        if !dialect.is_sqlite() {
            return any(columns.iter().map(|name| contains(dialect, column(name), text)));
        }
        if text.chars().count() < TRIGRAM {
            let variants = case_variants(text);
            return any(columns.iter().flat_map(|name| {
                variants.iter().map(|variant| holds(Expr::col(column(name)), variant))
            }));
        }
        let quoted = text.replace('"', "\"\"");
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

    /// The same on PostgreSQL, compared row by row whatever the term, so that the generic plan suits all
    /// terms: for rows that a covering index has narrowed. (`ILIKE` may use the trigram index, and its
    /// generic plan would do so for a term without trigrams too.)
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, PostgresQueryBuilder, Query};
    /// use wasteland_tarot::db::query::text::SearchIndex;
    ///
    /// let index = SearchIndex {
    ///     table: "reading_sessions",
    ///     index: "reading_sessions_search",
    ///     row: "search_id",
    /// };
    /// let sql = Query::select()
    ///     .column(Alias::new("id"))
    ///     .from("reading_sessions")
    ///     .and_where(index.compares(&["question"], "愛"))
    ///     .to_string(PostgresQueryBuilder);
    /// assert!(sql.ends_with(r#"LOWER("reading_sessions"."question") LIKE LOWER('%愛%')"#), "{sql}");
    /// ```
    #[must_use]
    pub fn compares(&self, columns: &[&'static str], text: &str) -> SimpleExpr {
        any(columns.iter().map(|name| {
            let column = Expr::col((self.table, *name).into_column_ref());
            let pattern = Func::lower(Expr::value(pattern_of(text)));
            SimpleExpr::from(Func::lower(column)).binary(BinOper::Like, pattern)
        }))
    }
}

fn any(conditions: impl Iterator<Item = SimpleExpr>) -> SimpleExpr {
    conditions.reduce(ExprTrait::or).unwrap_or_else(|| super::constant(false))
}

fn holds(text: SimpleExpr, part: &str) -> SimpleExpr {
    SimpleExpr::from(Func::cust("INSTR").arg(text).arg(part)).gt(super::constant(0))
}

/// All spellings of a short text in upper and lower case.
fn case_variants(text: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    for character in text.chars() {
        let mut cases = vec![character];
        for other in [single(character.to_lowercase()), single(character.to_uppercase())] {
            cases.extend(other.filter(|other| *other != character));
        }
        texts = texts
            .iter()
            .flat_map(|begun| cases.iter().map(move |character| format!("{begun}{character}")))
            .collect();
    }
    texts
}

/// The only character of an iterator, `None` if there are several.
fn single(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    if characters.next().is_none() { first } else { None }
}
