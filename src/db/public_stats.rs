//! Counts over the whole site.

use sea_orm::{DerivePartialModel, EntityTrait, PartialModelTrait, QuerySelect, QueryTrait};

use super::entities::site_stats::Entity;
use super::{DbError, Session};

/// What the landing page counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct PublicCounts {
    pub users: i64,
    pub readings: i64,
}

/// Active users and complete readings, as of the last time that counters were brought up to date.
///
/// # Errors
///
/// The statement fails.
pub async fn public_counts(session: &Session) -> Result<PublicCounts, DbError> {
    let query = PublicCounts::select_cols(Entity::find().select_only()).into_query();
    Ok(session.one("public_counts", &query).await?.unwrap_or_default())
}
