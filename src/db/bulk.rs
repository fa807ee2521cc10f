//! Inserts and deletes of many rows, and inserts of rows with search texts: columns that their model lacks, so that no
//! row is written without them.

use sea_orm::sea_query::{
    DeleteStatement, Expr, InsertStatement, IntoIden, OnConflict, Query, Value,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, Iterable, ModelTrait};

use crate::config::database::BOUND_VALUES_MAXIMUM;

/// A row with search texts.
pub(super) trait Searched: ModelTrait {
    /// Columns of the search texts.
    const SEARCH_COLUMNS: &'static [&'static str];

    /// Search texts, in the order of their columns.
    fn search_texts(&self) -> Vec<Value>;
}

/// The INSERT of rows that fit into one statement.
pub(super) fn insert<M: ModelTrait>(rows: impl IntoIterator<Item = M>) -> InsertStatement {
    insert_with(&[], rows, |_| Vec::new())
}

/// The INSERT of rows that fit into one statement, with their search texts.
pub(super) fn insert_searched<M: Searched>(rows: impl IntoIterator<Item = M>) -> InsertStatement {
    insert_with(M::SEARCH_COLUMNS, rows, M::search_texts)
}

/// The INSERT of rows with further columns and their values.
fn insert_with<M: ModelTrait>(
    further: &'static [&'static str],
    rows: impl IntoIterator<Item = M>,
    values: impl Fn(&M) -> Vec<Value>,
) -> InsertStatement {
    let columns = <M::Entity as EntityTrait>::Column::iter;
    let further = further.iter().map(|name| name.into_iden());
    let mut statement = Query::insert();
    statement
        .into_table(M::Entity::default())
        .columns(columns().map(IntoIden::into_iden).chain(further));
    for row in rows {
        let values = columns().map(|column| row.get(column)).chain(values(&row));
        statement.values_panic(values.map(Expr::value));
    }
    statement
}

/// The DELETE of up to `limit` rows that fulfil the condition, by their key.
pub(super) fn delete_up_to<E: EntityTrait>(
    key: E::Column,
    condition: Expr,
    limit: u64,
) -> DeleteStatement {
    let chosen =
        Query::select().column(key).from(E::default()).and_where(condition).limit(limit).to_owned();
    Query::delete().from_table(E::default()).and_where(key.in_subquery(chosen)).to_owned()
}

/// Inserts the rows whose keys do not exist yet.
pub(super) async fn insert_missing<M: ModelTrait>(
    connection: &impl ConnectionTrait,
    rows: Vec<M>,
) -> Result<(), DbErr> {
    insert_batches(connection, rows, 0, insert).await
}

/// Inserts the rows whose keys do not exist yet, with their search texts.
pub(super) async fn insert_missing_searched<M: Searched>(
    connection: &impl ConnectionTrait,
    rows: Vec<M>,
) -> Result<(), DbErr> {
    insert_batches(connection, rows, M::SEARCH_COLUMNS.len(), insert_searched).await
}

/// Inserts the rows whose keys do not exist yet, in statements within the limit of bound values.
async fn insert_batches<M: ModelTrait>(
    connection: &impl ConnectionTrait,
    rows: Vec<M>,
    further_columns: usize,
    insert: fn(Vec<M>) -> InsertStatement,
) -> Result<(), DbErr> {
    let columns = <M::Entity as EntityTrait>::Column::iter().count() + further_columns;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement = insert(rows.by_ref().take(BOUND_VALUES_MAXIMUM / columns).collect());
        statement.on_conflict(OnConflict::new().do_nothing().to_owned());
        connection.execute(&statement).await?;
    }
    Ok(())
}
