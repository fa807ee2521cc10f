//! Cost of an operation, computed before it is executed: one for each object that it could return,
//! nothing for leaves, connections, edges and page infos; a list costs its page size or stated bound
//! times one item. Fields with more work than results have stated surcharges, by their arguments.
//! Fragments of all types under an interface or union are summed. Introspection costs the same whatever it
//! selects, and unknown fields nothing. Values (resolved fields and given arguments) are counted too: by
//! objects alone, 9,000 items of 2,000 repeated leaves each would be cheap. So are the bytes of a large response, which an
//! alias of hundreds of characters makes of few values.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Number, Value as Constant, Variables};
use async_graphql_value::Value as Literal;

use super::super::list::COUNT_FIELDS;
use super::cost_table::{
    Bound, CostTable, FieldCost, Items, Parents, TypeCosts, When, is_connection,
};
use super::document::CheckedOperation;
use super::refusal::{Refusal, saturated};
use super::values::{constant_size, literal_size};
use crate::config::limits::{
    DocumentLimits, FREE_RESPONSE_BYTES, RESPONSE_BYTES_PER_POINT, SCHEMA_COST, STATEMENT_COST,
    TYPE_COST, VALUE_BYTES,
};

/// Upper bounds of one execution of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Cost points: returned objects, surcharges, SQL statements and the bytes of a large response.
    pub points: u64,
    /// Number of resolved fields and their arguments.
    pub values: u64,
    /// Number of SQL statements of a query, if nothing is cached.
    pub statements: u64,
    /// Estimated bytes of the response.
    pub bytes: u64,
    /// Number of steps of the estimate.
    pub work: u64,
}

impl Cost {
    /// The cost, if it is at most `maximum`, which depends on the viewer, and the values are within
    /// its share.
    ///
    /// # Errors
    ///
    /// [`Refusal::CostExceeded`], or [`Refusal::TooLarge`] with `what` "values".
    pub fn allowed(&self, maximum: u64, limits: &DocumentLimits) -> Result<u64, Refusal> {
        let cost = self.points;
        if cost > maximum {
            return Err(Refusal::CostExceeded { cost, maximum });
        }
        let (found, maximum) = (self.values, maximum.saturating_mul(limits.values_per_cost));
        if found > maximum {
            return Err(Refusal::TooLarge { what: "values", found, maximum, at: None });
        }
        Ok(cost)
    }
}

impl<'a> CheckedOperation<'a> {
    /// Cost of the operation with these variables. Sizes out of range are clamped, not rejected:
    /// resolvers reject them.
    #[must_use]
    pub fn cost(
        &self,
        table: &CostTable,
        variables: &'a Variables,
        limits: &DocumentLimits,
    ) -> Cost {
        let mut estimate = Estimate {
            document: self.document,
            table,
            limits,
            variables: HashMap::new(),
            fragments: HashMap::new(),
            work: 0,
        };
        let definitions = self.definition.variable_definitions.iter();
        let defaults = definitions.filter_map(|definition| {
            let default = definition.node.default_value.as_ref()?;
            Some((&definition.node.name.node, &default.node))
        });
        // Given values come after the defaults and replace them.
        for (name, value) in defaults.chain(variables.iter()) {
            let weight = constant_size(value).weight;
            estimate.work = estimate.work.saturating_add(weight);
            estimate.variables.insert(name, Variable { value, weight });
        }
        let set = &self.definition.selection_set.node;
        let share = estimate.selection_set(set, table.root(self.kind()));
        let Amount { points, values, statements, bytes } = share.fixed;
        let shared = share.statements.saturating_add(share.viewer_statements);
        let statements = statements.saturating_add(shared);
        let bytes_points = bytes.saturating_sub(FREE_RESPONSE_BYTES) / RESPONSE_BYTES_PER_POINT;
        let points = points
            .saturating_add(statements.saturating_mul(STATEMENT_COST))
            .saturating_add(bytes_points);
        Cost { points, values, statements, bytes, work: estimate.work }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    points: u64,
    values: u64,
    /// SQL statements for each parent.
    statements: u64,
    /// Estimated bytes of the response.
    bytes: u64,
}

impl Amount {
    fn add(&mut self, other: Self) {
        self.points = self.points.saturating_add(other.points);
        self.statements = self.statements.saturating_add(other.statements);
        self.values = self.values.saturating_add(other.values);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn times(self, count: u64) -> Self {
        Self {
            points: self.points.saturating_mul(count),
            statements: self.statements.saturating_mul(count),
            values: self.values.saturating_mul(count),
            bytes: self.bytes.saturating_mul(count),
        }
    }
}

/// Cost of a selection set. The second part is for each item of the page, whose size is known only
/// where the connection is selected; with both parts separate, a fragment on a connection is walked
/// once for pages of every size.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    fixed: Amount,
    for_each_item: Amount,
    /// True if `totalCount` is selected.
    has_count: bool,
    /// SQL statements that load for all items of a list at once.
    statements: u64,
    /// SQL statements about the viewer, for the whole operation.
    viewer_statements: u64,
}

impl Share {
    fn add(&mut self, other: Self) {
        self.fixed.add(other.fixed);
        self.for_each_item.add(other.for_each_item);
        self.has_count |= other.has_count;
        self.statements = self.statements.saturating_add(other.statements);
        self.viewer_statements = self.viewer_statements.max(other.viewer_statements);
    }
}

#[derive(Debug, Clone, Copy)]
struct Variable<'a> {
    value: &'a Constant,
    weight: u64,
}

