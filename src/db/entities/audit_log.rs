//! Entries of the audit log.

use sea_orm::entity::prelude::*;

use crate::domain::audit::{AuditAction, AuditTargetKind};

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub action: AuditAction,
    pub actor_id: Option<Uuid>,
    pub target_kind: Option<AuditTargetKind>,
    pub target_id: Option<Uuid>,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub client_address: Option<String>,
    pub created_at: DateTimeUtc,
}

#[derive(Debug, Copy, Clone, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
