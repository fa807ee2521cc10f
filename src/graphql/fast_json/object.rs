//! Plans of objects and values. `#[object]` implements these traits from the definitions of a type's fields.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use async_graphql::{Lookahead, OutputType};

use super::super::context::RequestContext;
use super::super::list::List;
use super::json::JsonWriter;
pub(in crate::graphql) use super::plan::{ColumnSet, Planner, SelectedField};
use crate::loaders::{Load, LoadedValue, LoaderState, RequestLoader};

/// An object type whose fields may be written directly.
pub trait JsonObject: OutputType + Sized + Send + Sync + 'static {
    /// Writer of a field; `None` if the library has to resolve it.
    fn plan_field<'a>(
        planner: &mut Planner<'a>,
        selected: &SelectedField<'a>,
    ) -> Option<FieldWriter<Self>>;
}

/// A value of a field: a scalar, an object, or a list of these; nullable as an `Option`, fallible as a `Result`.
pub trait JsonValue {
    /// Planned selection set of the value; `()` for a scalar.
    type Plan: Send + Sync + 'static;

    /// The plan of a field with this value; `None` if the library has to resolve it.
    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<Self::Plan>;

    /// True if loaders have to run before the value can be written.
    fn has_loads(plan: &Self::Plan) -> bool {
        let _ = plan;
        false
    }

    /// Enqueues the keys that are known by now and not loaded yet, or writes the value. `None` if that is or contains an error:
    /// then the library resolves it, and reports the error.
    fn visit(
        &self,
        plan: &Self::Plan,
        request: &RequestContext,
        visit: &mut Visit<'_>,
    ) -> Option<()>;
}

/// Loaders with keys that are not loaded yet.
#[derive(Default)]
pub struct Loads(Vec<Arc<dyn LoaderState>>);

impl Loads {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all of them have run.
    pub(super) async fn run(self) {
        poll_fn(|context| {
            for loader in &self.0 {
                ready!(loader.poll_loaded(context));
            }
            Poll::Ready(())
        })
        .await;
    }

    fn add(&mut self, loader: Arc<dyn LoaderState>) {
        if !self.0.iter().any(|other| Arc::ptr_eq(other, &loader)) {
            self.0.push(loader);
        }
    }
}

/// A visit of a value: to load what it needs, or to write it.
pub enum Visit<'a> {
    /// Enqueue keys.
    Load(&'a mut Loads),
    /// Write JSON.
    Write(&'a mut JsonWriter),
}

impl Visit<'_> {
    /// The text to write to; `None` while loading.
    pub(in crate::graphql) fn json(&mut self) -> Option<&mut JsonWriter> {
        match self {
            Self::Load(_) => None,
            Self::Write(json) => Some(json),
        }
    }

    /// Result of a key; `None` if it is not loaded yet.
    pub fn loaded<L: Load>(
        &mut self,
        loader: &RequestLoader<L>,
        field: &'static str,
        key: L::Key,
    ) -> Option<LoadedValue<L::Value>> {
        let result = loader.loaded(&key);
        if let (None, Self::Load(loads)) = (&result, self) {
            loader.enqueue(field, &[key]);
            loads.add(loader.state());
        }
        result
    }

    /// Result for a value that is missing, or an error: go on while loading, fail while writing.
    #[must_use]
    pub fn wait(&self) -> Option<()> {
        matches!(self, Self::Load(_)).then_some(())
    }
}

/// Writer of one field of an object.
pub struct FieldWriter<T> {
    visit: Box<VisitField<T>>,
    has_loads: bool,
}

type VisitField<T> = dyn Fn(&T, &RequestContext, &mut Visit<'_>) -> Option<()> + Send + Sync;

impl<T> FieldWriter<T> {
    /// A writer that visits the field. `has_loads`: true if loaders must run first.
    pub fn new(
        has_loads: bool,
        visit: impl Fn(&T, &RequestContext, &mut Visit<'_>) -> Option<()> + Send + Sync + 'static,
    ) -> Self {
        Self { visit: Box::new(visit), has_loads }
    }
}

impl<T: 'static> FieldWriter<T> {
    /// Writer of a field of an object whose fields are the type's own as well.
    pub fn flattened<'a, U: JsonObject>(
        planner: &mut Planner<'a>,
        selected: &SelectedField<'a>,
        object: impl Fn(&T) -> &U + Send + Sync + 'static,
    ) -> Option<Self> {
        let FieldWriter { visit, has_loads } = U::plan_field(planner, selected)?;
        Some(Self::new(has_loads, move |outer, request, visitor| {
            visit(object(outer), request, visitor)
        }))
    }
}

