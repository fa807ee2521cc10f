//! Plan of a selection set: its fields, those of its fragments included, by response key, each with the
//! writer of its value.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{ContextSelectionSet, InputType, Positioned};

use super::super::context::RequestContext;
use super::super::enums::Locale;
use super::json::JsonWriter;
use super::rows::{LoadedRows, RequiredRows};
use crate::domain::locale;
use crate::domain::lock::lock;

/// Writer of one field of an object. It returns `None` if the value is missing or invalid.
pub(in crate::graphql) struct FieldWriter<T>(Box<WriteField<T>>);

type WriteField<T> = dyn Fn(&T, &WriteContext<'_>, &mut JsonWriter) -> Option<()> + Send + Sync;

impl<T> FieldWriter<T> {
    pub(in crate::graphql) fn new(
        write: impl Fn(&T, &WriteContext<'_>, &mut JsonWriter) -> Option<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(write))
    }

    /// Writer of a field that always has a value.
    pub(in crate::graphql) fn infallible(
        write: impl Fn(&T, &WriteContext<'_>, &mut JsonWriter) + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |object, context, json| {
            write(object, context, json);
            Some(())
        })
    }
}

/// Writers of the fields of an object.
pub(in crate::graphql) struct ObjectPlan<T> {
    /// Each with the text before its value: the comma, if any, and the response key.
    fields: Vec<(String, FieldWriter<T>)>,
}

/// Function that returns the writer of a field of a type; `None` if the field has none.
pub(in crate::graphql) type PlanField<T> =
    for<'a> fn(&mut Planner<'a>, &SelectedField<'a>) -> Option<FieldWriter<T>>;

/// The type at the root of a page's plan.
pub(in crate::graphql) struct Root<T> {
    pub(in crate::graphql) type_name: &'static str,
    pub(in crate::graphql) plan_field: PlanField<T>,
}

/// Plan of a page.
pub(super) struct PagePlan<T> {
    pub(super) object: ObjectPlan<T>,
    pub(super) required: RequiredRows,
}

/// Context of the field writers.
pub(in crate::graphql) struct WriteContext<'a> {
    pub(in crate::graphql) request: &'a RequestContext,
    pub(in crate::graphql) loaded: LoadedRows,
}

/// Plans of one request, and the number of pages that they served.
#[derive(Default)]
pub struct FastJsonPlans {
    is_disabled: bool,
    /// By the address of the selection set in the document; `None` for one without a plan.
    plans: Mutex<HashMap<usize, Option<Arc<dyn Any + Send + Sync>>>>,
    resolved_pages: AtomicU64,
    fast_pages: AtomicU64,
}

/// Pages of readings of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageCounts {
    /// All pages.
    pub total: u64,
    /// Pages that were written by a plan.
    pub fast: u64,
}

impl FastJsonPlans {
    /// Plans of a request, empty.
    #[must_use]
    pub fn enabled() -> Self {
        Self::default()
    }

    /// No plans: the library resolves all pages. Necessary for a document in which fields with the same
    /// response key have to be merged, because the library cannot merge JSON that is written already.
    #[must_use]
    pub fn disabled() -> Self {
        Self { is_disabled: true, ..Self::default() }
    }

    /// Number of pages so far.
    #[must_use]
    pub fn counts(&self) -> PageCounts {
        let fast = self.fast_pages.load(Ordering::Relaxed);
        PageCounts { total: fast + self.resolved_pages.load(Ordering::Relaxed), fast }
    }

    pub(super) fn count_fast(&self) {
        self.fast_pages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_resolved(&self) {
        self.resolved_pages.fetch_add(1, Ordering::Relaxed);
    }

    /// The plan of a page with this selection set; `None` if a field has no writer.
    pub(super) fn plan<T: 'static>(
        &self,
        context: &ContextSelectionSet<'_>,
        root: &Root<T>,
    ) -> Option<Arc<PagePlan<T>>> {
        if self.is_disabled {
            return None;
        }
        // The document does not move during its request.
        let address = std::ptr::from_ref(context.item).addr();
        let mut plans = lock(&self.plans);
        let plan = plans
            .entry(address)
            .or_insert_with(|| {
                let mut planner = Planner { context, required: RequiredRows::default() };
                let object = planner.plan(root.type_name, &[context.item], root.plan_field)?;
                Some(Arc::new(PagePlan { object, required: planner.required }) as _)
            })
            .clone()?;
        plan.downcast().ok()
    }
}

