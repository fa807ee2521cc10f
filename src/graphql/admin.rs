//! What operators see.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::context::request;
use super::errors::ApiError;
use super::id::opaque_id;
use super::inputs::search_text;
use super::pagination::{Connection, CursorKey, PageArguments, read_time};
use super::scalars::DateTime;
use super::user::User;
use crate::db::users::{AdminUserFilter, AdminUserRow, UserKey, admin_users_page};

/// The order in which users are listed.
const USERS: &str = "Admin.users:CREATED_AT:DESC";

/// The field of the query type for operators.
#[derive(Default)]
pub struct AdminQuery;

#[Object]
impl AdminQuery {
    /// What operators see. `FORBIDDEN` for everyone else.
    async fn admin(&self, context: &Context<'_>) -> Option<Result<Admin, ApiError>> {
        Some(request(context).require_admin().await.map(|_| Admin))
    }
}

/// What operators see.
pub struct Admin;

/// What operators see.
#[Object]
impl Admin {
    /// All users, deactivated ones included, the newest first.
    async fn users(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many: 0 to 100, 20 if nothing is said.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Part of the username, the display name or the e-mail address. At most 100 characters."
        )]
        search: Option<String>,
        #[graphql(desc = "Only those that are locked, or only those that are not.")]
        is_locked: Option<bool>,
    ) -> Result<Connection<AdminUser>, ApiError> {
        let request = request(context);
        let arguments = PageArguments { first, after, last: None, before: None };
        let page = arguments.request::<UserKey>(context, &request.limits, USERS)?;
        let now = request.services.clock.now();
        let filter = AdminUserFilter {
            search: search_text(search)?,
            is_locked: is_locked.map(|is_locked| (is_locked, now)),
        };
        let page = admin_users_page(&request.session, &page, &filter).await?;
        let key = |row: &AdminUserRow| UserKey { created_at: row.user.created_at, id: row.user.id };
        Ok(Connection::new(USERS, page, key, AdminUser))
    }
}

impl CursorKey for UserKey {
    fn write(&self) -> String {
        format!("{},{}", self.created_at.timestamp_micros(), self.id.simple())
    }

    fn read(text: &str) -> Option<Self> {
        let (time, id) = text.split_once(',')?;
        Some(Self { created_at: read_time(time)?, id: Uuid::try_parse(id).ok()? })
    }
}

/// A user as operators see them.
#[derive(Clone)]
pub struct AdminUser(pub AdminUserRow);

/// A user as operators see them.
#[Object]
impl AdminUser {
    /// An id of its own, which is not the user's.
    async fn id(&self) -> ID {
        opaque_id("AdminUser", &self.0.user.id.simple().to_string())
    }

    /// The user.
    async fn user(&self) -> User {
        User(Arc::new(self.0.user.clone()))
    }

    /// Whether the user may log in at all.
    async fn is_active(&self) -> bool {
        self.0.user.is_active
    }

    /// Until when the account is or was locked; null if it was never locked, or was opened since.
    async fn locked_until(&self) -> Option<DateTime> {
        self.0.locked_until.map(DateTime)
    }

    /// Wrong passwords since the last right one.
    async fn failed_logins(&self) -> i32 {
        self.0.failed_logins
    }

    /// When the user last logged in; null if never.
    async fn last_login_at(&self) -> Option<DateTime> {
        self.0.last_login_at.map(DateTime)
    }
}
