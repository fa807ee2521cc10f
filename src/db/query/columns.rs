//! Which columns of a row are read. The texts of readings and of their cards are most of what they
//! weigh, and most lists do not show them.

use sea_orm::{DbErr, QueryResult, TryGetable};

use crate::db::DbError;

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Columns {
    /// Everything but the long texts.
    WithoutTexts,
    /// Everything that some viewer may see.
    WithTexts,
}

impl Columns {
    /// The set that has the texts if they are wanted.
    #[must_use]
    pub const fn with_texts_if(wanted: bool) -> Self {
        if wanted { Self::WithTexts } else { Self::WithoutTexts }
    }

    /// The smallest set that contains all of these sets.
    pub fn widest(sets: impl Iterator<Item = Self>) -> Self {
        sets.max().unwrap_or(Self::WithoutTexts)
    }
}

/// The cells of a row in the order in which their columns were selected. Rows that are read by the
/// hundred are read so: finding each cell by its column's name takes longer than reading it.
pub(in crate::db) struct Cells<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl<'a> Cells<'a> {
    /// The cells from that place on.
    pub(in crate::db) const fn from(row: &'a QueryResult, first: usize) -> Self {
        Self { row, next: first }
    }

    /// The next one.
    pub(in crate::db) fn next<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let (row, index) = self.next_place();
        row.try_get_by_index(index)
    }

    /// Where the next one is.
    pub(in crate::db) const fn next_place(&mut self) -> (&'a QueryResult, usize) {
        let index = self.next;
        self.next += 1;
        (self.row, index)
    }
}

/// What all rows of a statement say.
pub(in crate::db) fn rows_of<T>(
    statement: &'static str,
    rows: &[QueryResult],
    read: impl Fn(&mut Cells<'_>) -> Result<T, DbErr>,
) -> Result<Vec<T>, DbError> {
    rows.iter()
        .map(|row| read(&mut Cells::from(row, 0)))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(statement, error))
}