impl<T> ObjectPlan<T> {
    pub(in crate::graphql) fn write(
        &self,
        object: &T,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        json.raw("{");
        for (name, write) in &self.fields {
            json.raw(name);
            write.0(object, context, json)?;
        }
        json.raw("}");
        Some(())
    }
}

/// Builder of a plan.
pub(in crate::graphql) struct Planner<'a> {
    context: &'a ContextSelectionSet<'a>,
    pub(in crate::graphql) required: RequiredRows,
}

/// Fields of one selection set with the same response key.
pub(in crate::graphql) struct SelectedField<'a> {
    response_key: &'a str,
    fields: Vec<&'a Positioned<Field>>,
}

impl SelectedField<'_> {
    fn is_same_as(&self, field: &Positioned<Field>) -> bool {
        self.fields.first().is_some_and(|first| {
            let (first, field) = (&first.node, &field.node);
            first.name.node == field.name.node && first.arguments == field.arguments
        })
    }

    pub(in crate::graphql) fn name(&self) -> &str {
        self.fields.first().map_or("", |field| field.node.name.node.as_str())
    }
}

impl<'a> Planner<'a> {
    /// Plan of an object of that type with these selection sets; `None` if a field has no writer.
    fn plan<T: 'static>(
        &mut self,
        type_name: &'static str,
        sets: &[&'a Positioned<SelectionSet>],
        plan_field: fn(&mut Self, &SelectedField<'a>) -> Option<FieldWriter<T>>,
    ) -> Option<ObjectPlan<T>> {
        let mut selected = Vec::new();
        for set in sets {
            self.collect(type_name, set, &mut selected)?;
        }
        let mut fields = Vec::with_capacity(selected.len());
        for selected in selected {
            let comma = if fields.is_empty() { "" } else { "," };
            let write = match selected.name() {
                "__typename" => {
                    FieldWriter::infallible(move |_, _, json| json.unescaped(type_name))
                }
                _ => plan_field(self, &selected)?,
            };
            fields.push((format!("{comma}\"{}\":", selected.response_key), write));
        }
        Some(ObjectPlan { fields })
    }

    /// Plan of the object that a field returns; `None` if one of its fields has no writer.
    pub(in crate::graphql) fn object<T: 'static>(
        &mut self,
        type_name: &'static str,
        selected: &SelectedField<'a>,
        plan_field: fn(&mut Self, &SelectedField<'a>) -> Option<FieldWriter<T>>,
    ) -> Option<ObjectPlan<T>> {
        let sets: Vec<_> = selected.fields.iter().map(|field| &field.node.selection_set).collect();
        self.plan(type_name, &sets, plan_field)
    }

    fn collect(
        &self,
        type_name: &str,
        set: &'a Positioned<SelectionSet>,
        selected: &mut Vec<SelectedField<'a>>,
    ) -> Option<()> {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    // `@skip` and `@include` were applied before; other directives are unknown here.
                    if !field.node.directives.is_empty() {
                        return None;
                    }
                    let response_key = field.node.response_key().node.as_str();
                    match selected.iter_mut().find(|other| other.response_key == response_key) {
                        // Under different type conditions the library allows two fields with one response
                        // key, resolves both and returns the first.
                        Some(other) if !other.is_same_as(field) => return None,
                        Some(other) => other.fields.push(field),
                        None => selected.push(SelectedField { response_key, fields: vec![field] }),
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    if condition.is_none_or(|on| self.is_a(type_name, &on.node.on.node)) {
                        self.collect(type_name, &fragment.node.selection_set, selected)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = self.context.query_env.fragments.get(name)?;
                    if self.is_a(type_name, &fragment.node.type_condition.node.on.node) {
                        self.collect(type_name, &fragment.node.selection_set, selected)?;
                    }
                }
            }
        }
        Some(())
    }

    fn is_a(&self, type_name: &str, condition: &str) -> bool {
        type_name == condition
            || (self.context.schema_env.registry.implements.get(type_name))
                .is_some_and(|interfaces| interfaces.contains(condition))
    }

    /// A required argument.
    pub(in crate::graphql) fn argument<A: InputType>(
        &self,
        selected: &SelectedField<'a>,
        name: &str,
    ) -> Option<A> {
        let field = selected.fields.first()?;
        Some(self.context.with_field(field).param_value(name, None).ok()?.1)
    }

    /// The argument `locale`, English by default.
    pub(in crate::graphql) fn locale(
        &self,
        selected: &SelectedField<'a>,
    ) -> Option<locale::Locale> {
        let field = selected.fields.first()?;
        let default: Option<fn() -> Locale> = Some(|| Locale::En);
        Some(self.context.with_field(field).param_value("locale", default).ok()?.1.into())
    }
}
