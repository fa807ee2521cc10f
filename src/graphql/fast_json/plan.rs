//! What a selection set answers with, found out once: its fields, those of its fragments included, by
//! the names they answer under, each with how its value is written.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{ContextSelectionSet, InputType, Positioned};
use uuid::Uuid;

use super::super::context::RequestContext;
use super::super::enums::Locale;
use super::super::reading_lists::ReadingPage;
use super::json::Json;
use super::reading::page_fields;
use crate::db::categories::CategoryRow;
use crate::db::drawn_cards::DrawnCardRow;
use crate::db::query::columns::Columns;
use crate::db::readings::ReadingRow;
use crate::db::users::UserRow;
use crate::domain::locale;
use crate::domain::lock::lock;
use crate::loaders::DrawnCardsOfReading;

/// Writes one field of an object; answers nothing where its value is not there as it should be.
pub(super) struct Write<T>(Box<WriteField<T>>);

type WriteField<T> = dyn Fn(&T, &Pass<'_>, &mut Json) -> Option<()> + Send + Sync;

impl<T> Write<T> {
    pub(super) fn new(
        write: impl Fn(&T, &Pass<'_>, &mut Json) -> Option<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(write))
    }

    /// A field whose value is always there.
    pub(super) fn always(write: impl Fn(&T, &Pass<'_>, &mut Json) + Send + Sync + 'static) -> Self {
        Self::new(move |object, pass, json| {
            write(object, pass, json);
            Some(())
        })
    }
}

/// How an object is written.
pub(super) struct Plan<T> {
    /// What stands before each value: the comma, if any, and the name.
    fields: Vec<(String, Write<T>)>,
}

/// How a page of readings is written.
pub(super) struct PagePlan {
    pub(super) fields: Plan<ReadingPage>,
    pub(super) needs: Needs,
}

/// What has to be loaded before readings can be written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    pub(super) users: bool,
    pub(super) categories: bool,
    pub(super) cards: Option<Columns>,
}

/// What was loaded.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) users: HashMap<Uuid, Arc<UserRow>>,
    pub(super) categories: HashMap<Uuid, Arc<CategoryRow>>,
    pub(super) cards: HashMap<Uuid, Arc<[DrawnCardRow]>>,
}

/// All that writing needs.
pub(super) struct Pass<'a> {
    pub(super) request: &'a RequestContext,
    pub(super) loaded: Loaded,
}

/// The plans of one request, by where in its document the selection stands.
#[derive(Default)]
pub struct FastJsonPlans {
    /// A document with fields that answer under one name and have to be merged: the library merges
    /// what it resolved, and cannot merge what is written already.
    is_off: bool,
    of_readings: Mutex<HashMap<usize, Option<Arc<PagePlan>>>>,
    pages: AtomicU64,
    written: AtomicU64,
}

/// How a request's pages of readings were answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageCounts {
    /// All of them.
    pub pages: u64,
    /// Those that were written in one pass.
    pub written: u64,
}

impl FastJsonPlans {
    /// For a request, or for one whose pages the library resolves.
    #[must_use]
    pub fn new(is_on: bool) -> Self {
        Self { is_off: !is_on, ..Self::default() }
    }

    /// The pages so far.
    #[must_use]
    pub fn count(&self) -> PageCounts {
        PageCounts {
            pages: self.pages.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
        }
    }

    /// A page was answered, in one pass or not.
    pub(super) fn note(&self, is_written: bool) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.written.fetch_add(u64::from(is_written), Ordering::Relaxed);
    }

    /// The plan of a page of readings with this selection, if it can be planned.
    pub(super) fn of_readings(&self, context: &ContextSelectionSet<'_>) -> Option<Arc<PagePlan>> {
        if self.is_off {
            return None;
        }
        // The document stays where it is for as long as its request lasts.
        let place = std::ptr::from_ref(context.item).addr();
        let mut plans = lock(&self.of_readings);
        plans
            .entry(place)
            .or_insert_with(|| {
                let mut planner = Planner { context, needs: Needs::default() };
                let fields = planner.plan("ReadingConnection", &[context.item], page_fields)?;
                Some(Arc::new(PagePlan { fields, needs: planner.needs }))
            })
            .clone()
    }
}

