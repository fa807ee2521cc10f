//! Statements on the audit log. Entries are inserted and, after their retention, deleted; nothing changes one.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Order};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::bulk::{delete_up_to, insert};
use super::entities::audit_log::{Column, Entity, Model};
use super::query::keyset::{AccessPath, Keyset, KeysetList, page_of_rows};
use super::query::range::within;
use super::session::PlanMode;
use super::{DbError, Session, Transaction};
use crate::domain::audit::AuditAction;
use crate::domain::page::{Page, PageRequest};

/// An entry of the audit log.
pub type AuditRow = Model;

/// Inserts an entry, in the transaction of its action.
pub async fn audit_insert(transaction: &Transaction, row: AuditRow) -> Result<(), DbError> {
    transaction.execute("audit_insert", &insert([row])).await.map(drop)
}

/// Keyset of an entry in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditKey {
    /// Time of the action.
    pub created_at: DateTime<Utc>,
    /// Id, which orders entries of the same time.
    pub id: Uuid,
}

/// Filter of the log. All conditions apply; `None` matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// One of these actions.
    pub actions: Option<Vec<AuditAction>>,
    /// Actor.
    pub actor: Option<Uuid>,
    /// Target.
    pub target: Option<Uuid>,
    /// Start of the time, included.
    pub from: Option<DateTime<Utc>>,
    /// End of the time, excluded.
    pub to: Option<DateTime<Utc>>,
}

/// A page of the log, the newest first.
pub async fn audit_log_page(
    session: &Session,
    request: &PageRequest<AuditKey>,
    filter: &AuditFilter,
) -> Result<Page<AuditRow>, DbError> {
    const STATEMENT: &str = "audit_log_page";
    let AuditFilter { actions, actor, target, from, to } = filter;
    let column = |column: Column| Expr::col((Entity, column));
    let condition = within(&(Entity, Column::CreatedAt).into_column_ref(), *from, *to)
        .add_option(actions.as_ref().map(|actions| {
            column(Column::Action).is_in(actions.iter().map(|action| action.as_str()))
        }))
        .add_option(actor.map(|actor| column(Column::ActorId).eq(actor)))
        .add_option(target.map(|target| column(Column::TargetId).eq(target)));
    let list = KeysetList {
        rows: Entity::find().into_query(),
        condition: Condition::all().add(condition),
        keyset: Keyset {
            columns: vec![((Entity, Column::CreatedAt).into_column_ref(), "created_at")],
            id: ((Entity, Column::Id).into_column_ref(), "id"),
            order: Order::Desc,
        },
        access: AccessPath::Ordered,
        count_limit: None,
    };
    let key = request.key.map(|key| [key.created_at.into(), key.id.into()]);
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    // The best index depends on the values of the filter.
    let plan_mode =
        if *filter == AuditFilter::default() { PlanMode::Generic } else { PlanMode::Custom };
    let rows = session.rows_planned(STATEMENT, &query, plan_mode).await?;
    page_of_rows(request, &rows, |row, _| AuditRow::from_query_result(row, ""))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// True if the log has that action on a target.
pub async fn audit_log_has(
    session: &Session,
    action: AuditAction,
    target: Uuid,
) -> Result<bool, DbError> {
    let query = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::TargetId.eq(target))
        .filter(Column::Action.eq(action.as_str()))
        .limit(1)
        .into_query();
    Ok(!session.rows("audit_log_has", &query).await?.is_empty())
}

/// Deletes up to `limit` entries from before that time. Returns their number.
pub async fn audit_log_sweep(
    transaction: &Transaction,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    let statement = delete_up_to::<Entity>(Column::Id, Column::CreatedAt.lt(before), limit);
    transaction.execute("audit_log_sweep", &statement).await
}
