//! What operators see.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::cache::CacheStats;
use super::context::request;
use super::database::{DatabaseHealth, PoolStats};
use super::errors::ApiError;
use super::id::opaque_id;
use super::inputs::{list_limit, search_text};
use super::pagination::{Connection, CursorKey, PageArguments, read_time};
use super::scalars::{DateTime, milliseconds};
use super::user::User;
use crate::config::monitor::SLOW_QUERIES_LISTED;
use crate::db::monitor::{self, plan_of_slow_query, slow_queries};
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
    /// What the cache of this server was good for, since its start.
    async fn cache_stats(&self, context: &Context<'_>) -> CacheStats {
        request(context).services.cache.stats().await.into()
    }

    /// What the connections to the databases are used for, by this server: the primary first, then its
    /// replicas. At most 17.
    async fn pool_stats(&self, context: &Context<'_>) -> Vec<PoolStats> {
        request(context).database.pool_stats().into_iter().map(PoolStats::from).collect()
    }

    /// Whether the primary database answers this server. While it does not, this can be asked only where
    /// a replica tells who is an admin.
    async fn database_health(&self, context: &Context<'_>) -> DatabaseHealth {
        let request = request(context);
        let session = request.session.for_field("Admin.databaseHealth");
        let health = request.database.health(&session).await;
        DatabaseHealth::new(health, request.database.pool_stats())
    }

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
        let page =
            admin_users_page(&request.session.for_field("Admin.users"), &page, &filter).await?;
        let key = |row: &AdminUserRow| UserKey { created_at: row.user.created_at, id: row.user.id };
        Ok(Connection::new(USERS, page, key, AdminUser))
    }

    /// SQL statements that took `SLOW_QUERY_MS` or longer, those that failed or were given up for their
    /// time included, the slowest first. Statements that differ only in their values, in how many
    /// there are, or in a limit are one entry. Kept since the server's start, by each server for
    /// itself, at most `MAX_SLOW_QUERIES`.
    async fn slow_queries(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "So many: 0 to 100.", default = 10)] limit: i32,
    ) -> Result<Vec<SlowQuery>, ApiError> {
        let limit = list_limit(limit, &SLOW_QUERIES_LISTED)?;
        Ok(slow_queries(&request(context).session, limit).into_iter().map(SlowQuery).collect())
    }
}

/// A SQL statement that was slow.
pub struct SlowQuery(monitor::SlowQuery);

/// A SQL statement that was slow. Nothing of it tells a value.
#[Object]
impl SlowQuery {
    /// An id of its own, the same on all servers and after every start.
    async fn id(&self) -> ID {
        opaque_id("SlowQuery", &self.0.fingerprint.to_string())
    }

    /// Its text, with `?` for each value and each limit; what is repeated stands once. At most 16,384
    /// bytes, then `…`.
    async fn sql(&self) -> &str {
        &self.0.sql
    }

    /// The longest that it took, in milliseconds, without the wait for a connection.
    async fn duration_ms(&self) -> f64 {
        milliseconds(self.0.worst)
    }

    /// What it took the last time, in milliseconds.
    async fn latest_duration_ms(&self) -> f64 {
        milliseconds(self.0.latest)
    }

    /// When it was slow the last time.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }

    /// How often it was slow.
    async fn occurrences(&self) -> u64 {
        self.0.occurrences
    }

    /// The name of the operation that asked the last time, at most 100 characters; null if it had none,
    /// and for what the server does by itself.
    async fn operation_name(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The field that asked the last time, as `Type.field`; null for what the server does by itself.
    async fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The kinds of the values of the last time, in their order, with the characters of a text and the
    /// items of an array: `uuid`, `text(12)`, `array(20)`, `null`. At most 50, then how many more
    /// there are. Never the values.
    async fn parameters(&self) -> &[String] {
        &self.0.parameters
    }

    /// How the database would run it now for any values: `EXPLAIN`, which does not execute it, on
    /// PostgreSQL in a transaction that can change nothing. One statement for each entry, so ask for it
    /// where it is read. Null for what has no plan (the begin and the end of a transaction), for a
    /// text of more than 16,384 bytes, and where the database cannot plan it.
    async fn plan(&self, context: &Context<'_>) -> Option<Result<String, ApiError>> {
        let plan = plan_of_slow_query(&request(context).session, self.0.fingerprint).await;
        plan.map_err(ApiError::from).transpose()
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
