//! Costs of fields, read from the printed schema. Invariant: each list of objects is a connection or
//! has a stated bound; for a schema with another list there is no table, which enforces the rule.

use std::collections::{HashMap, HashSet};

use async_graphql::Value as Constant;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, OperationType, ServiceDocument, Type,
    TypeDefinition, TypeKind, TypeSystemDefinition,
};

/// Maximum length of a list field that is not a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListBound<'a> {
    /// Object or interface type, or `*` for all types with the field.
    pub type_name: &'a str,
    /// Name of the field.
    pub field: &'a str,
    /// Bound of the list.
    pub bound: Bound,
}

/// Bound of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Constant maximum.
    Items(u64),
    /// Length of a list argument.
    Length {
        /// Name of the argument.
        argument: &'static str,
        /// Maximum length that the resolver accepts.
        maximum: u64,
    },
    /// Value of an integer argument; its default is read from the schema.
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// Maximum value that the resolver accepts.
        maximum: u64,
    },
}

/// Surcharge of a field that takes more work than its objects tell, for each parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surcharge<'a> {
    /// Object type.
    pub type_name: &'a str,
    /// Name of the field.
    pub field: &'a str,
    /// Uses of the field that pay it.
    pub when: When,
    /// Cost points.
    pub points: u64,
}

/// Condition of a surcharge or of statements. All surcharges of a field whose conditions hold are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Each use.
    Always,
    /// The argument is given and not null.
    Argument(&'static str),
    /// One of the arguments is given and not null, and `totalCount` is selected.
    CountOf(&'static [&'static str]),
    /// `totalCount` is selected, whatever the arguments.
    Count,
    /// A boolean field of an input argument is true.
    InputFlag {
        /// Name of the argument.
        argument: &'static str,
        /// Name of the field.
        field: &'static str,
    },
}

/// SQL statements of a field without cached values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementCount<'a> {
    /// Object type.
    pub type_name: &'a str,
    /// Name of the field.
    pub field: &'a str,
    /// Name of the loaded data, which fields of a selection set share; none if each field loads its own.
    pub source: Option<&'static str>,
    /// Uses of the field that need the statements.
    pub when: When,
    /// Parents that the statements load for.
    pub parents: Parents,
    /// Maximum number of statements.
    pub statements: u64,
}

/// Parents of a field that its statements load for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// All of them: the statements of a loader.
    All,
    /// All parents and all arguments: one statement of a loader whose keys include the arguments.
    Batch,
    /// Each by statements of its own.
    Each,
    /// The whole operation: a loader reads the row of the viewer once.
    Viewer,
}

/// Reason why no cost table can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CostTableError {
    /// The schema cannot be parsed.
    #[error("schema cannot be parsed: {0}")]
    Schema(String),
    /// List fields that are neither connections nor bounded, as `Type.field`.
    #[error("list fields without a bound: {}", .0.join(", "))]
    Unbounded(Vec<String>),
    /// Bounds of fields that are not lists of objects, or by arguments that they do not have.
    #[error("bounds that fit no list field: {}", .0.join(", "))]
    Unfitting(Vec<String>),
    /// Surcharges or statements of fields that do not exist.
    #[error("surcharges or statements that fit no field: {}", .0.join(", "))]
    Overcharged(Vec<String>),
}

/// Costs of the schema's fields.
#[derive(Debug)]
pub struct CostTable {
    types: HashMap<String, TypeCosts>,
}

pub(super) type TypeCosts = HashMap<String, FieldCost>;

#[derive(Debug)]
pub(super) struct FieldCost {
    pub(super) returns: String,
    pub(super) objects: u64,
    /// Once, for any number of items.
    pub(super) surcharges: Vec<(When, u64)>,
    /// Its SQL statements.
    pub(super) statements: Vec<Statements>,
    pub(super) items: Items,
}

/// SQL statements of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statements {
    pub(super) source: Option<&'static str>,
    pub(super) when: When,
    pub(super) parents: Parents,
    pub(super) count: u64,
}

#[derive(Debug)]
pub(super) enum Items {
    One,
    Bounded {
        bound: Bound,
        default: u64,
    },
    /// `edges` and `nodes`: the page size of the connection around them.
    Page,
}

