//! Counts over the whole site.

use sea_orm::sea_query::Query;

use super::entities::site_stats::{Column, Entity};
use super::query::columns::decode_rows;
use super::{DbError, Session};
use crate::domain::public_counts::PublicCounts;

/// Number of active users and complete readings, as of the last fold of the counters.
///
/// SQL: `public_stats.snap`.
pub async fn public_counts(session: &Session) -> Result<PublicCounts, DbError> {
    const STATEMENT: &str = "public_counts";
    let columns = [Column::Users, Column::Readings].map(|column| (Entity, column));
    let query = Query::select().columns(columns).from(Entity).to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    let counts = decode_rows(STATEMENT, &rows, |cells| {
        Ok(PublicCounts { users: cells.next()?, readings: cells.next()? })
    })?;
    Ok(counts.into_iter().next().unwrap_or_default())
}
