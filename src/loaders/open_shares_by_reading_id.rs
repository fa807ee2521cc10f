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
pub struct OpenSharesByReadingId(pub(super) CurrentViewer, pub(super) DateTime<Utc>);

impl Load for OpenSharesByReadingId {
    type Key = Uuid;
    type Value = Arc<[ShareRow]>;

    async fn load(
        &self,
        session: &Session,
        readings: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.0.get().user_id() else { return Ok(HashMap::new()) };
        let shares = open_shares_by_reading_id(session, owner, readings, self.1).await?;
        Ok(shares.into_iter().map(|(reading, shares)| (reading, shares.into())).collect())
    }
}