struct Estimate<'a, 't> {
    document: &'a ExecutableDocument,
    table: &'t CostTable,
    limits: &'t DocumentLimits,
    variables: HashMap<&'a Name, Variable<'a>>,
    fragments: HashMap<&'a str, Share>,
    work: u64,
}

impl<'a, 't> Estimate<'a, 't> {
    /// The recursion ends because a checked document has no cycles and a bounded nesting.
    fn selection_set(&mut self, set: &'a SelectionSet, parent: Option<&'t TypeCosts>) -> Share {
        let mut share = Share::default();
        let mut sources = Vec::new();
        for selection in &set.items {
            self.work += 1;
            let found = match &selection.node {
                Selection::Field(field) => {
                    let mut found = self.field(&field.node, parent);
                    self.add_statements(&field.node, parent, &mut sources, &mut found);
                    found
                }
                Selection::InlineFragment(inline) => {
                    let inline = &inline.node;
                    let on = inline.type_condition.as_ref();
                    let parent = on.map_or(parent, |on| self.table.fields(&on.node.on.node));
                    self.selection_set(&inline.selection_set.node, parent)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            };
            share.add(found);
        }
        share
    }

    fn fragment(&mut self, name: &'a str) -> Share {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Share::default();
        };
        let parent = self.table.fields(&fragment.node.type_condition.node.on.node);
        let share = self.selection_set(&fragment.node.selection_set.node, parent);
        self.fragments.insert(name, share);
        share
    }

    fn field(&mut self, field: &'a Field, parent: Option<&'t TypeCosts>) -> Share {
        let mut share = Share::default();
        share.fixed.bytes = saturated(field.response_key().node.len()).saturating_add(VALUE_BYTES);
        if field.name.node.starts_with("__") {
            share.fixed.points = match field.name.node.as_str() {
                "__schema" => SCHEMA_COST,
                "__type" => TYPE_COST,
                _ => 0,
            };
            return share;
        }
        share.fixed.values = self.arguments(field).saturating_add(1);
        let Some(cost) = parent.and_then(|fields| fields.get(field.name.node.as_str())) else {
            return share;
        };
        let inner = self.selection_set(&field.selection_set.node, self.table.fields(&cost.returns));
        let mut each = Amount { points: cost.objects, ..Amount::default() };
        each.add(inner.fixed);
        if is_connection(&cost.returns) {
            each.add(inner.for_each_item.times(self.page_size(field)));
        }
        let surcharge = self.surcharge(field, cost, inner.has_count);
        share.fixed.points = share.fixed.points.saturating_add(surcharge);
        share.has_count = COUNT_FIELDS.contains(&field.name.node.as_str());
        share.statements = inner.statements;
        share.viewer_statements = inner.viewer_statements;
        match cost.items {
            Items::One => share.fixed.add(each),
            Items::Bounded { bound, default } => {
                share.fixed.add(each.times(self.items(field, bound, default)));
            }
            Items::Page => share.for_each_item = each,
        }
        share
    }

    fn surcharge(&self, field: &Field, cost: &FieldCost, has_count: bool) -> u64 {
        let paid = cost.surcharges.iter().filter(|(when, _)| self.holds(*when, field, has_count));
        paid.map(|(_, points)| points).sum()
    }

