//! Operational data for admins.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use object_macro::object;
use uuid::Uuid;

use super::admission::AdmissionStats;
use super::audit_log::{AuditEntry, AuditLogFilter, audit_log};
use super::cache::CacheStats;
use super::context::request;
use super::database::{DatabaseHealth, PoolStats};
use super::errors::{ApiError, without_user_errors};
use super::id::{GlobalId, opaque_id};
use super::inputs::{list_limit, search_text};
use super::pagination::{Connection, CursorKey, PageArguments, Paginated, read_time};
use super::reading::Reading;
use super::scalars::{DateTime, milliseconds};
use super::user::User;
use crate::config::monitor::SLOW_QUERIES_LISTED;
use crate::db::monitor::{self, plan_of_slow_query, slow_queries};
use crate::db::users::{AdminUserFilter, AdminUserRow, UserKey, admin_users_page};
use crate::services::moderation;

/// Name of the list of users, which cursors are bound to.
const USERS: &str = "Admin.users:CREATED_AT:DESC";

/// Query field for admins.
#[derive(Default)]
pub struct AdminQuery;

#[Object]
impl AdminQuery {
    /// Operational data. For admins: `FORBIDDEN` for other users, `UNAUTHENTICATED` without an
    /// access token.
    async fn admin(&self, context: &Context<'_>) -> Option<Result<Admin, ApiError>> {
        Some(request(context).require_admin().await.map(|_| Admin))
    }
}

/// Operational data of this server. For admins.
pub struct Admin;

/// Operational data of this server. For admins.
#[Object]
impl Admin {
    /// Statistics of the cache of this server since its start.
    async fn cache_stats(&self, context: &Context<'_>) -> CacheStats {
        request(context).services.cache.stats().await.into()
    }

    /// Admission of requests by this server: how many are executed, wait, and were refused.
    async fn admission_stats(&self, context: &Context<'_>) -> AdmissionStats {
        request(context).services.admission.stats().into()
    }

    /// Connection pools of this server: the primary first, then its replicas. At most 17.
    async fn pool_stats(&self, context: &Context<'_>) -> Vec<PoolStats> {
        request(context).database.pool_stats().into_iter().map(PoolStats::from).collect()
    }

    /// Health of the primary database as seen from this server. While the primary is down, this
    /// field needs a replica to check that the viewer is an admin.
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
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Substring of the username, display name or e-mail address; case-insensitive, at most 100 characters."
        )]
        search: Option<String>,
        #[graphql(desc = "Locked users only, or unlocked ones only (default: all).")]
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

    /// The audit log, the newest entry first: moderation, other changes by admins, roles, logins and
    /// reused refresh tokens of the last `AUDIT_LOG_RETENTION_DAYS`.
    async fn audit_log(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Return the entries that match (default: all).")] filter: Option<
            AuditLogFilter,
        >,
    ) -> Result<Connection<AuditEntry>, ApiError> {
        let arguments = PageArguments { first, after, last: None, before: None };
        audit_log(context, arguments, filter).await
    }

    /// The public or hidden reading with this id, also that of a deactivated user; null if there is
    /// none, or its owner has not published it.
    async fn reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of a reading.")] id: ID,
    ) -> Option<Result<Reading, ApiError>> {
        let request = request(context);
        let id = match GlobalId::parse("id", &id) {
            Ok(GlobalId::Reading(id)) => id,
            Ok(other) => return Some(Err(other.refuse("id", "Reading"))),
            Err(error) => return Some(Err(error)),
        };
        let session = request.session.for_field("Admin.reading");
        let found = without_user_errors(moderation::reading(&session, id).await);
        Some(found.transpose()?.map(|row| Reading(Arc::new(row))))
    }

    /// SQL statements that took `SLOW_QUERY_MS` or longer, failed and timed-out ones included, the
    /// slowest first. Statements that differ only in values, in the number of values, or in a limit
    /// are one entry. Recorded by each server since its start, at most `MAX_SLOW_QUERIES`.
    async fn slow_queries(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Maximum number of results, 0 to 100.", default = 10)] limit: i32,
    ) -> Result<Vec<SlowQuery>, ApiError> {
        let limit = list_limit(limit, &SLOW_QUERIES_LISTED)?;
        Ok(slow_queries(&request(context).session, limit).into_iter().map(SlowQuery).collect())
    }
}