impl Needs {
    pub(super) async fn load(
        self,
        request: &RequestContext,
        readings: &[Arc<ReadingRow>],
    ) -> Option<Loaded> {
        let loaders = &request.loaders;
        let users = async {
            let ids = readings.iter().filter(|_| self.users).map(|reading| reading.user_id);
            loaders.user_by_id.load_many(ids).await
        };
        let categories = async {
            let own = readings.iter().filter(|reading| request.viewer().is(reading.user_id));
            let ids = own.filter(|_| self.categories).filter_map(|reading| reading.category_id);
            loaders.category_by_id.load_many(ids).await
        };
        let cards = async {
            let keys = readings.iter().filter_map(|reading| {
                Some(DrawnCardsOfReading { reading: reading.id, columns: self.cards? })
            });
            loaders.drawn_cards_by_reading_id.load_many(keys).await
        };
        // At the same time, so that what other fields of this level ask for is in the same batches.
        let (users, categories, cards) = futures_util::join!(users, categories, cards);
        let cards = cards.ok()?.into_iter().map(|(key, drawn)| (key.reading, drawn)).collect();
        Some(Loaded { users: users.ok()?, categories: categories.ok()?, cards })
    }
}

impl<T> Plan<T> {
    pub(super) fn write(&self, object: &T, pass: &Pass<'_>, json: &mut Json) -> Option<()> {
        json.raw("{");
        for (name, write) in &self.fields {
            json.raw(name);
            write.0(object, pass, json)?;
        }
        json.raw("}");
        Some(())
    }
}

/// Makes a plan.
pub(super) struct Planner<'a> {
    context: &'a ContextSelectionSet<'a>,
    pub(super) needs: Needs,
}

/// Fields of one selection set that answer under the same name.
pub(super) struct Selected<'a> {
    answers_as: &'a str,
    fields: Vec<&'a Positioned<Field>>,
}

impl Selected<'_> {
    fn is_same_as(&self, field: &Positioned<Field>) -> bool {
        self.fields.first().is_some_and(|first| {
            let (first, field) = (&first.node, &field.node);
            first.name.node == field.name.node && first.arguments == field.arguments
        })
    }

    pub(super) fn name(&self) -> &str {
        self.fields.first().map_or("", |field| field.node.name.node.as_str())
    }
}

impl<'a> Planner<'a> {
    /// The plan of an object of that type with these selections, if each of its fields has one.
    pub(super) fn plan<T: 'static>(
        &mut self,
        type_name: &'static str,
        sets: &[&'a Positioned<SelectionSet>],
        plan_field: fn(&mut Self, &Selected<'a>) -> Option<Write<T>>,
    ) -> Option<Plan<T>> {
        let mut selected = Vec::new();
        for set in sets {
            self.collect(type_name, set, &mut selected)?;
        }
        let mut fields = Vec::with_capacity(selected.len());
        for selected in selected {
            let comma = if fields.is_empty() { "" } else { "," };
            let write = match selected.name() {
                "__typename" => Write::always(move |_, _, json| json.plain(type_name)),
                _ => plan_field(self, &selected)?,
            };
            fields.push((format!("{comma}\"{}\":", selected.answers_as), write));
        }
        Some(Plan { fields })
    }

    /// The plan of the object that a field answers.
    pub(super) fn object<T: 'static>(
        &mut self,
        type_name: &'static str,
        selected: &Selected<'a>,
        plan_field: fn(&mut Self, &Selected<'a>) -> Option<Write<T>>,
    ) -> Option<Plan<T>> {
        let sets: Vec<_> = selected.fields.iter().map(|field| &field.node.selection_set).collect();
        self.plan(type_name, &sets, plan_field)
    }

    fn collect(
        &self,
        type_name: &str,
        set: &'a Positioned<SelectionSet>,
        selected: &mut Vec<Selected<'a>>,
    ) -> Option<()> {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    // What `@skip` and `@include` leave out is gone already; nobody here knows
                    // another directive.
                    if !field.node.directives.is_empty() {
                        return None;
                    }
                    let answers_as = field.node.response_key().node.as_str();
                    match selected.iter_mut().find(|other| other.answers_as == answers_as) {
                        // Under conditions of their own the library lets two fields answer under one
                        // name, resolves both and keeps the first.
                        Some(other) if !other.is_same_as(field) => return None,
                        Some(other) => other.fields.push(field),
                        None => selected.push(Selected { answers_as, fields: vec![field] }),
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
    pub(super) fn argument<A: InputType>(&self, selected: &Selected<'a>, name: &str) -> Option<A> {
        let field = selected.fields.first()?;
        Some(self.context.with_field(field).param_value(name, None).ok()?.1)
    }

    /// The argument `locale`, English where nothing is said.
    pub(super) fn locale(&self, selected: &Selected<'a>) -> Option<locale::Locale> {
        let field = selected.fields.first()?;
        let default: Option<fn() -> Locale> = Some(|| Locale::En);
        Some(self.context.with_field(field).param_value("locale", default).ok()?.1.into())
    }
}