    /// Adds the statements of a field itself. Without arguments, fields of one selection set share what they load.
    fn add_statements(
        &self,
        field: &Field,
        parent: Option<&'t TypeCosts>,
        sources: &mut Vec<&'static str>,
        share: &mut Share,
    ) {
        let cost = parent.and_then(|fields| fields.get(field.name.node.as_str()));
        for statements in cost.map(|cost| cost.statements.as_slice()).unwrap_or_default() {
            if !self.holds(statements.when, field, false) {
                continue;
            }
            let is_shared = field.arguments.is_empty() || statements.parents == Parents::Batch;
            if let Some(source) = statements.source.filter(|_| is_shared) {
                if sources.contains(&source) {
                    continue;
                }
                sources.push(source);
            }
            match statements.parents {
                Parents::All | Parents::Batch => share.statements += statements.count,
                Parents::Each => share.fixed.statements += statements.count,
                Parents::Viewer => share.viewer_statements = statements.count,
            }
        }
    }

    fn holds(&self, condition: When, field: &Field, has_count: bool) -> bool {
        let is_given = |argument: &&str| self.is_given(field, argument);
        match condition {
            When::Always => true,
            When::Argument(argument) => self.is_given(field, argument),
            When::CountOf(arguments) => has_count && arguments.iter().any(is_given),
            When::Count => has_count,
            When::InputFlag { argument, field: flag } => self.is_set(field, argument, flag),
        }
    }

    /// True if the argument has a value that is not null.
    fn is_given(&self, field: &Field, argument: &str) -> bool {
        match field.get_argument(argument).map(|value| &value.node) {
            None | Some(Literal::Null) => false,
            Some(Literal::Variable(name)) => {
                self.variables.get(name).is_some_and(|given| *given.value != Constant::Null)
            }
            Some(_) => true,
        }
    }

    /// True if a boolean field of an input argument is true.
    fn is_set(&self, field: &Field, argument: &str, flag: &str) -> bool {
        let value_of = |name| self.variables.get(name).map(|variable| variable.value);
        let is_true = |value: &Constant| *value == Constant::Boolean(true);
        match field.get_argument(argument).map(|value| &value.node) {
            Some(Literal::Object(fields)) => match fields.get(flag) {
                Some(Literal::Variable(name)) => value_of(name).is_some_and(is_true),
                Some(value) => *value == Literal::Boolean(true),
                None => false,
            },
            Some(Literal::Variable(name)) => match value_of(name) {
                Some(Constant::Object(fields)) => fields.get(flag).is_some_and(is_true),
                _ => false,
            },
            _ => false,
        }
    }

    /// Weight of a field's arguments, with the values of their variables.
    fn arguments(&mut self, field: &'a Field) -> u64 {
        let (mut written, mut held) = (0, 0_u64);
        for (_, value) in &field.arguments {
            let variables = &self.variables;
            let size = literal_size(&value.node, &mut |name| {
                held =
                    held.saturating_add(variables.get(name).map_or(0, |variable| variable.weight));
                1
            });
            written += size.weight;
        }
        self.work += written;
        held.saturating_add(written)
    }

    fn page_size(&self, field: &Field) -> u64 {
        let maximum = self.limits.max_page_size;
        let sizes = ["first", "last"]
            .into_iter()
            .filter_map(|argument| self.integer(field, argument, maximum));
        sizes.max().unwrap_or(self.limits.default_page_size)
    }

    fn items(&self, field: &Field, bound: Bound, default: u64) -> u64 {
        match bound {
            Bound::Items(items) => items,
            Bound::Length { argument, maximum } => {
                self.length(field, argument).unwrap_or(default).min(maximum)
            }
            Bound::Argument { argument, maximum } => {
                self.integer(field, argument, maximum).unwrap_or(default)
            }
        }
    }

    /// An integer argument, clamped to 0 to `maximum`; `maximum` for a value that is not an
    /// integer; none if absent or null.
    fn integer(&self, field: &Field, argument: &str, maximum: u64) -> Option<u64> {
        let number = match &field.get_argument(argument)?.node {
            Literal::Null => return None,
            Literal::Variable(name) => match self.variables.get(name)?.value {
                Constant::Null => return None,
                Constant::Number(number) => Some(number),
                _ => None,
            },
            Literal::Number(number) => Some(number),
            _ => None,
        };
        let Some(number) = number.and_then(Number::as_i64) else {
            return Some(maximum);
        };
        Some(u64::try_from(number).unwrap_or(0).min(maximum))
    }

    /// Length of a list argument; 1 for a single value, which is coerced to a list; none if absent
    /// or null.
    fn length(&self, field: &Field, argument: &str) -> Option<u64> {
        let length = match &field.get_argument(argument)?.node {
            Literal::Null => return None,
            Literal::List(items) => items.len(),
            Literal::Variable(name) => match self.variables.get(name)?.value {
                Constant::Null => return None,
                Constant::List(items) => items.len(),
                _ => 1,
            },
            _ => 1,
        };
        Some(saturated(length))
    }
}
