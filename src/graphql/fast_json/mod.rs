//! A synchronous serializer that writes the selection set of a page directly as JSON. The library
//! resolves each field by a future of its own and stores its value in a map until the whole response is
//! assembled; for a page of 20 readings with their cards that is more work than the database has.
//!
//! Here the selection set of a page is planned once a request, the rows that it needs are loaded, and
//! then the text is written field by field. A selection with anything else in it (a nested list, a
//! counter) has no plan, and a page with a failing field is not written: the library resolves those, so
//! errors and their effect on parents are the library's alone. A test over generated queries compares
//! both ways byte for byte.
//!
//! Field writers of types are beside the types (`reading_json`, `card_json`, `user_json`).

mod json;
mod plan;
mod rows;

use std::sync::Arc;

use async_graphql::ContextSelectionSet;
use bytes::Bytes;

use super::context::request;
use crate::db::readings::ReadingRow;

pub(super) use json::JsonWriter;
pub use json::write_value;
pub use plan::{FastJsonPlans, PageCounts};
pub(super) use plan::{FieldWriter, Planner, Root, SelectedField, WriteContext};

/// The JSON of a page of readings; `None` if the library has to resolve it.
pub(super) async fn write_page<T: 'static>(
    context: &ContextSelectionSet<'_>,
    root: Root<T>,
    page: &T,
    readings: &[Arc<ReadingRow>],
) -> Option<Bytes> {
    let plans = context.data_unchecked::<Arc<FastJsonPlans>>();
    let json = write(context, plans.plan(context, &root), page, readings).await;
    match json {
        Some(_) => plans.count_fast(),
        None => plans.count_resolved(),
    }
    json
}

async fn write<T: 'static>(
    context: &ContextSelectionSet<'_>,
    plan: Option<Arc<plan::PagePlan<T>>>,
    page: &T,
    readings: &[Arc<ReadingRow>],
) -> Option<Bytes> {
    let plan = plan?;
    let request = request(context);
    let loaded = plan.required.load(request, readings).await?;
    let mut json = JsonWriter::default();
    plan.object.write(page, &WriteContext { request, loaded }, &mut json)?;
    Some(json.into())
}
