//! Column sets of readings and drawn cards, and decoding of rows by position. The long texts are most of
//! a row's bytes, and most lists do not show them.

use sea_orm::{DbErr, QueryResult, TryGetable};

use crate::db::DbError;

/// Columns of readings to read: each set contains the ones before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadingColumns {
    /// All columns except the long texts.
    #[default]
    WithoutTexts,
    /// With the summary.
    WithSummary,
    /// All columns that some viewer may see.
    WithTexts,
}

/// Columns of drawn cards to read: each set contains the ones before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DrawnCardColumns {
    /// All columns except the texts.
    #[default]
    WithoutTexts,
    /// With the names of the positions.
    WithPositionNames,
    /// With the names and meanings of the positions.
    WithPositionTexts,
    /// All columns.
    WithTexts,
}

/// The smallest set that contains all of these sets.
pub fn widest<C: Ord + Default>(sets: impl Iterator<Item = C>) -> C {
    sets.max().unwrap_or_default()
}

/// Cursor over the cells of a row, in the order of the selected columns. Finding each cell by its column's
/// name takes longer than decoding it.
pub(in crate::db) struct Cells<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl<'a> Cells<'a> {
    /// The cells from an index on.
    pub(in crate::db) const fn from(row: &'a QueryResult, first: usize) -> Self {
        Self { row, next: first }
    }

    /// Decodes the next cell.
    pub(in crate::db) fn next<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let (row, index) = self.next_index();
        row.try_get_by_index(index)
    }

    /// Row and index of the next cell, undecoded.
    pub(in crate::db) const fn next_index(&mut self) -> (&'a QueryResult, usize) {
        let index = self.next;
        self.next += 1;
        (self.row, index)
    }
}

/// Decodes all rows of a statement by position.
pub(in crate::db) fn decode_rows<T>(
    statement: &'static str,
    rows: &[QueryResult],
    mut read: impl FnMut(&mut Cells<'_>) -> Result<T, DbErr>,
) -> Result<Vec<T>, DbError> {
    rows.iter()
        .map(|row| read(&mut Cells::from(row, 0)))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(statement, error))
}
