//! Hidden readings with their reasons, by id.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::hidden_readings::{HiddenReadingRow, hidden_readings_by_id};
use crate::db::{DbError, Session};

/// Loads the hidden ones among readings that the viewer may see although they are not public: the owner and admins.
pub struct HiddenReadingById;

impl Load for HiddenReadingById {
    type Key = Uuid;
    type Value = Arc<HiddenReadingRow>;

    async fn load(
        &self,
        session: &Session,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = hidden_readings_by_id(session, ids).await?;
        Ok(rows.into_iter().map(|(id, row)| (id, Arc::new(row))).collect())
    }
}
