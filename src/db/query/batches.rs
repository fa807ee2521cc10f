//! Results of any length in bounded memory: one batch after another, each a statement that begins
//! after the last row of the one before. Rows that come or go meanwhile neither repeat nor drop
//! others.

use sea_orm::sea_query::{SelectStatement, Value};

use super::keyset::List;
use crate::domain::page::Direction;

/// Where the reading of a list stands.
#[derive(Debug, Clone)]
pub struct Batches {
    list: List,
    size: u64,
    after: Option<Vec<Value>>,
    is_done: bool,
}

impl Batches {
    /// The whole list, so many rows at a time.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, Condition, IntoColumnRef, Order, Query, SqliteQueryBuilder};
    /// use wasteland_tarot::db::query::{batches::Batches, keyset::{Keyset, List}};
    ///
    /// let id = || Alias::new("id").into_column_ref();
    /// let mut batches = Batches::new(
    ///     List {
    ///         rows: Query::select().column("id").from("users").to_owned(),
    ///         condition: Condition::all(),
    ///         keyset: Keyset { columns: Vec::new(), id: (id(), "id"), order: Order::Asc },
    ///         parts: Vec::new(),
    ///     },
    ///     500,
    /// );
    /// let first = batches.select().expect("there is a first batch");
    /// assert!(first.to_string(SqliteQueryBuilder).ends_with("LIMIT 500"));
    /// batches.pass(500, Some(vec![7.into()]));
    /// let second = batches.select().expect("the first was full");
    /// assert!(second.to_string(SqliteQueryBuilder).contains("(7)"));
    /// batches.pass(20, Some(vec![9.into()]));
    /// assert!(batches.select().is_none());
    /// ```
    #[must_use]
    pub const fn new(list: List, size: u64) -> Self {
        Self { list, size, after: None, is_done: false }
    }

    /// The statement of the next batch; `None` when there is no more.
    #[must_use]
    pub fn select(&self) -> Option<SelectStatement> {
        if self.is_done {
            return None;
        }
        let mut rows = self.list.all();
        if let Some(key) = &self.after {
            rows.and_where(self.list.keyset.compare(key, Direction::Forward, false));
        }
        self.list.keyset.order(&mut rows, Direction::Forward);
        rows.limit(self.size);
        Some(rows)
    }

    /// Goes on after a batch of so many rows; the key is that of its last one. One that is not full is
    /// the last.
    pub fn pass(&mut self, rows: usize, last: Option<Vec<Value>>) {
        self.is_done = last.is_none() || (rows as u64) < self.size;
        self.after = last;
    }
}