/// Plan of an object: the writers of its selected fields.
pub struct ObjectPlan<T> {
    /// Each with the text before its value: the comma, if any, and the response key.
    fields: Vec<(String, FieldWriter<T>)>,
    has_loads: bool,
}

impl<T> ObjectPlan<T> {
    pub(super) fn new(fields: Vec<(String, FieldWriter<T>)>) -> Self {
        let has_loads = fields.iter().any(|(_, field)| field.has_loads);
        Self { fields, has_loads }
    }

    /// True if loaders have to run before an object can be written.
    #[must_use]
    pub fn has_loads(&self) -> bool {
        self.has_loads
    }

    /// Loads what an object needs, or writes it.
    pub fn visit(&self, object: &T, request: &RequestContext, visit: &mut Visit<'_>) -> Option<()> {
        let Some(json) = visit.json() else {
            for (_, field) in self.fields.iter().filter(|(_, field)| field.has_loads) {
                (field.visit)(object, request, visit)?;
            }
            return Some(());
        };
        json.raw("{");
        for (name, field) in &self.fields {
            visit.json()?.raw(name);
            (field.visit)(object, request, visit)?;
        }
        visit.json()?.raw("}");
        Some(())
    }
}

impl<'a> Planner<'a> {
    /// Plan of the object that a field returns; `None` if one of its fields has no writer.
    pub fn object<T: JsonObject>(&mut self, selected: &SelectedField<'a>) -> Option<ObjectPlan<T>> {
        let type_name = T::type_name();
        let mut fields = Vec::new();
        for selected in self.selection(&type_name, selected)? {
            let comma = if fields.is_empty() { "" } else { "," };
            let writer = match selected.name() {
                "__typename" => {
                    let type_name = type_name.clone();
                    FieldWriter::new(false, move |_, _, visit| {
                        if let Some(json) = visit.json() {
                            json.unescaped(&type_name);
                        }
                        Some(())
                    })
                }
                _ => T::plan_field(self, &selected)?,
            };
            fields.push((format!("{comma}\"{}\":", selected.response_key), writer));
        }
        Some(ObjectPlan::new(fields))
    }
}

/// Columns to read for an object that the library resolves.
#[must_use]
pub fn columns_of<C: ColumnSet>(object: &Lookahead<'_>) -> C {
    C::of(|field| object.field(field).exists())
}

/// Implements [`JsonValue`] for values around others, whose plans are theirs.
macro_rules! containers {
    ($([$($generics:tt)+] $container:ty: |$value:ident, $plan:ident, $request:ident, $visit:ident| $body:expr;)+) => {$(
        impl<$($generics)+> JsonValue for $container {
            type Plan = T::Plan;

            fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<T::Plan> {
                T::plan(planner, selected)
            }

            fn has_loads(plan: &T::Plan) -> bool {
                T::has_loads(plan)
            }

            fn visit(
                &self,
                $plan: &T::Plan,
                $request: &RequestContext,
                $visit: &mut Visit<'_>,
            ) -> Option<()> {
                let $value = self;
                $body
            }
        }
    )+};
}

containers! {
    [T: JsonValue + ?Sized] &T: |value, plan, request, visit| (**value).visit(plan, request, visit);
    [T: JsonValue] Option<T>: |value, plan, request, visit| match (value, visit.json()) {
        (Some(value), _) => value.visit(plan, request, visit),
        (None, json) => {
            json.map(JsonWriter::null);
            Some(())
        }
    };
    [T: JsonValue, E] Result<T, E>: |value, plan, request, visit| match value {
        Ok(value) => value.visit(plan, request, visit),
        Err(_) => visit.wait(),
    };
    [T: JsonValue] [T]: |items, plan, request, visit| visit_items(items, plan, request, visit);
    [T: JsonValue] Vec<T>: |items, plan, request, visit| visit_items(items, plan, request, visit);
    [T: JsonValue] List<T>: |items, plan, request, visit| visit_items(&items.0, plan, request, visit);
}

fn visit_items<T: JsonValue>(
    items: &[T],
    plan: &T::Plan,
    request: &RequestContext,
    visit: &mut Visit<'_>,
) -> Option<()> {
    let mut separator = "[";
    for item in items {
        if let Some(json) = visit.json() {
            json.raw(separator);
        }
        item.visit(plan, request, visit)?;
        separator = ",";
    }
    if let Some(json) = visit.json() {
        json.raw(if items.is_empty() { "[]" } else { "]" });
    }
    Some(())
}
