//! Validation against the schema, once for each document: the rules of the specification by apollo-compiler, and
//! literals by [`InputCoercion`], which also coerces variables. Invariant: a valid document never fails in a
//! resolver for a mistake in its text.

use std::collections::{HashMap, HashSet};

use apollo_compiler::Node;
use apollo_compiler::ast::{self, InputValueDefinition};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::executable::{
    DirectiveList, ExecutableDocument, Field, Operation, Selection, SelectionSet,
    VariableDefinition,
};
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::{DiagnosticList, Valid};
use async_graphql::Name;

use super::super::error_reporting::ErrorReporting;
use super::super::input_coercion::{InputCoercion, InputSource};
use super::super::type_system::TypeSystem;
use super::super::variables::{OperationInputs, VariableInput};
use super::parse::value_of;
use super::positions::Positions;
use super::refusal::{Refusal, ValidationError};

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
/// All unknown fields and wrong values in the order of the text; if there are none, all violations of the
/// other rules. As many as are reported.
pub(super) fn validate(
    tree: &ast::Document,
    text: &str,
    types: &TypeSystem,
    reporting: ErrorReporting,
) -> Result<ValidDocument, Refusal> {
    let schema = types.schema();
    let presentation = Presentation { text, types, reporting };
    let (mut document, mut errors) = match tree.to_executable(schema) {
        Ok(document) => (document, Vec::new()),
        // Without the unknown fields, whose arguments have no type.
        Err(failed) => (failed.partial, presentation.errors(&failed.errors)),
    };
    // Before the other rules: their messages about values repeat the value.
    let mut walk =
        LiteralWalk { presentation, positions: Positions::new(text), errors: Vec::new() };
    let inputs = walk.document(&document);
    errors.append(&mut walk.errors);
    if !errors.is_empty() {
        // Stable: errors of one value keep their order.
        errors.sort_by_key(|error| error.at.map(|at| (at.line, at.column)));
        errors.truncate(reporting.maximum);
        return Err(Refusal::ValidationFailed { errors });
    }
    remove_null_defaults(&mut document);
    let document = document.validate(schema).map_err(|failed| Refusal::ValidationFailed {
        errors: presentation.errors(&failed.errors),
    })?;
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

/// Presentation of diagnostics of the library, which have no parts but their message.
#[derive(Clone, Copy)]
struct Presentation<'a> {
    text: &'a str,
    types: &'a TypeSystem,
    reporting: ErrorReporting,
}

impl<'a> Presentation<'a> {
    fn errors(self, diagnostics: &DiagnosticList) -> Vec<ValidationError> {
        let mut positions = Positions::new(self.text);
        let errors = diagnostics.iter().take(self.reporting.maximum).map(|diagnostic| {
            let at = diagnostic.error.location().map(|span| positions.at(span.offset()));
            ValidationError::new(&self.message(diagnostic.error.to_string()), at)
        });
        errors.collect()
    }

    /// The message with the name that an unknown one resembles. An unknown directive is one of the schema: a
    /// document defines none.
    fn message(self, message: String) -> String {
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match *names.as_slice() {
            [type_name, field] if message.contains("does not have a field") => {
                let fields = self.fields_of(type_name);
                let candidates = fields.iter().map(|field| field.name.as_str());
                self.reporting.with_suggestion(message.clone(), field, candidates)
            }
            [argument, coordinate] if message.starts_with("the argument") => {
                let candidates = self.arguments_of(coordinate);
                self.reporting.with_suggestion(message.clone(), argument, candidates)
            }
            [directive] if message.starts_with("cannot find directive") => {
                format!("the schema has no directive `{directive}`")
            }
            _ => message,
        }
    }

