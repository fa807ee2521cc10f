//! Folding of the searched texts of existing rows (see the crate `search-text`).

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use serde_json::{Map, Value};

use crate::dialect::is_sqlite;

/// A table with columns of texts, and a column of the folded text for each.
pub(crate) struct SearchedTable {
    pub(crate) name: &'static str,
    /// Case folding of a text.
    pub(crate) fold: fn(&str) -> String,
    pub(crate) columns: &'static [SearchedColumn],
}

/// A column of texts and that of the folded ones.
pub(crate) struct SearchedColumn {
    pub(crate) text: &'static str,
    pub(crate) search: &'static str,
}

/// Number of rows that are read and written at a time.
const BATCH: usize = 2_000;

impl SearchedTable {
    /// Folds all texts, in batches in the order of a key.
    pub(crate) async fn fold_all(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        let (connection, backend) = (manager.get_connection(), manager.get_database_backend());
        let statements = if is_sqlite(manager) { self.on_sqlite() } else { self.on_postgres() };
        let bind =
            |sql: &str, value: String| Statement::from_sql_and_values(backend, sql, [value.into()]);
        let mut select = Statement::from_string(backend, &statements.first);
        loop {
            let rows = connection.query_all_raw(select).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            select = bind(&statements.next, last.try_get("", "key")?);
            let batch =
                rows.iter().map(|row| self.folded_row(row)).collect::<Result<Value, _>>()?;
            connection.execute_raw(bind(&statements.write, batch.to_string())).await?;
        }
    }

    /// Folded texts of a row, by the names of their columns, and its key.
    fn folded_row(&self, row: &QueryResult) -> Result<Value, DbErr> {
        let mut folded = Map::new();
        folded.insert("key".to_owned(), row.try_get::<String>("", "key")?.into());
        for column in self.columns {
            let text: Option<String> = row.try_get("", column.text)?;
            folded.insert(column.search.to_owned(), text.as_deref().map(self.fold).into());
        }
        Ok(folded.into())
    }

    fn on_postgres(&self) -> BatchStatements {
        let Self { name, .. } = self;
        let select = format!("SELECT CAST(id AS text) AS key, {} FROM {name}", self.texts());
        let order = format!("ORDER BY id LIMIT {BATCH}");
        let set = self.join(|column| format!("{0} = batch.{0}", column.search));
        let columns = self.join(|column| format!("{} text", column.search));
        BatchStatements {
            first: format!("{select} {order}"),
            next: format!("{select} WHERE id > CAST($1 AS uuid) {order}"),
            write: format!(
                "UPDATE {name} SET {set}
                FROM jsonb_to_recordset(CAST($1 AS jsonb)) AS batch (key uuid, {columns})
                WHERE {name}.id = batch.key"
            ),
        }
    }

    fn on_sqlite(&self) -> BatchStatements {
        let Self { name, .. } = self;
        let select = format!("SELECT CAST(rowid AS text) AS key, {} FROM {name}", self.texts());
        let order = format!("ORDER BY rowid LIMIT {BATCH}");
        let set = self.join(|column| format!("{0} = batch.value ->> '{0}'", column.search));
        BatchStatements {
            first: format!("{select} {order}"),
            next: format!("{select} WHERE rowid > CAST(? AS integer) {order}"),
            write: format!(
                "UPDATE {name} SET {set} FROM json_each(?) AS batch
                WHERE {name}.rowid = CAST(batch.value ->> 'key' AS integer)"
            ),
        }
    }

    fn texts(&self) -> String {
        self.join(|column| column.text.to_owned())
    }

    fn join(&self, part: impl Fn(&SearchedColumn) -> String) -> String {
        self.columns.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

struct BatchStatements {
    first: String,
    next: String,
    write: String,
}
