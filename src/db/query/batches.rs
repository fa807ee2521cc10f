//! Results of any length in bounded memory: one batch after another, each a statement that starts after
//! the last row of the batch before. Concurrent inserts and deletes neither repeat nor skip other rows.

use sea_orm::sea_query::{SelectStatement, Value};

use super::keyset::{KeySide, KeysetList};
use crate::domain::page::Direction;

/// Progress of reading a list in batches.
#[derive(Debug, Clone)]
pub struct KeysetBatches {
    list: KeysetList,
    size: u64,
    after: Option<Vec<Value>>,
    is_done: bool,
}

impl KeysetBatches {
    /// Batches of at most `size` rows.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, Condition, IntoColumnRef, Order, Query, SqliteQueryBuilder};
    /// use wasteland_tarot::db::query::{batches::KeysetBatches, keyset::{AccessPath, Keyset, KeysetList}};
    ///
    /// let id = || Alias::new("id").into_column_ref();
    /// let mut batches = KeysetBatches::new(
    ///     KeysetList {
    ///         rows: Query::select().column("id").from("users").to_owned(),
    ///         condition: Condition::all(),
    ///         keyset: Keyset { columns: Vec::new(), id: (id(), "id"), order: Order::Asc },
    ///         access: AccessPath::Ordered,
    ///         count_limit: None,
    ///     },
    ///     500,
    /// );
    /// let first = batches.select().expect("there is a first batch");
    /// assert!(first.to_string(SqliteQueryBuilder).ends_with("LIMIT 500"));
    /// batches.advance(500, Some(vec![7.into()]));
    /// let second = batches.select().expect("the first was full");
    /// assert!(second.to_string(SqliteQueryBuilder).contains("(7)"));
    /// batches.advance(20, Some(vec![9.into()]));
    /// assert!(batches.select().is_none());
    /// ```
    #[must_use]
    pub const fn new(list: KeysetList, size: u64) -> Self {
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
            rows.and_where(self.list.keyset.compare(key, Direction::Forward, KeySide::Page));
        }
        self.list.keyset.order(&mut rows, Direction::Forward);
        rows.limit(self.size);
        Some(rows)
    }

    /// Advances past a batch: its number of rows, and the key of its last row. A batch that is not full is
    /// the last one.
    pub fn advance(&mut self, rows: usize, last: Option<Vec<Value>>) {
        self.is_done = last.is_none() || (rows as u64) < self.size;
        self.after = last;
    }
}
