//! Lists of objects. An error of a field in an item has the complete path, and of several failing items the first
//! one is reported; async-graphql's own lists end the path at the item, and report the one that fails first in time.

use std::borrow::Cow;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use futures_util::future::join_all;

/// Fields of connections that take a count of the whole list.
pub const COUNT_FIELDS: [&str; 2] = ["totalCount", "totalCountIsExact"];

/// A list whose items are objects with fields that may fail.
#[derive(Debug, Clone)]
pub struct List<T>(pub Vec<T>);

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items)
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T: OutputType> OutputType for List<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let items = self.0.iter().enumerate().map(|(index, item)| async move {
            let context = context.with_index(index);
            let result = item.resolve(&context, field).await;
            result.map_err(|error| match error.path.as_slice() {
                [] => context.set_error_path(error),
                _ => error,
            })
        });
        // Wait for all items: the first failure in time may not be the first in the list.
        join_all(items).await.into_iter().collect::<ServerResult<_>>().map(Value::List)
    }
}