impl CostTable {
    /// The costs of a printed schema.
    ///
    /// # Errors
    ///
    /// A list of objects has no bound, or a bound fits no field.
    pub fn from_sdl(sdl: &str, bounds: &[ListBound<'_>]) -> Result<Self, CostTableError> {
        let schema =
            parse_schema(sdl).map_err(|error| CostTableError::Schema(error.to_string()))?;
        Self::from_schema(&schema, bounds)
    }

    /// The same of a schema that is parsed already.
    ///
    /// # Errors
    ///
    /// A list of objects has no bound, or a bound fits nothing.
    pub fn from_schema(
        schema: &ServiceDocument,
        bounds: &[ListBound<'_>],
    ) -> Result<Self, CostTableError> {
        let definitions = || {
            schema.definitions.iter().filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => Some(&definition.node),
                _ => None,
            })
        };
        let objects: HashSet<_> = definitions()
            .filter(|definition| {
                matches!(
                    definition.kind,
                    TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_)
                )
            })
            .map(|definition| definition.name.node.as_str())
            .collect();
        let mut types: HashMap<String, TypeCosts> = HashMap::new();
        let (mut unbounded, mut fitting) = (Vec::new(), HashSet::new());
        for definition in definitions() {
            let type_name = definition.name.node.as_str();
            for field in fields_of(definition) {
                let (returns, is_list) = returned(&field.ty.node);
                let returns_objects = objects.contains(returns);
                let name = field.name.node.as_str();
                let items = if !is_list || !returns_objects {
                    Items::One
                } else if is_connection(type_name) && matches!(name, "edges" | "nodes") {
                    Items::Page
                } else if let Some((index, items)) = bounded(bounds, type_name, field) {
                    fitting.insert(index);
                    items
                } else {
                    unbounded.push(format!("{type_name}.{name}"));
                    continue;
                };
                let cost = FieldCost {
                    returns: returns.to_owned(),
                    objects: u64::from(returns_objects && !is_wrapper(returns)),
                    surcharges: Vec::new(),
                    statements: Vec::new(),
                    items,
                };
                types.entry(type_name.to_owned()).or_default().insert(name.to_owned(), cost);
            }
        }
        let unfitting: Vec<_> = (0..bounds.len())
            .filter(|index| !fitting.contains(index))
            .map(|index| format!("{}.{}", bounds[index].type_name, bounds[index].field))
            .collect();
        if !unfitting.is_empty() {
            return Err(CostTableError::Unfitting(unfitting));
        }
        if !types.contains_key("Query") {
            return Err(CostTableError::Schema("no type is named Query".to_owned()));
        }
        if !unbounded.is_empty() {
            return Err(CostTableError::Unbounded(unbounded));
        }
        Ok(Self { types })
    }

    /// The table with surcharges.
    ///
    /// # Errors
    ///
    /// A field with a surcharge does not exist.
    pub fn with_surcharges(mut self, surcharges: &[Surcharge<'_>]) -> Result<Self, CostTableError> {
        let mut unfitting = Vec::new();
        for Surcharge { type_name, field, when, points } in surcharges {
            match self.field_mut(type_name, field) {
                Some(cost) => cost.surcharges.push((*when, *points)),
                None => unfitting.push(format!("{type_name}.{field}")),
            }
        }
        if unfitting.is_empty() { Ok(self) } else { Err(CostTableError::Overcharged(unfitting)) }
    }

    /// The table with the numbers of SQL statements.
    ///
    /// # Errors
    ///
    /// A field with statements does not exist.
    pub fn with_statements(
        mut self,
        counts: &[StatementCount<'_>],
    ) -> Result<Self, CostTableError> {
        let mut unfitting = Vec::new();
        for &StatementCount { type_name, field, source, when, parents, statements } in counts {
            match self.field_mut(type_name, field) {
                Some(cost) => {
                    cost.statements.push(Statements { source, when, parents, count: statements });
                }
                None => unfitting.push(format!("{type_name}.{field}")),
            }
        }
        if unfitting.is_empty() { Ok(self) } else { Err(CostTableError::Overcharged(unfitting)) }
    }

    fn field_mut(&mut self, type_name: &str, field: &str) -> Option<&mut FieldCost> {
        self.types.get_mut(type_name)?.get_mut(field)
    }

    /// Fields of an object or interface type.
    pub(super) fn fields(&self, type_name: &str) -> Option<&TypeCosts> {
        self.types.get(type_name)
    }

    /// Fields of a root type. The names of root types are part of the contract.
    pub(super) fn root(&self, kind: OperationType) -> Option<&TypeCosts> {
        self.fields(match kind {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        })
    }
}

pub(super) fn is_connection(type_name: &str) -> bool {
    type_name.ends_with("Connection")
}

/// Types that are only parts of a page.
fn is_wrapper(type_name: &str) -> bool {
    is_connection(type_name) || type_name.ends_with("Edge") || type_name == "PageInfo"
}

fn fields_of(definition: &TypeDefinition) -> impl Iterator<Item = &FieldDefinition> {
    let fields = match &definition.kind {
        TypeKind::Object(object) => object.fields.as_slice(),
        TypeKind::Interface(interface) => interface.fields.as_slice(),
        _ => &[],
    };
    fields.iter().map(|field| &field.node)
}

/// The named type of a field, and true if it is in a list.
fn returned(ty: &Type) -> (&str, bool) {
    match &ty.base {
        BaseType::Named(name) => (name, false),
        BaseType::List(item) => (returned(item).0, true),
    }
}

/// The stated bound of a field with its index; that of its type has priority over that of all
/// types.
fn bounded(
    bounds: &[ListBound<'_>],
    type_name: &str,
    field: &FieldDefinition,
) -> Option<(usize, Items)> {
    let stated = |owner: &str| {
        bounds.iter().position(|bound| bound.type_name == owner && field.name.node == bound.field)
    };
    let index = stated(type_name).or_else(|| stated("*"))?;
    let bound = bounds[index].bound;
    let default = match bound {
        Bound::Items(items) => items,
        Bound::Length { argument, maximum } => argument_of(field, argument).map(|_| maximum)?,
        Bound::Argument { argument, maximum } => match &argument_of(field, argument)?.default_value
        {
            None => maximum,
            Some(default) => match &default.node {
                Constant::Number(number) => number.as_u64()?.min(maximum),
                _ => return None,
            },
        },
    };
    Some((index, Items::Bounded { bound, default }))
}

fn argument_of<'a>(field: &'a FieldDefinition, name: &str) -> Option<&'a InputValueDefinition> {
    let mut arguments = field.arguments.iter().map(|argument| &argument.node);
    arguments.find(|argument| argument.name.node == name)
}
