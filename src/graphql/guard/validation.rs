//! Validation against the schema, once for each document: the rules of the specification by apollo-compiler, and
//! literals by [`InputCoercion`], which also coerces variables. Invariant: a valid document never fails in a
//! resolver for a mistake in its text.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use apollo_compiler::Node;
use apollo_compiler::ast::{self, InputValueDefinition};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::executable::{
    DirectiveList, ExecutableDocument, Operation, Selection, SelectionSet, VariableDefinition,
};
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::{DiagnosticList, Valid};
use async_graphql::Name;

use super::super::input_coercion::{InputCoercion, InputSource};
use super::super::type_system::TypeSystem;
use super::super::variables::{OperationInputs, VariableInput};
use super::parse::value_of;
use super::positions::Positions;
use super::refusal::{Refusal, ValidationError};

/// Reporting of validation errors.
#[derive(Debug, Clone, Copy)]
pub struct ErrorReporting {
    /// Maximum number of errors.
    pub maximum: usize,
    /// True to suggest a similar name for an unknown one ("did you mean"), which reveals the schema.
    pub suggests_names: bool,
}

/// A valid document.
pub(super) struct ValidDocument {
    /// For introspection.
    pub(super) document: Valid<ExecutableDocument>,
    /// Variables and fragments of each operation.
    pub(super) inputs: HashMap<Option<Name>, OperationInputs>,
}

/// Validates a document that was parsed from `text`.
///
/// # Errors
///
/// The errors in the order of the document, up to the maximum. Errors in literals are reported before all others.
pub(super) fn validate(
    tree: &ast::Document,
    text: &str,
    types: &TypeSystem,
    reporting: ErrorReporting,
) -> Result<ValidDocument, Refusal> {
    let refuse = |errors: &DiagnosticList| refusal(errors, text, types, reporting);
    let schema = types.schema();
    let mut document = tree.to_executable(schema).map_err(|failed| refuse(&failed.errors))?;
    // Before the other rules, whose messages would contain the values.
    let mut walk = LiteralWalk { types, positions: Positions::new(text), errors: Vec::new() };
    let operations: Vec<(&Node<Operation>, DefinitionInputs)> = document
        .operations
        .iter()
        .map(|operation| {
            let mut inputs = DefinitionInputs::default();
            walk.defaults(operation);
            walk.directives(&operation.directives, &mut inputs);
            walk.selection_set(&operation.selection_set, &mut inputs);
            (operation, inputs)
        })
        .collect();
    let mut fragments = HashMap::new();
    for (name, fragment) in &document.fragments {
        let mut inputs = DefinitionInputs::default();
        walk.directives(&fragment.directives, &mut inputs);
        walk.selection_set(&fragment.selection_set, &mut inputs);
        fragments.insert(Name::new(name), inputs);
    }
    if !walk.errors.is_empty() {
        walk.errors.sort_by_key(|error| error.at.map(|at| (at.line, at.column)));
        walk.errors.truncate(reporting.maximum);
        return Err(Refusal::ValidationFailed { errors: walk.errors });
    }
    let inputs = operations.into_iter().map(|(operation, inputs)| {
        let name = operation.name.as_ref().map(Name::new);
        (name, inputs.of_operation(operation, &fragments))
    });
    let inputs = inputs.collect();
    remove_null_defaults(&mut document);
    let document = document.validate(schema).map_err(|failed| refuse(&failed.errors))?;
    Ok(ValidDocument { document, inputs })
}

/// Removes null defaults. A variable with one is allowed only where a variable without a default is, but the
/// library treats it as one that has a value.
fn remove_null_defaults(document: &mut ExecutableDocument) {
    let operations = &mut document.operations;
    for operation in operations.anonymous.iter_mut().chain(operations.named.values_mut()) {
        let is_null = |variable: &Node<VariableDefinition>| {
            variable.default_value.as_ref().is_some_and(|default| default.is_null())
        };
        if operation.variables.iter().any(is_null) {
            for variable in &mut operation.make_mut().variables {
                if is_null(variable) {
                    variable.make_mut().default_value = None;
                }
            }
        }
    }
}

fn refusal(
    diagnostics: &DiagnosticList,
    text: &str,
    types: &TypeSystem,
    reporting: ErrorReporting,
) -> Refusal {
    let mut positions = Positions::new(text);
    let errors = diagnostics.iter().take(reporting.maximum).map(|diagnostic| {
        let at = diagnostic.error.location().map(|span| positions.at(span.offset()));
        let mut message = diagnostic.error.to_string();
        if reporting.suggests_names
            && let Some(name) = suggestion(&message, types)
        {
            let _ = write!(message, "; did you mean `{name}`?");
        }
        ValidationError::new(&message, at)
    });
    Refusal::ValidationFailed { errors: errors.collect() }
}

