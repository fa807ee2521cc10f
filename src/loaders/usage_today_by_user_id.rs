//! Number of readings that the viewer made today, by user.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Load;
use crate::db::daily_usage::daily_usage;
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads the number of readings that the viewer made on the UTC day of a time; other users are left
/// out.
pub struct UsageTodayByUserId(pub(super) CurrentViewer, pub(super) DateTime<Utc>);

impl Load for UsageTodayByUserId {
    type Key = Uuid;
    type Value = i32;

    async fn load(&self, session: &Session, users: &[Uuid]) -> Result<HashMap<Uuid, i32>, DbError> {
        let Some(owner) = self.0.get().user_id().filter(|owner| users.contains(owner)) else {
            return Ok(HashMap::new());
        };
        Ok(HashMap::from([(owner, daily_usage(session, owner, self.1.date_naive()).await?)]))
    }
}
