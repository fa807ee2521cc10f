//! Bulk inserts.

use sea_orm::sea_query::{InsertStatement, OnConflict, Query};
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