    fn fields_of(self, type_name: &str) -> Vec<&'a Node<FieldDefinition>> {
        match self.types.schema().types.get(type_name) {
            Some(ExtendedType::Object(found)) => found.fields.values().collect(),
            Some(ExtendedType::Interface(found)) => found.fields.values().collect(),
            _ => Vec::new(),
        }
    }

    /// Names of the arguments of `Type.field`.
    fn arguments_of(self, coordinate: &str) -> Vec<&'a str> {
        let (type_name, name) = coordinate.split_once('.').unwrap_or_default();
        let fields = self.fields_of(type_name);
        let found = fields.into_iter().find(|field| field.name == name);
        found.map_or_else(Vec::new, |field| {
            field.arguments.iter().map(|argument| argument.name.as_str()).collect()
        })
    }
}

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
    presentation: Presentation<'a>,
    positions: Positions<'a>,
    errors: Vec<ValidationError>,
}

impl LiteralWalk<'_> {
    /// Variables and fragments of each operation. Meaningless if there are errors.
    fn document(
        &mut self,
        document: &ExecutableDocument,
    ) -> HashMap<Option<Name>, OperationInputs> {
        let mut fragments = HashMap::new();
        for (name, fragment) in &document.fragments {
            let mut inputs = DefinitionInputs::default();
            self.directives(&fragment.directives, &mut inputs);
            self.selection_set(&fragment.selection_set, &mut inputs);
            fragments.insert(Name::new(name), inputs);
        }
        let operations = document.operations.iter().map(|operation| {
            let mut inputs = DefinitionInputs::default();
            self.variables(operation);
            self.directives(&operation.directives, &mut inputs);
            self.selection_set(&operation.selection_set, &mut inputs);
            let name = operation.name.as_ref().map(Name::new);
            (name, inputs.of_operation(operation, &fragments))
        });
        operations.collect()
    }

    fn variables(&mut self, operation: &Operation) {
        for variable in &operation.variables {
            let name = variable.ty.inner_named_type();
            if !self.presentation.types.schema().types.contains_key(name) {
                self.unknown_type(name, variable.location());
            } else if let Some(default) = &variable.default_value {
                let name = format!("${}", variable.name);
                self.literal(&name, &variable.ty, default, &mut DefinitionInputs::default());
            }
        }
    }

    /// Rejects an unknown type. The rule would reject the uses of the variable as well.
    fn unknown_type(&mut self, name: &str, span: Option<SourceSpan>) {
        let Presentation { types, reporting, .. } = self.presentation;
        let known = types.schema().types.values().filter(|known| known.is_input_type());
        let message = format!("the schema has no type `{name}`");
        let known = known.map(|known| known.name().as_str());
        self.fail(&reporting.with_suggestion(message, name, known), span);
    }

    fn selection_set(&mut self, set: &SelectionSet, inputs: &mut DefinitionInputs) {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    self.arguments(&field.definition.arguments, &field.arguments, inputs);
                    self.directives(&field.directives, inputs);
                    match &field.selection_set {
                        Some(set) => self.selection_set(set, inputs),
                        None => self.leaf(field),
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

    /// Rejects an object without a selection. The message of the rule names neither the field nor its type.
    fn leaf(&mut self, field: &Node<Field>) {
        let types = &self.presentation.types.schema().types;
        let named = types.get(field.definition.ty.inner_named_type());
        if named.is_some_and(|named| !named.is_leaf()) {
            let (name, ty) = (&field.name, &field.definition.ty);
            let message =
                format!("`{name}` is of type `{ty}`: select fields of it, `{name} {{ … }}`");
            self.fail(&message, field.location());
        }
    }

    fn directives(&mut self, directives: &DirectiveList, inputs: &mut DefinitionInputs) {
        let types = self.presentation.types;
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
        let Presentation { types, reporting, .. } = self.presentation;
        let coercion = InputCoercion::new(types, InputSource::Literal, reporting, name);
        let coerced = coercion.coerce(ty, &mut value);
        inputs.non_null_variables.extend(coerced.non_null_variables);
        for error in coerced.errors {
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
