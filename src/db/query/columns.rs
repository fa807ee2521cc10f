//! Which columns of a row are read. The texts of readings and of their cards are most of what they
//! weigh, and most lists do not show them.

use sea_orm::{DbErr, FromQueryResult, QueryResult};

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

    /// The texts of a row that was read with these columns.
    pub(in crate::db) fn texts<T: FromQueryResult>(
        self,
        row: &QueryResult,
    ) -> Result<Option<T>, DbErr> {
        match self {
            Self::WithoutTexts => Ok(None),
            Self::WithTexts => T::from_query_result(row, "").map(Some),
        }
    }
}

/// The set that has what all of these have.
pub fn most_of(columns: impl Iterator<Item = Columns>) -> Columns {
    columns.max().unwrap_or(Columns::WithoutTexts)
}
