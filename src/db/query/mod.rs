//! Pieces that statements are built of, generic over entities.

pub mod batches;
pub mod columns;
pub mod count;
pub mod dialect;
pub mod keyset;
pub mod membership;
pub mod range;
pub mod tags;
pub mod text;

pub use dialect::Dialect;

use sea_orm::sea_query::{
    Expr, ExprTrait, IntoCondition, IntoIden, SimpleExpr, UpdateStatement, Value,
};

/// A value that is always the same and stands in the statement itself. An index of some rows only is
/// not used for a value that is bound: a plan for any value could not use it.
pub(super) fn constant(value: impl Into<Value>) -> SimpleExpr {
    SimpleExpr::Constant(value.into())
}

/// How many of the rows meet a condition.
pub(super) fn count_if(condition: impl IntoCondition) -> SimpleExpr {
    SimpleExpr::Case(Box::new(Expr::case(condition, constant(1)))).count()
}

/// Changes the column, where there is something to change it to.
pub(super) fn set(
    statement: &mut UpdateStatement,
    column: impl IntoIden,
    value: Option<impl Into<Value>>,
) {
    if let Some(value) = value {
        statement.value(column, Expr::value(value));
    }
}
