//! The audit log: a table that admins read (`admin.auditLog`), and lines of the log with the target `audit`.
//!
//! Actions of people with accounts are in both: the entry is inserted in the transaction of its action, and its line is
//! written after the commit. Failed logins and lock-outs are in the lines alone, because strangers cause them, and
//! guesses at passwords must not fill the database. No entry has a secret: no password, no token, and no
//! name as it was typed at a login, which may be a password in the wrong field.

use std::net::IpAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::error::ServiceError;
use crate::config::log::AUDIT_TARGET;
use crate::db::Transaction;
use crate::db::audit_log::{AuditRow, audit_insert};
use crate::domain::audit::{AuditAction, AuditActor, AuditTarget};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Action.
    pub action: AuditAction,
    /// Actor.
    pub actor: AuditActor,
    /// Object of the action, if it has one.
    pub target: Option<AuditTarget>,
    /// Reason that an admin has given.
    pub reason: Option<String>,
    /// Parameter of the action, such as the role or the end of a lock.
    pub detail: Option<String>,
}

impl AuditEntry {
    /// An entry without a reason and without a detail.
    #[must_use]
    pub const fn new(action: AuditAction, actor: AuditActor, target: AuditTarget) -> Self {
        Self { action, actor, target: Some(target), reason: None, detail: None }
    }

    /// With the reason of an admin.
    #[must_use]
    pub fn with_reason(self, reason: String) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// With a parameter of the action.
    #[must_use]
    pub fn with_detail(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// Inserts the entry.
    pub(super) async fn insert(
        &self,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        let row = AuditRow {
            id: Uuid::now_v7(),
            action: self.action,
            actor_id: self.actor.user_id(),
            target_kind: self.target.map(|target| target.kind),
            target_id: self.target.map(|target| target.id),
            reason: self.reason.clone(),
            detail: self.detail.clone(),
            client_address: self.actor.address().map(|address| address.to_canonical().to_string()),
            created_at: now,
        };
        Ok(audit_insert(transaction, row).await?)
    }

    /// Writes the line of a committed entry.
    pub(super) fn log(&self) {
        let Self { action, actor, target, reason, detail } = self;
        tracing::info!(
            target: AUDIT_TARGET,
            %action,
            actor = actor.user_id().map(tracing::field::display),
            kind = target.map(|target| tracing::field::display(target.kind)),
            id = target.map(|target| tracing::field::display(target.id)),
            reason,
            detail,
            address = actor.address().map(|address| tracing::field::display(address.to_canonical())),
            "audit"
        );
    }
}

/// Writes the line of a wrong password, or of an attempt while such attempts are refused. The user is the one whose
/// name was given, if there is one.
pub(super) fn log_failed_login(user: Option<Uuid>, address: IpAddr) {
    log_attempt("login_failed", user, address, None);
}

/// Writes the line of a wrong password that led to a lock of that client network.
pub(super) fn log_lock_out(user: Option<Uuid>, address: IpAddr, until: DateTime<Utc>) {
    log_attempt("locked_out", user, address, Some(until));
}

fn log_attempt(
    action: &'static str,
    user: Option<Uuid>,
    address: IpAddr,
    until: Option<DateTime<Utc>>,
) {
    let detail = until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true));
    tracing::warn!(
        target: AUDIT_TARGET,
        action,
        kind = user.map(|_| "user"),
        id = user.map(tracing::field::display),
        detail,
        address = %address.to_canonical(),
        "audit"
    );
}
