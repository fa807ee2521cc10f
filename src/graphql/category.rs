//! Users' own folders for readings. Only their owner sees them.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::context::request;
use super::errors::ApiError;
use super::id::GlobalId;
use crate::db::categories::CategoryRow;

/// A folder for readings, made by the viewer.
#[derive(Clone)]
pub struct Category(pub Arc<CategoryRow>);

/// A folder for readings, made by the viewer.
#[Object]
impl Category {
    /// The category's id, for `node`.
    pub async fn id(&self) -> ID {
        GlobalId::Category(self.0.id).encode()
    }

    /// Its name, 1 to 100 characters; no two of one user are alike.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Its colour, `#rrggbb`.
    async fn color(&self) -> &str {
        &self.0.color
    }

    /// The name of an icon, at most 50 characters; null if none was chosen.
    async fn icon(&self) -> Option<&str> {
        self.0.icon.as_deref()
    }

    /// What it is for; null if nothing was written.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// How many readings it holds, archived ones included.
    async fn reading_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        let loader = &request(context).loaders.reading_count_by_category_id;
        Ok(loader.load_one(self.0.id).await?.unwrap_or(0))
    }
}