/// A slow SQL statement.
pub struct SlowQuery(monitor::SlowQuery);

/// A slow SQL statement, without any of its values.
#[Object]
impl SlowQuery {
    /// Id for client caches, the same on all servers and after every start. `node` does not accept
    /// it.
    async fn id(&self) -> ID {
        opaque_id("SlowQuery", &self.0.fingerprint.to_string())
    }

    /// SQL text, with `?` for each value and limit, repeated parts once. At most 16,384 bytes, then
    /// `…`.
    async fn sql(&self) -> &str {
        &self.0.sql
    }

    /// Longest duration in milliseconds, without the wait for a connection.
    async fn duration_ms(&self) -> f64 {
        milliseconds(self.0.worst)
    }

    /// Latest duration in milliseconds.
    async fn latest_duration_ms(&self) -> f64 {
        milliseconds(self.0.latest)
    }

    /// Time of the latest slow run.
    async fn occurred_at(&self) -> DateTime {
        DateTime(self.0.occurred_at)
    }

    /// Number of slow runs.
    async fn occurrences(&self) -> u64 {
        self.0.occurrences
    }

    /// Name of the GraphQL operation of the latest run, at most 100 characters; null for an unnamed
    /// operation and for background work.
    async fn operation_name(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Field of the latest run, as `Type.field`; null for background work.
    async fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// Types of the values of the latest run in their order, with the length of texts and arrays:
    /// `uuid`, `text(12)`, `array(20)`, `null`. At most 50, then the number of further ones. Never
    /// the values.
    async fn parameters(&self) -> &[String] {
        &self.0.parameters
    }

    /// Current query plan for any values: `EXPLAIN`, which does not run the statement, on
    /// PostgreSQL in a read-only transaction. It runs one statement for each entry, so select it
    /// only where it is shown. Null for statements without a plan (begin and end of a transaction),
    /// for texts of more than 16,384 bytes, and if the database cannot plan it.
    async fn plan(&self, context: &Context<'_>) -> Option<Result<String, ApiError>> {
        let plan = plan_of_slow_query(&request(context).session, self.0.fingerprint).await;
        plan.map_err(ApiError::from).transpose()
    }
}

impl CursorKey for UserKey {
    fn write(&self) -> String {
        format!("{},{}", self.created_at.timestamp_micros(), self.id.simple())
    }

    fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once(',')?;
        Some(Self { created_at: read_time(time)?, id: Uuid::try_parse(id).ok()? })
    }
}

/// A user with the fields for admins.
#[derive(Clone)]
pub struct AdminUser(pub AdminUserRow);

impl Paginated for AdminUser {
    const EDGE: &'static str = "AdminUserEdge";
    const CONNECTION: &'static str = "AdminUserConnection";
}

/// A user with the fields for admins.
#[object]
impl AdminUser {
    /// Id for client caches, not that of the user. `node` does not accept it.
    fn id(&self) -> ID {
        opaque_id("AdminUser", &self.0.user.id.simple().to_string())
    }

    /// The user.
    fn user(&self) -> User {
        User(Arc::new(self.0.user.clone()))
    }

    /// True if the user may log in.
    fn is_active(&self) -> bool {
        self.0.user.is_active
    }

    /// End of the latest lock, which may be over; null if the account was never locked, or was
    /// unlocked since.
    fn locked_until(&self) -> Option<DateTime> {
        self.0.locked_until.map(DateTime)
    }

    /// Number of wrong passwords since the last login.
    fn failed_logins(&self) -> i32 {
        self.0.failed_logins
    }

    /// Time of the last login; null if there was none.
    fn last_login_at(&self) -> Option<DateTime> {
        self.0.last_login_at.map(DateTime)
    }
}
