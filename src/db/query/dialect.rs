//! SQL dialects.

/// SQL dialect of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 or later.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Dialect {
    /// True if this is SQLite's dialect.
    #[must_use]
    pub const fn is_sqlite(self) -> bool {
        matches!(self, Self::Sqlite)
    }
}
