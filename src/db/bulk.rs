//! Bulk inserts, and inserts of rows with texts that searches compare.

use sea_orm::sea_query::{Expr, InsertStatement, IntoIden, OnConflict, Query, Value};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait,
};

use crate::config::database::BOUND_VALUES_MAXIMUM;

/// Inserts the rows whose keys do not exist yet.
pub(super) async fn insert_missing<M>(
    connection: &impl ConnectionTrait,
    rows: Vec<M>,
) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<<M as ModelTrait>::Entity as EntityTrait>::ActiveModel>,
    <<M as ModelTrait>::Entity as EntityTrait>::ActiveModel:
        ActiveModelTrait<Entity = M::Entity> + Send,
{
    let columns = <M::Entity as EntityTrait>::Column::iter().count();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let batch = rows.by_ref().take(BOUND_VALUES_MAXIMUM / columns);
        let active = batch.map(|row| {
            let mut row = row.into_active_model();
            // A model's columns count as unchanged, and unchanged columns are not inserted.
            for column in <M::Entity as EntityTrait>::Column::iter() {
                row.reset(column);
            }
            row
        });
        M::Entity::insert_many(active)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

/// The INSERT of rows that fit into one statement.
pub(super) fn insert<M: ModelTrait>(rows: impl IntoIterator<Item = M>) -> InsertStatement {
    let columns = <M::Entity as EntityTrait>::Column::iter;
    let mut statement = Query::insert();
    statement.into_table(M::Entity::default()).columns(columns());
    for row in rows {
        statement.values_panic(columns().map(|column| row.get(column).into()));
    }
    statement
}

/// A row with texts that searches compare: columns that its model lacks, so that no row is written without
/// them.
pub(super) trait Searched: ModelTrait {
    /// Names of these columns.
    const SEARCH_COLUMNS: &'static [&'static str];

    /// Their values, in that order.
    fn search_texts(&self) -> Vec<Value>;
}

/// The INSERT of rows that fit into one statement, with the texts that searches compare.
pub(super) fn insert_searched<M: Searched>(rows: impl IntoIterator<Item = M>) -> InsertStatement {
    let columns = <M::Entity as EntityTrait>::Column::iter;
    let searched = M::SEARCH_COLUMNS.iter().map(|name| name.into_iden());
    let mut statement = Query::insert();
    statement
        .into_table(M::Entity::default())
        .columns(columns().map(IntoIden::into_iden).chain(searched));
    for row in rows {
        let values = columns().map(|column| row.get(column)).chain(row.search_texts());
        statement.values_panic(values.map(Expr::value));
    }
    statement
}

/// Inserts the rows whose keys do not exist yet, with the texts that searches compare.
pub(super) async fn insert_missing_searched<M: Searched>(
    connection: &impl ConnectionTrait,
    rows: Vec<M>,
) -> Result<(), DbErr> {
    let columns = <M::Entity as EntityTrait>::Column::iter().count() + M::SEARCH_COLUMNS.len();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut statement = insert_searched(rows.by_ref().take(BOUND_VALUES_MAXIMUM / columns));
        statement.on_conflict(OnConflict::new().do_nothing().to_owned());
        connection.execute(&statement).await?;
    }
    Ok(())
}
