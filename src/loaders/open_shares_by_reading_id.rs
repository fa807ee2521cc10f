//! Open share links of the viewer's own readings, by reading.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Load;
use crate::db::shares::{ShareRow, open_shares_by_reading_id};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads share links that are open at a time.
pub struct OpenSharesByReadingId(
    pub(super) Session,
    pub(super) CurrentViewer,
    pub(super) DateTime<Utc>,
);

impl Load for OpenSharesByReadingId {
    type Key = Uuid;
    type Value = Arc<[ShareRow]>;

    async fn load(&self, readings: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.1.get().user_id() else { return Ok(HashMap::new()) };
        let shares = open_shares_by_reading_id(&self.0, owner, readings, self.2).await?;
        Ok(shares.into_iter().map(|(reading, shares)| (reading, shares.into())).collect())
    }
}
