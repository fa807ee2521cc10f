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
    /// What is known of the selection set before there is a value; nothing for a scalar.
    type Plan: Send + Sync + 'static;

    /// The plan of a field with this value; `None` if the library has to resolve it.
    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<Self::Plan>;

    /// True if loaders have to run before the value can be written.
    fn has_loads(plan: &Self::Plan) -> bool {
        let _ = plan;
        false
    }

    /// Writes the value. `None` if it is an error, or contains one: then the library resolves it, and reports the error.
    fn write(
        &self,
        plan: &Self::Plan,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()>;

    /// Enqueues the keys that are known by now and not loaded yet.
    fn load(&self, plan: &Self::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
        let _ = (plan, context, loads);
    }
}

/// Context of the writers.
#[derive(Clone, Copy)]
pub struct WriteContext<'a> {
    /// The request.
    pub request: &'a RequestContext,
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
    /// Visits the value of a field.
    pub fn value<V: JsonValue>(
        &mut self,
        value: &V,
        plan: &V::Plan,
        context: &WriteContext<'_>,
    ) -> Option<()> {
        match self {
            Self::Load(loads) => value.load(plan, context, loads),
            Self::Write(json) => value.write(plan, context, json)?,
        }
        Some(())
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

    /// Result for a field whose key is not loaded: go on while loading, fail while writing.
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

type VisitField<T> = dyn Fn(&T, &WriteContext<'_>, &mut Visit<'_>) -> Option<()> + Send + Sync;

impl<T> FieldWriter<T> {
    /// A writer that visits the field. `has_loads`: true if loaders must run first.
    pub fn new(
        has_loads: bool,
        visit: impl Fn(&T, &WriteContext<'_>, &mut Visit<'_>) -> Option<()> + Send + Sync + 'static,
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
        Some(Self::new(has_loads, move |outer, context, visitor| {
            visit(object(outer), context, visitor)
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

    /// Writes an object.
    pub fn write(
        &self,
        object: &T,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        json.raw("{");
        for (name, field) in &self.fields {
            json.raw(name);
            (field.visit)(object, context, &mut Visit::Write(json))?;
        }
        json.raw("}");
        Some(())
    }

    /// Enqueues the keys that an object needs.
    pub fn load(&self, object: &T, context: &WriteContext<'_>, loads: &mut Loads) {
        for (_, field) in self.fields.iter().filter(|(_, field)| field.has_loads) {
            (field.visit)(object, context, &mut Visit::Load(loads));
        }
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
                        if let Visit::Write(json) = visit {
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

impl<T: JsonValue + ?Sized> JsonValue for &T {
    type Plan = T::Plan;

    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<T::Plan> {
        T::plan(planner, selected)
    }

    fn has_loads(plan: &T::Plan) -> bool {
        T::has_loads(plan)
    }

    fn write(
        &self,
        plan: &T::Plan,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        (**self).write(plan, context, json)
    }

    fn load(&self, plan: &T::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
        (**self).load(plan, context, loads);
    }
}

impl<T: JsonValue> JsonValue for Option<T> {
    type Plan = T::Plan;

    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<T::Plan> {
        T::plan(planner, selected)
    }

    fn has_loads(plan: &T::Plan) -> bool {
        T::has_loads(plan)
    }

    fn write(
        &self,
        plan: &T::Plan,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        let Some(value) = self else {
            json.null();
            return Some(());
        };
        value.write(plan, context, json)
    }

    fn load(&self, plan: &T::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
        if let Some(value) = self {
            value.load(plan, context, loads);
        }
    }
}

impl<T: JsonValue, E> JsonValue for Result<T, E> {
    type Plan = T::Plan;

    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<T::Plan> {
        T::plan(planner, selected)
    }

    fn has_loads(plan: &T::Plan) -> bool {
        T::has_loads(plan)
    }

    fn write(
        &self,
        plan: &T::Plan,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        self.as_ref().ok()?.write(plan, context, json)
    }

    fn load(&self, plan: &T::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
        if let Ok(value) = self {
            value.load(plan, context, loads);
        }
    }
}

impl<T: JsonValue> JsonValue for [T] {
    type Plan = T::Plan;

    fn plan<'a>(planner: &mut Planner<'a>, selected: &SelectedField<'a>) -> Option<T::Plan> {
        T::plan(planner, selected)
    }

    fn has_loads(plan: &T::Plan) -> bool {
        T::has_loads(plan)
    }

    fn write(
        &self,
        plan: &T::Plan,
        context: &WriteContext<'_>,
        json: &mut JsonWriter,
    ) -> Option<()> {
        json.raw("[");
        for (number, item) in self.iter().enumerate() {
            if number > 0 {
                json.raw(",");
            }
            item.write(plan, context, json)?;
        }
        json.raw("]");
        Some(())
    }

    fn load(&self, plan: &T::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
        for item in self {
            item.load(plan, context, loads);
        }
    }
}

/// Implements [`JsonValue`] for lists as for slices.
macro_rules! lists {
    ($($list:ty: |$items:ident| $slice:expr;)+) => {$(
        impl<T: JsonValue> JsonValue for $list {
            type Plan = T::Plan;

            fn plan<'a>(
                planner: &mut Planner<'a>,
                selected: &SelectedField<'a>,
            ) -> Option<T::Plan> {
                T::plan(planner, selected)
            }

            fn has_loads(plan: &T::Plan) -> bool {
                T::has_loads(plan)
            }

            fn write(
                &self,
                plan: &T::Plan,
                context: &WriteContext<'_>,
                json: &mut JsonWriter,
            ) -> Option<()> {
                let $items = self;
                $slice.write(plan, context, json)
            }

            fn load(&self, plan: &T::Plan, context: &WriteContext<'_>, loads: &mut Loads) {
                let $items = self;
                $slice.load(plan, context, loads);
            }
        }
    )+};
}

lists! {
    Vec<T>: |items| items.as_slice();
    List<T>: |items| items.0.as_slice();
}
