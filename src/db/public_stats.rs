//! What the landing page counts.

use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};

use super::entities::{reading_sessions, users};
use super::{DbError, Session};
use crate::domain::reading::ReadingStatus;

/// Counts over the whole site.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct PublicCounts {
    /// Active users.
    pub users: i64,
    /// Complete readings.
    pub readings: i64,
}

/// Counts users and readings.
///
/// # Errors
///
/// The statement fails.
pub async fn public_counts(session: &Session) -> Result<PublicCounts, DbError> {
    const STATEMENT: &str = "public_counts";
    let count = |mut query: sea_orm::sea_query::SelectStatement| {
        query.clear_selects().expr(Expr::col(Asterisk).count());
        SimpleExpr::SubQuery(None, Box::new(query.into()))
    };
    let users = users::Entity::find().filter(users::Column::IsActive.eq(true)).into_query();
    let readings = reading_sessions::Entity::find()
        .select_only()
        .filter(reading_sessions::Column::Status.eq(ReadingStatus::Complete))
        .into_query();
    let query = Query::select()
        .expr_as(count(users), "users")
        .expr_as(count(readings), "readings")
        .to_owned();
    let counts = session.one(STATEMENT, &query).await?;
    Ok(counts.unwrap_or(PublicCounts { users: 0, readings: 0 }))
}
