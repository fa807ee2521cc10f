//! A synchronous serializer that writes selection sets directly as JSON. The library resolves each field by a future of its own
//! and stores its value in a map until the whole response is assembled; for a page of 20 readings with their cards that is more
//! work than the database has.
//!
//! Here the selection set of a [`Direct`] value is planned once for a document, or once a request where it depends on variables,
//! its loaders run, and then the text is written field by field. A selection with a field that only the library resolves (a
//! nested list, a counter) has no plan, and a value with an error is not written: the library resolves those, so errors and
//! their effect on parents are the library's alone. A test over generated queries compares both ways byte for byte.
//!
//! Fields have one definition for both ways, by the attribute `#[object]`.

pub mod document_plans;
mod json;
pub mod object;
mod plan;
mod scalars;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use bytes::Bytes;

use super::context::{RequestContext, request};
use crate::domain::lock::lock;
use document_plans::{DocumentPlans, SharedPlan};
pub use json::{JsonWriter, write_value};
use object::{JsonValue, Loads, Planner, SelectedField, Visit};
pub(in crate::graphql) use scalars::{enum_name, json_enums, json_scalars};

/// A value that is written directly where its selection allows; in the schema it is its own type.
#[derive(Debug, Clone)]
pub struct Direct<T>(pub T);

impl<T: JsonValue + OutputType> OutputType for Direct<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let plans = context.data_unchecked::<Arc<FastJsonPlans>>();
        match plans.write(context, field, &self.0).await {
            Some(json) => Ok(Value::Binary(json)),
            None => self.0.resolve(context, field).await,
        }
    }
}

/// Plans of one request, and the number of values that they served.
#[derive(Default)]
pub struct FastJsonPlans {
    is_disabled: bool,
    document: Option<Arc<DocumentPlans>>,
    /// Plans of this request alone, by the address of the selection set.
    own: Mutex<HashMap<usize, Option<SharedPlan>>>,
    resolved: AtomicU64,
    written: AtomicU64,
}

/// A plan with the size of the last value, so that the buffer of the next one need not grow.
struct SizedPlan<P> {
    plan: P,
    last_bytes: AtomicUsize,
}

/// [`Direct`] values of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectCounts {
    /// All of them.
    pub total: u64,
    /// Those that were written by a plan.
    pub written: u64,
}

impl FastJsonPlans {
    /// Plans of a request with that document; `None` if the selection sets of the document differ between requests.
    #[must_use]
    pub fn new(document: Option<Arc<DocumentPlans>>) -> Self {
        Self { document, ..Self::default() }
    }

    /// No plans: the library resolves all fields.
    #[must_use]
    pub fn disabled() -> Self {
        Self { is_disabled: true, ..Self::default() }
    }

    /// Number of values so far.
    #[must_use]
    pub fn counts(&self) -> DirectCounts {
        let written = self.written.load(Ordering::Relaxed);
        DirectCounts { total: written + self.resolved.load(Ordering::Relaxed), written }
    }

    /// The JSON of a value; `None` if the library has to resolve it.
    async fn write<T: JsonValue + Sync>(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
        value: &T,
    ) -> Option<Bytes> {
        let plan = self.plan::<T>(context, field);
        let json = match plan {
            Some(sized) => {
                let SizedPlan { plan, last_bytes } = &*sized;
                let capacity = last_bytes.load(Ordering::Relaxed);
                let json = write(value, plan, request(context), capacity).await;
                if let Some(json) = &json {
                    last_bytes.store(json.len(), Ordering::Relaxed);
                }
                json
            }
            None => None,
        };
        let counter = if json.is_some() { &self.written } else { &self.resolved };
        counter.fetch_add(1, Ordering::Relaxed);
        json
    }

    /// The plan of a field with such a value; `None` if a selected field has no writer.
    fn plan<T: JsonValue>(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> Option<Arc<SizedPlan<T::Plan>>> {
        if self.is_disabled {
            return None;
        }
        let make = || {
            let plan = T::plan(&mut Planner::new(context), &SelectedField::of(field))?;
            Some(Arc::new(SizedPlan { plan, last_bytes: AtomicUsize::default() }) as SharedPlan)
        };
        let plan = match &self.document {
            Some(plans) if !plans.varies(context.item.pos) => plans.get(context.item.pos, make),
            _ => {
                // The document does not move during its request.
                let address = std::ptr::from_ref(context.item).addr();
                lock(&self.own).entry(address).or_insert_with(make).clone()
            }
        };
        plan?.downcast().ok()
    }
}

async fn write<T: JsonValue + Sync>(
    value: &T,
    plan: &T::Plan,
    request: &RequestContext,
    capacity: usize,
) -> Option<Bytes> {
    if T::has_loads(plan) {
        // One round for each level of loaders: a loaded row may have the keys of others.
        loop {
            let mut loads = Loads::default();
            value.visit(plan, request, &mut Visit::Load(&mut loads))?;
            if loads.is_empty() {
                break;
            }
            loads.run().await;
        }
    }
    let mut json = JsonWriter::with_capacity(capacity);
    value.visit(plan, request, &mut Visit::Write(&mut json))?;
    Some(json.into())
}
