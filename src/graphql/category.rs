//! Categories: users' folders for readings, visible to their owner alone.

use std::sync::Arc;

use async_graphql::Context;
use object_macro::object;

use super::context::request;
use super::errors::ApiError;
use super::id::GlobalId;
use crate::db::categories::CategoryRow;

/// A folder for readings, visible to its owner alone.
#[derive(Clone)]
pub struct Category(pub Arc<CategoryRow>);

/// A folder for readings, visible to its owner alone.
#[object]
impl Category {
    /// Id of the category, for `node`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Category(self.0.id)
    }

    /// Name, 1 to 100 characters, unique among the categories of a user.
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Colour as `#rrggbb`.
    fn color(&self) -> &str {
        &self.0.color
    }

    /// Name of an icon, at most 50 characters; null if none was chosen.
    fn icon(&self) -> Option<&str> {
        self.0.icon.as_deref()
    }

    /// Description, at most 500 characters; null if none was given.
    fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Number of readings in the category, archived ones included.
    async fn reading_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        let loader = &request(context).loaders.reading_count_by_category_id;
        Ok(loader.load_one(self.0.id).await?.unwrap_or(0))
    }
}
