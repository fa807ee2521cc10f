//! Text search. What people type is text: `%`, `_` and quotes stand for themselves, and capitals do
//! not matter.

use sea_orm::sea_query::extension::postgres::PgExpr;
use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::{
    Alias, BinOper, ColumnRef, Expr, ExprTrait, Func, IntoColumnRef, LikeExpr, Query, SimpleExpr,
};

use super::Dialect;

/// Characters of the shortest text that an index of trigrams finds.
const TRIGRAM: usize = 3;
/// What a pattern has before a character that stands for itself.
const ESCAPE: char = '\\';

/// The column's text holds that text somewhere. On SQLite only Latin letters are alike in capitals.
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
        // PostgreSQL escapes by this character anyway. If it is named, sea-query writes brackets around
        // the pattern and the name, which is no SQL.
        Expr::col(column).ilike(like)
    }
}

/// What `LIKE` finds that text by, wherever it stands.
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

/// The texts of a table that are searched, and the index of them.
#[derive(Debug, Clone, Copy)]
pub struct SearchIndex {
    /// The table.
    pub table: &'static str,
    /// SQLite's full-text index of the table.
    pub index: &'static str,
    /// The column of the table that its rows are numbered by there.
    pub row: &'static str,
}

impl SearchIndex {
    /// One of these columns holds that text somewhere. PostgreSQL finds texts of three letters and more
    /// by the trigrams of each column, if all of them have an index; SQLite those of three characters
    /// and more. Shorter ones are compared row by row: narrow the rows first.
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
            let variants = in_capitals_or_not(text);
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
            // The index stands for all of its columns there.
            .and_where(SqliteExpr::matches(Expr::col(index), phrase))
            .to_owned();
        Expr::col(column(self.row)).in_subquery(rows)
    }

    /// The same on PostgreSQL, compared row by row whatever the text is, so that one plan is good for all
    /// texts: for rows that another index has narrowed, and that holds their texts. (`ILIKE` compares in
    /// this way as well, but finds by trigrams, and a plan for any text would do so for one that has none.)
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

/// A short text with each of its characters in each of its cases.
fn in_capitals_or_not(text: &str) -> Vec<String> {
    let mut texts = vec![String::new()];
    for character in text.chars() {
        let mut cases = vec![character];
        for other in [only(character.to_lowercase()), only(character.to_uppercase())] {
            cases.extend(other.filter(|other| *other != character));
        }
        texts = texts
            .iter()
            .flat_map(|begun| cases.iter().map(move |character| format!("{begun}{character}")))
            .collect();
    }
    texts
}

/// The one character, if there is one only.
fn only(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    if characters.next().is_none() { first } else { None }
}
