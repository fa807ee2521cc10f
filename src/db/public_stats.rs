//! Counts over the whole site.

use sea_orm::sea_query::Query;

use super::entities::site_stats::{Column, Entity};
use super::query::columns::rows_of;
use super::{DbError, Session};
use crate::domain::public_counts::PublicCounts;

/// Active users and complete readings, as of the last time that counters were brought up to date.
///
/// # Errors
///
/// The statement fails.
pub async fn public_counts(session: &Session) -> Result<PublicCounts, DbError> {
    const STATEMENT: &str = "public_counts";
    let columns = [Column::Users, Column::Readings].map(|column| (Entity, column));
    let query = Query::select().columns(columns).from(Entity).to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    let counts = rows_of(STATEMENT, &rows, |cells| {
        Ok(PublicCounts { users: cells.next()?, readings: cells.next()? })
    })?;
    Ok(counts.into_iter().next().unwrap_or_default())
}
