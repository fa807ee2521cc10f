//! The two spellings of SQL.

/// Which database a statement is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 or later.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// Whether it is SQLite's.
    #[must_use]
    pub const fn is_sqlite(self) -> bool {
        matches!(self, Self::Sqlite)
    }
}
