//! Versions of a database: migrations that are applied, also those of a newer program.
//!
//! During a rolling deployment, programs of the version before start on a database that the new version has
//! migrated already. A migration with which they still work says so in its name, which is what the database
//! stores of it: `m20261201_000031_add_decks_since_000029` is compatible with every program that knows
//! migration 29. A change that expands the schema is compatible with the programs before it, and one that
//! contracts it (drops a column, say) with those that no longer use what it removes.

use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::{MigratorTrait, SchemaManager};

use crate::Migrator;

const TABLE: &str = "seaql_migrations";

/// Names of the applied migrations in their order; none if the database has no table of them.
///
/// # Errors
///
/// The table cannot be read.
pub async fn applied_migrations(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    if !SchemaManager::new(connection).has_table(TABLE).await? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT version FROM {TABLE} ORDER BY version");
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}

/// True if this program works with a database that has this newer migration.
#[must_use]
pub fn is_compatible(newer: &str) -> bool {
    let newest = Migrator::migrations().iter().filter_map(|known| number_of(known.name())).max();
    compatible_since(newer).is_some_and(|since| Some(since) <= newest)
}

/// The number in a name such as `m20261101_000029_fold_names_of_users`.
fn number_of(name: &str) -> Option<u32> {
    name.split('_').nth(1)?.parse().ok()
}

fn compatible_since(name: &str) -> Option<u32> {
    name.rsplit_once("_since_")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_has_its_number() {
        for (index, migration) in Migrator::migrations().iter().enumerate() {
            assert_eq!(number_of(migration.name()), u32::try_from(index + 1).ok());
        }
    }

    #[test]
    fn a_newer_migration_is_compatible_with_programs_that_know_the_one_it_names() {
        let newest = Migrator::migrations().len();
        let name = |since: &str| format!("m20991231_999999_add_decks{since}");
        for since in [1, newest] {
            assert!(is_compatible(&name(&format!("_since_{since:06}"))), "{since}");
        }
        for since in [&*format!("_since_{:06}", newest + 1), "", "_since_", "_since_x", "_since"] {
            assert!(!is_compatible(&name(since)), "{since}");
        }
    }
}
