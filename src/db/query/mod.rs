//! Query building blocks, generic over entities.

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

/// A constant in the statement's text. A generic plan does not use a partial index for a bound value.
pub(super) fn constant(value: impl Into<Value>) -> SimpleExpr {
    SimpleExpr::Constant(value.into())
}

/// Number of rows that meet a condition.
pub(super) fn count_if(condition: impl IntoCondition) -> SimpleExpr {
    SimpleExpr::Case(Box::new(Expr::case(condition, constant(1)))).count()
}

/// Sets the column, if there is a new value.
pub(super) fn set(
    statement: &mut UpdateStatement,
    column: impl IntoIden,
    value: Option<impl Into<Value>>,
) {
    if let Some(value) = value {
        statement.value(column, Expr::value(value));
    }
}
