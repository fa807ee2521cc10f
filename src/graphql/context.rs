//! What a resolver can reach: who asks, the request's loaders, and the reference data.

use std::sync::Arc;

use async_graphql::Context;

use super::errors::ApiError;
use super::one_pass::Plans;
use crate::config::limits::DocumentLimits;
use crate::db::Session;
use crate::db::users::UserRow;
use crate::domain::viewer::Viewer;
use crate::loaders::Loaders;
use crate::services::catalogue::Catalogue;

/// One request.
pub struct RequestContext {
    /// Who asks.
    pub viewer: Viewer,
    /// The database as this request sees it.
    pub session: Session,
    /// This request's loaders.
    pub loaders: Loaders,
    /// The reference data.
    pub catalogue: Arc<Catalogue>,
    /// Limits of pages and ids.
    pub limits: Arc<DocumentLimits>,
    /// How its pages of readings are written.
    pub plans: Arc<Plans>,
}

impl RequestContext {
    /// A request of that viewer.
    #[must_use]
    pub fn new(
        viewer: Viewer,
        session: Session,
        catalogue: Arc<Catalogue>,
        limits: Arc<DocumentLimits>,
        plans: Arc<Plans>,
    ) -> Self {
        let loaders = Loaders::new(&session, viewer);
        Self { viewer, session, loaders, catalogue, limits, plans }
    }

    /// The row of the signed-in user; `None` when nobody is.
    ///
    /// # Errors
    ///
    /// The user exists no more or is deactivated, or the statement fails.
    pub async fn viewer_row(&self) -> Result<Option<Arc<UserRow>>, ApiError> {
        let Some(id) = self.viewer.user_id() else { return Ok(None) };
        let row = self.loaders.user_by_id.load_one(id).await?;
        row.filter(|row| row.is_active).map(Some).ok_or(ApiError::Unauthenticated)
    }
}

/// The request that a field belongs to.
#[must_use]
pub fn request<'a>(context: &Context<'a>) -> &'a RequestContext {
    context.data_unchecked::<RequestContext>()
}
