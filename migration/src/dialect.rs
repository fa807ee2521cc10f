//! Placeholders for SQL that differs between PostgreSQL and SQLite.
//!
//! A statement contains them in braces: `{uuid}`, `{ts}` (PostgreSQL `timestamptz`; SQLite RFC 3339
//! text in UTC, which sorts as the times do), `{json}`, `{double}`, `{id}` (the primary key of a
//! table whose rows a full-text index refers to by number on SQLite), `{now}` (the time of the migration).

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr};

const POSTGRES: [(&str, &str); 6] = [
    ("{uuid}", "uuid"),
    ("{ts}", "timestamptz"),
    ("{json}", "jsonb"),
    ("{double}", "double precision"),
    ("{id}", "id uuid PRIMARY KEY"),
    ("{now}", "now()"),
];

// A rowid that is not an INTEGER PRIMARY KEY may change at VACUUM, and a full-text index refers to rows
// by rowid: so a searched table has a numbered key beside its id.
const SQLITE: [(&str, &str); 6] = [
    ("{uuid}", "blob"),
    ("{ts}", "text"),
    ("{json}", "text"),
    ("{double}", "real"),
    ("{id}", "search_id integer PRIMARY KEY, id blob NOT NULL UNIQUE"),
    ("{now}", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"),
];

/// Runs the statements in order, in the database's dialect.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let words = if is_sqlite(manager) { SQLITE } else { POSTGRES };
    for statement in statements {
        let sql =
            words.iter().fold((*statement).to_owned(), |sql, (name, word)| sql.replace(name, word));
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Runs the statements in order on PostgreSQL. Does nothing on SQLite.
pub(crate) async fn run_on_postgres(
    manager: &SchemaManager<'_>,
    statements: &[&str],
) -> Result<(), DbErr> {
    if is_sqlite(manager) {
        return Ok(());
    }
    run(manager, statements).await
}

/// Drops the tables in order.
pub(crate) async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    drop_each(manager, "TABLE", tables).await
}

/// Drops the indexes in order.
pub(crate) async fn drop_indexes(
    manager: &SchemaManager<'_>,
    indexes: &[&str],
) -> Result<(), DbErr> {
    drop_each(manager, "INDEX", indexes).await
}

async fn drop_each(manager: &SchemaManager<'_>, kind: &str, names: &[&str]) -> Result<(), DbErr> {
    for name in names {
        manager.get_connection().execute_unprepared(&format!("DROP {kind} {name}")).await?;
    }
    Ok(())
}

/// True if the migration runs on SQLite; otherwise it runs on PostgreSQL.
pub(crate) fn is_sqlite(manager: &SchemaManager<'_>) -> bool {
    manager.get_database_backend() == DbBackend::Sqlite
}