/// Most similar name to the unknown field or argument of a diagnostic, whose only public part is its message.
fn suggestion<'a>(message: &str, types: &'a TypeSystem) -> Option<&'a str> {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let fields_of = |type_name: &str| -> Vec<&'a Node<FieldDefinition>> {
        match types.schema().types.get(type_name) {
            Some(ExtendedType::Object(found)) => found.fields.values().collect(),
            Some(ExtendedType::Interface(found)) => found.fields.values().collect(),
            _ => Vec::new(),
        }
    };
    let (unknown, candidates): (&str, Vec<&'a str>) = match *names.as_slice() {
        [type_name, field] if message.contains("does not have a field") => {
            (field, fields_of(type_name).iter().map(|field| field.name.as_str()).collect())
        }
        [argument, coordinate] if message.starts_with("the argument") => {
            let (type_name, field) = coordinate.split_once('.')?;
            let fields = fields_of(type_name);
            let found = fields.iter().find(|found| found.name == field)?;
            (argument, found.arguments.iter().map(|argument| argument.name.as_str()).collect())
        }
        _ => return None,
    };
    let nearest = candidates
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, unknown), name))
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    (nearest.0 >= SUGGESTION_SIMILARITY).then_some(nearest.1)
}

/// Minimum Jaro-Winkler similarity of a suggested name: one wrong or missing letter, or another case.
const SUGGESTION_SIMILARITY: f64 = 0.8;

/// Variables and spreads of one operation or fragment, without those of its fragments.
#[derive(Debug, Default)]
struct DefinitionInputs {
    non_null_variables: HashSet<Name>,
    fragments: HashSet<Name>,
}

impl DefinitionInputs {
    /// Adds the fragments that the operation reaches.
    fn of_operation(
        mut self,
        operation: &Operation,
        fragments: &HashMap<Name, Self>,
    ) -> OperationInputs {
        let mut reached: Vec<Name> = self.fragments.drain().collect();
        let mut next = 0;
        while let Some(name) = reached.get(next).cloned() {
            next += 1;
            let Some(fragment) = fragments.get(&name) else { continue };
            self.non_null_variables.extend(fragment.non_null_variables.iter().cloned());
            for name in &fragment.fragments {
                if !reached.contains(name) {
                    reached.push(name.clone());
                }
            }
        }
        let variables = operation.variables.iter().map(|variable| VariableInput {
            name: Name::new(&variable.name),
            ty: (*variable.ty).clone(),
            default: variable
                .default_value
                .as_ref()
                .and_then(|value| value_of(value)?.into_const()),
        });
        OperationInputs {
            variables: variables.collect(),
            fragments: reached,
            non_null_variables: self.non_null_variables,
        }
    }
}

/// Walk over all literals of a document; each fragment is walked once.
struct LiteralWalk<'a> {
    types: &'a TypeSystem,
    positions: Positions<'a>,
    errors: Vec<ValidationError>,
}

impl LiteralWalk<'_> {
    fn defaults(&mut self, operation: &Operation) {
        for variable in &operation.variables {
            if let Some(default) = &variable.default_value {
                let name = format!("${}", variable.name);
                self.literal(&name, &variable.ty, default, &mut DefinitionInputs::default());
            }
        }
    }

    fn selection_set(&mut self, set: &SelectionSet, inputs: &mut DefinitionInputs) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.definition.arguments, &field.arguments, inputs);
                    self.directives(&field.directives, inputs);
                    if let Some(set) = &field.selection_set {
                        self.selection_set(set, inputs);
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.directives, inputs);
                    self.selection_set(&inline.selection_set, inputs);
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.directives, inputs);
                    inputs.fragments.insert(Name::new(&spread.fragment_name));
                }
            }
        }
    }

    fn directives(&mut self, directives: &DirectiveList, inputs: &mut DefinitionInputs) {
        let types = self.types;
        for directive in directives {
            if let Some(definition) = types.schema().directive_definitions.get(&directive.name) {
                self.arguments(&definition.arguments, &directive.arguments, inputs);
            }
        }
    }

    /// Coerces the literals of arguments. Unknown arguments are left to the other rules.
    fn arguments(
        &mut self,
        definitions: &[Node<InputValueDefinition>],
        arguments: &[Node<ast::Argument>],
        inputs: &mut DefinitionInputs,
    ) {
        for argument in arguments {
            let mut definitions = definitions.iter();
            if let Some(found) = definitions.find(|definition| definition.name == argument.name) {
                self.literal(&argument.name, &found.ty, &argument.value, inputs);
            }
        }
    }

    fn literal(
        &mut self,
        name: &str,
        ty: &ast::Type,
        literal: &Node<ast::Value>,
        inputs: &mut DefinitionInputs,
    ) {
        if let Some(repeated) = repeated_field(literal) {
            let message = format!("`{name}` has a field that is given twice");
            return self.fail(&message, repeated.location());
        }
        // The parser has rejected numbers out of range.
        let Some(mut value) = value_of(literal) else { return };
        let mut coercion = InputCoercion::new(self.types, InputSource::Literal, name);
        let result = coercion.coerce(ty, &mut value);
        inputs.non_null_variables.extend(coercion.into_non_null_variables());
        if let Err(error) = result {
            self.fail(&error.to_string(), literal.location());
        }
    }

    fn fail(&mut self, message: &str, span: Option<SourceSpan>) {
        let at = span.map(|span| self.positions.at(span.offset()));
        self.errors.push(ValidationError::new(message, at));
    }
}

/// First duplicate field name in an object.
fn repeated_field(literal: &ast::Value) -> Option<&apollo_compiler::Name> {
    match literal {
        ast::Value::List(items) => items.iter().find_map(|item| repeated_field(item)),
        ast::Value::Object(fields) => {
            let mut names = HashSet::new();
            fields.iter().find_map(|(name, value)| {
                if names.insert(name) { repeated_field(value) } else { Some(name) }
            })
        }
        _ => None,
    }
}
