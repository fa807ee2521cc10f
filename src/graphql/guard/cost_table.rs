//! What each field of the schema costs, read from the printed schema. Invariant: every list of
//! objects is a connection or has a stated bound; a schema with another list makes no table, which
//! is how the rule is enforced.

use std::collections::{HashMap, HashSet};

use async_graphql::Value as Constant;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, OperationType, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};

/// How many items a list field that is no connection can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListBound<'a> {
    /// The object or interface type, or `*` for all types that have the field.
    pub type_name: &'a str,
    /// The field.
    pub field: &'a str,
    /// What bounds it.
    pub bound: Bound,
}

/// What bounds a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This many items at most.
    Items(u64),
    /// As many items as the list in an argument has.
    Length {
        /// The argument.
        argument: &'static str,
        /// The longest list that the resolver accepts.
        maximum: u64,
    },
    /// As many items as an integer argument says; its default is read from the schema.
    Argument {
        /// The argument.
        argument: &'static str,
        /// The largest number that the resolver accepts.
        maximum: u64,
    },
}

/// What a field costs besides the objects that it returns, because they take more to find than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surcharge<'a> {
    /// The object type.
    pub type_name: &'a str,
    /// The field, which returns objects.
    pub field: &'a str,
    /// As many objects as it costs besides.
    pub objects: u64,
}

/// Why no cost table can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CostTableError {
    /// The schema cannot be read.
    #[error("schema cannot be parsed: {0}")]
    Schema(String),
    /// List fields that are neither connections nor bounded, as `Type.field`.
    #[error("list fields without a bound: {}", .0.join(", "))]
    Unbounded(Vec<String>),
    /// Bounds for fields that are no lists of objects, or by arguments that they do not have.
    #[error("bounds that fit no list field: {}", .0.join(", "))]
    Unfitting(Vec<String>),
    /// Surcharges for fields that return no objects.
    #[error("surcharges that fit no field: {}", .0.join(", "))]
    Overcharged(Vec<String>),
}

/// What each field of the schema costs.
#[derive(Debug)]
pub struct CostTable {
    types: HashMap<String, TypeCosts>,
}

pub(super) type TypeCosts = HashMap<String, FieldCost>;

#[derive(Debug)]
pub(super) struct FieldCost {
    pub(super) returns: String,
    pub(super) objects: u64,
    /// Once, however many items there are.
    pub(super) surcharge: u64,
    pub(super) items: Items,
}

#[derive(Debug)]
pub(super) enum Items {
    One,
    Bounded {
        bound: Bound,
        default: u64,
    },
    /// `edges` and `nodes`: as many as the page of the connection around them.
    Page,
}

impl CostTable {
    /// Reads the printed schema.
    ///
    /// # Errors
    ///
    /// A list of objects has no bound, or a bound fits nothing.
    pub fn from_sdl(sdl: &str, bounds: &[ListBound<'_>]) -> Result<Self, CostTableError> {
        let schema =
            parse_schema(sdl).map_err(|error| CostTableError::Schema(error.to_string()))?;
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
                if !objects.contains(returns) {
                    continue;
                }
                let name = field.name.node.as_str();
                let items = if !is_list {
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
                    objects: u64::from(!is_wrapper(returns)),
                    surcharge: 0,
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

    /// With what some fields cost besides.
    ///
    /// # Errors
    ///
    /// One of them returns no objects.
    pub fn with_surcharges(mut self, surcharges: &[Surcharge<'_>]) -> Result<Self, CostTableError> {
        let mut unfitting = Vec::new();
        for Surcharge { type_name, field, objects } in surcharges {
            match self.types.get_mut(*type_name).and_then(|fields| fields.get_mut(*field)) {
                Some(cost) => cost.surcharge = *objects,
                None => unfitting.push(format!("{type_name}.{field}")),
            }
        }
        if unfitting.is_empty() { Ok(self) } else { Err(CostTableError::Overcharged(unfitting)) }
    }

    /// The fields of an object or interface type that return objects.
    pub(super) fn fields(&self, type_name: &str) -> Option<&TypeCosts> {
        self.types.get(type_name)
    }

    /// The fields of a root type; their names are those of the contract.
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

/// Types that only hold a page together.
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

/// The named type and whether there are lists around it.
fn returned(ty: &Type) -> (&str, bool) {
    match &ty.base {
        BaseType::Named(name) => (name, false),
        BaseType::List(item) => (returned(item).0, true),
    }
}

/// The bound stated for a field, its type's own before the one for all types, and its place in the
/// list.
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
