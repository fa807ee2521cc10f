//! Pages of readings, written as JSON in one pass. The library resolves every field by a future of
//! its own and keeps its value in a map until the whole answer is put together; for a page of 20
//! readings with their cards that is more work than the database has with it.
//!
//! Here a page's selection is planned once a request, what it needs is loaded, and then the text is
//! written, field by field. A selection that holds anything else (a list within, a counter) is not
//! planned, and a page in which anything fails is not written: the library resolves those, so errors,
//! and what they make null, are its business alone. That both ways give the same bytes is held by a
//! test over generated queries.

mod card;
mod json;
mod plan;
mod reading;
mod user;

use async_graphql::ContextSelectionSet;
use bytes::Bytes;

use super::context::{RequestContext, request};
use super::reading_lists::ReadingPage;

pub use json::write_value;
pub use plan::{FastJsonPlans, PageCounts};

/// The JSON of a page of readings, or nothing where the library has to resolve it.
pub(super) async fn page_of_readings(
    context: &ContextSelectionSet<'_>,
    page: &ReadingPage,
) -> Option<Bytes> {
    let request = request(context);
    let written = write_page(request, context, page).await;
    request.plans.note(written.is_some());
    written
}

async fn write_page(
    request: &RequestContext,
    context: &ContextSelectionSet<'_>,
    page: &ReadingPage,
) -> Option<Bytes> {
    let plan = request.plans.of_readings(context)?;
    let loaded = plan.needs.load(request, &page.page.rows).await?;
    let mut json = json::Json::default();
    plan.fields.write(page, &plan::Pass { request, loaded }, &mut json)?;
    Some(json.into())
}
