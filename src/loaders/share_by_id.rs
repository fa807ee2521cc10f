//! Share links of the viewer's own readings, by id.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::shares::{ShareRow, own_shares_by_id};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads share links that are not revoked.
pub struct ShareById(pub(super) CurrentViewer);

impl Load for ShareById {
    type Key = Uuid;
    type Value = Arc<ShareRow>;

    async fn load(
        &self,
        session: &Session,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.0.get().user_id() else { return Ok(HashMap::new()) };
        let shares = own_shares_by_id(session, owner, ids).await?;
        Ok(shares.into_iter().map(|share| (share.id, Arc::new(share))).collect())
    }
}
