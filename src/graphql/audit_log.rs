//! The audit log.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject};
use object_macro::object;
use uuid::Uuid;

use super::context::{RequestContext, request};
use super::errors::ApiError;
use super::fast_json::json_enums;
use super::id::{GlobalId, opaque_id};
use super::inputs::DateTimeRange;
use super::pagination::{Connection, CursorKey, PageArguments, Paginated, read_time};
use super::scalars::DateTime;
use super::user::User;
use crate::db::audit_log::{AuditFilter, AuditKey, AuditRow, audit_log_page};
use crate::db::users::UserRow;
use crate::domain::audit;
use crate::domain::audit::AuditTargetKind;
use crate::loaders::LoadedValue;

/// Name of the log, which cursors are bound to.
const AUDIT_LOG: &str = "Admin.auditLog:CREATED_AT:DESC";

/// Action in the audit log.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "audit::AuditAction")]
pub enum AuditAction {
    /// An admin deactivated a user.
    UserDeactivated,
    /// An admin reactivated a user.
    UserReactivated,
    /// An admin locked a user; `detail` is the end of the lock.
    UserLocked,
    /// An admin ended the lock of a user.
    UserUnlocked,
    /// The command line gave a user a role, which is the `detail`.
    RoleGranted,
    /// An admin hid a public reading.
    ReadingHidden,
    /// An admin made a hidden reading visible again.
    ReadingUnhidden,
    /// An admin deleted a public or a hidden reading.
    ReadingDeleted,
    /// An admin changed a card; `detail` is the language of the texts.
    CardUpdated,
    /// An admin changed a spread; `detail` is the language of the texts.
    SpreadUpdated,
    /// An admin removed cached values; `detail` is the pattern of their keys.
    CacheInvalidated,
    /// A user logged in.
    LoggedIn,
    /// A refresh token was used again after its end, which ended its session.
    RefreshTokenReused,
}

/// Filter of the audit log. All given fields must match; of a list, one item must match, so an
/// empty list matches nothing.
#[derive(InputObject, Default)]
pub struct AuditLogFilter {
    /// One of these actions.
    actions: Option<Vec<AuditAction>>,
    /// Id of the user who did it.
    actor_id: Option<ID>,
    /// Id of the user, reading, card or spread to which it was done.
    target_id: Option<ID>,
    /// Time of the action.
    created_at: Option<DateTimeRange>,
}

impl AuditLogFilter {
    fn into_domain(self) -> Result<AuditFilter, ApiError> {
        let range = self.created_at.unwrap_or_default();
        let actions = self.actions.map(|actions| {
            let mut actions: Vec<audit::AuditAction> =
                actions.into_iter().map(Into::into).collect();
            actions.sort_unstable();
            actions.dedup();
            actions
        });
        Ok(AuditFilter {
            actions,
            actor: self.actor_id.as_ref().map(actor).transpose()?,
            target: self.target_id.as_ref().map(target).transpose()?,
            from: range.from.map(|from| from.0),
            to: range.to.map(|to| to.0),
        })
    }
}

fn actor(id: &ID) -> Result<Uuid, ApiError> {
    match GlobalId::parse("actorId", id)? {
        GlobalId::User(id) => Ok(id),
        other => Err(other.refuse("actorId", "User")),
    }
}

fn target(id: &ID) -> Result<Uuid, ApiError> {
    match GlobalId::parse("targetId", id)? {
        GlobalId::User(id) | GlobalId::Reading(id) | GlobalId::Card(id) | GlobalId::Spread(id) => {
            Ok(id)
        }
        other => Err(other.refuse("targetId", "User, Reading, Card or Spread")),
    }
}

/// The page of the audit log.
pub(super) async fn audit_log(
    context: &Context<'_>,
    arguments: PageArguments,
    filter: Option<AuditLogFilter>,
) -> Result<Connection<AuditEntry>, ApiError> {
    let request = request(context);
    let page = arguments.request::<AuditKey>(context, &request.limits, AUDIT_LOG)?;
    let filter = filter.unwrap_or_default().into_domain()?;
    let session = request.session.for_field("Admin.auditLog");
    let page = audit_log_page(&session, &page, &filter).await?;
    let key = |row: &AuditRow| AuditKey { created_at: row.created_at, id: row.id };
    Ok(Connection::new(AUDIT_LOG, page, key, |row| AuditEntry(Arc::new(row))))
}

impl CursorKey for AuditKey {
    fn write(&self) -> String {
        format!("{},{}", self.created_at.timestamp_micros(), self.id.simple())
    }

    fn parse(text: &str) -> Option<Self> {
        let (time, id) = text.split_once(',')?;
        Some(Self { created_at: read_time(time)?, id: Uuid::try_parse(id).ok()? })
    }
}

/// An entry of the audit log.
#[derive(Clone)]
pub struct AuditEntry(Arc<AuditRow>);

impl Paginated for AuditEntry {
    const EDGE: &'static str = "AuditEntryEdge";
    const CONNECTION: &'static str = "AuditEntryConnection";
}

impl AuditEntry {
    fn actor_key(&self, _: &RequestContext) -> Option<Uuid> {
        self.0.actor_id
    }
}

json_enums!(AuditAction);

/// An entry of the audit log. It outlives its actor and its target.
#[object]
impl AuditEntry {
    /// Id for client caches. `node` does not accept it.
    fn id(&self) -> ID {
        opaque_id("AuditEntry", &self.0.id.simple().to_string())
    }

    /// Time of the action.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Action of the entry.
    fn action(&self) -> AuditAction {
        self.0.action.into()
    }

    /// Id of the user who did it; null for the command line and for a client that is no known user.
    fn actor_id(&self) -> Option<GlobalId> {
        self.0.actor_id.map(GlobalId::User)
    }

    /// User who did it; null like `actorId`, and if the account was deleted.
    #[load(user_by_id, Self::actor_key)]
    fn actor(&self, loaded: LoadedValue<Arc<UserRow>>) -> Option<Result<User, ApiError>> {
        Some(loaded.map_err(ApiError::from).transpose()?.map(User))
    }

    /// Id of the user, reading, card or spread to which it was done; null if it has none.
    fn target_id(&self) -> Option<GlobalId> {
        let id = self.0.target_id?;
        Some(match self.0.target_kind? {
            AuditTargetKind::User => GlobalId::User(id),
            AuditTargetKind::Reading => GlobalId::Reading(id),
            AuditTargetKind::Card => GlobalId::Card(id),
            AuditTargetKind::Spread => GlobalId::Spread(id),
        })
    }

    /// Reason of a moderation, 1 to 500 characters; null for other actions.
    fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Parameter of the action, see `AuditAction`; null if it has none.
    fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Address of the client; null for the command line.
    fn client_address(&self) -> Option<&str> {
        self.0.client_address.as_deref()
    }
}
