//! Parsing by apollo-compiler, which follows the specification where async-graphql's parser departs from it.
//! Validation uses its syntax tree; for execution the tree is converted to async-graphql's types. These cannot
//! hold two definitions of one name, so such documents are rejected here.

use std::collections::HashMap;

use apollo_compiler::Node;
use apollo_compiler::ast::{self, Definition};
use apollo_compiler::diagnostic::ToCliReport;
use apollo_compiler::parser::SourceSpan;
use apollo_compiler::validation::DiagnosticList;
use async_graphql::parser::types::{
    BaseType, Directive, DocumentOperations, ExecutableDocument, Field, FragmentDefinition,
    FragmentSpread, InlineFragment, OperationDefinition, OperationType, Selection, SelectionSet,
    Type, TypeCondition, VariableDefinition,
};
use async_graphql::{Name, Number, Pos, Positioned};
use async_graphql_value::Value;

use super::positions::Positions;
use super::refusal::Refusal;
use super::scan::string_end;

/// A parsed document in the types of both libraries.
#[derive(Debug)]
pub(super) struct ParsedDocument {
    /// For validation.
    pub(super) syntax_tree: ast::Document,
    /// For the limits and for execution.
    pub(super) executable: ExecutableDocument,
}

/// Parses a document of that many tokens, whose nesting of brackets is within its limit.
///
/// # Errors
///
/// A syntax error, a definition of the type system, or two definitions of one name.
pub(super) fn parse_document(text: &str, tokens: usize) -> Result<ParsedDocument, Refusal> {
    if tokens == 0 {
        return Err(Refusal::parse_failed("a document needs an operation", None));
    }
    let syntax_tree = ast::Document::parse(without_commas(text), "document")
        .map_err(|failed| syntax_error(text, &failed.errors))?;
    let mut conversion = Conversion { positions: Positions::new(text), tokens: 0 };
    let executable = conversion.document(&syntax_tree)?;
    // The parser leaves out an argument that has a name and no value.
    if conversion.tokens != tokens {
        return Err(Refusal::parse_failed("an argument needs a value", None));
    }
    Ok(ParsedDocument { syntax_tree, executable })
}

/// The text with spaces in place of its commas, which are equivalent: apollo-parser rejects a comma after a spread
/// and before an argument list. Offsets stay the same.
fn without_commas(text: &str) -> String {
    let mut replaced = text.to_owned().into_bytes();
    let mut position = 0;
    while let Some(&byte) = replaced.get(position) {
        let next = match byte {
            b'"' => string_end(&replaced, position),
            b'#' => {
                let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
                replaced[position..].iter().position(is_end).map(|length| position + length)
            }
            _ => Some(position + 1),
        };
        if byte == b',' {
            replaced[position] = b' ';
        }
        // Only a comment can extend to the end: the scan has found the end of each string.
        position = next.unwrap_or(replaced.len());
    }
    // Only ASCII was replaced.
    String::from_utf8(replaced).unwrap_or_else(|_| text.to_owned())
}

/// First syntax error: the expectation, without the text that was found, which may be a password.
fn syntax_error(text: &str, errors: &DiagnosticList) -> Refusal {
    let Some(first) = errors.iter().next() else {
        return Refusal::parse_failed("syntax error", None);
    };
    let message = first.error.to_string();
    let message = message.strip_prefix("syntax error: ").unwrap_or(&message);
    let message = message.split_once(", got ").map_or(message, |(expected, _)| expected);
    let message = message.split(['`', '"']).next().unwrap_or_default().trim_end();
    let mut letters = message.chars();
    let message: String =
        letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    let message = [("R_PAREN", "`)`"), ("R_CURLY", "`}`"), ("R_BRACK", "`]`"), ("COLON", "`:`")]
        .iter()
        .fold(message, |message, (token, symbol)| message.replace(token, symbol));
    let at = first.error.location().map(|span| Positions::new(text).at(span.offset()));
    Refusal::parse_failed(&message, at)
}

/// Argument of a field or directive in async-graphql's tree.
type Argument = (Positioned<Name>, Positioned<Value>);

/// Conversion of a syntax tree to async-graphql's types. Recursion is bounded by the nesting of brackets.
struct Conversion<'t> {
    positions: Positions<'t>,
    /// Number of tokens converted so far.
    tokens: usize,
}

/// Number of tokens of a pair of brackets.
const BRACKETS: usize = 2;

impl Conversion<'_> {
    fn document(&mut self, tree: &ast::Document) -> Result<ExecutableDocument, Refusal> {
        let mut anonymous = Vec::new();
        let mut named = HashMap::new();
        let mut fragments = HashMap::new();
        for definition in &tree.definitions {
            match definition {
                Definition::OperationDefinition(definition) => {
                    let at = self.at(definition.location());
                    let operation = Positioned::new(self.operation(definition)?, at);
                    let Some(name) = &definition.name else {
                        anonymous.push(operation);
                        continue;
                    };
                    if named.insert(Name::new(name), operation).is_some() {
                        let message = format!("two operations are named `{name}`");
                        return Err(Refusal::validation_failed(&message, at));
                    }
                }
                Definition::FragmentDefinition(definition) => {
                    let at = self.at(definition.location());
                    let fragment = Positioned::new(self.fragment(definition)?, at);
                    let name = &definition.name;
                    if fragments.insert(Name::new(name), fragment).is_some() {
                        let message = format!("two fragments are named `{name}`");
                        return Err(Refusal::validation_failed(&message, at));
                    }
                }
                other => {
                    let message =
                        "a request has operations and fragments, and no definitions of types";
                    return Err(Refusal::validation_failed(message, self.at(other.location())));
                }
            }
        }
        let operations = match (anonymous.pop(), anonymous.is_empty() && named.is_empty()) {
            (None, true) => {
                return Err(Refusal::parse_failed("a document needs an operation", None));
            }
            (None, false) => DocumentOperations::Multiple(named),
            (Some(operation), true) => DocumentOperations::Single(operation),
            (Some(operation), false) => {
                let message = "an operation without a name must be the only one";
                return Err(Refusal::validation_failed(message, operation.pos));
            }
        };
        Ok(ExecutableDocument { operations, fragments })
    }

    fn operation(
        &mut self,
        definition: &Node<ast::OperationDefinition>,
    ) -> Result<OperationDefinition, Refusal> {
        self.tokens += usize::from(definition.description.is_some());
        let is_shorthand =
            definition.location().is_some_and(|span| self.positions.is_at(span.offset(), '{'));
        self.tokens += usize::from(!is_shorthand) + usize::from(definition.name.is_some());
        let ty = match definition.operation_type {
            ast::OperationType::Query => OperationType::Query,
            ast::OperationType::Mutation => OperationType::Mutation,
            ast::OperationType::Subscription => OperationType::Subscription,
        };
        let mut variable_definitions = Vec::with_capacity(definition.variables.len());
        self.tokens += if definition.variables.is_empty() { 0 } else { BRACKETS };
        for variable in &definition.variables {
            let at = self.at(variable.location());
            variable_definitions.push(Positioned::new(self.variable(variable)?, at));
        }
        let directives = self.directives(&definition.directives)?;
        let at = self.at(definition.location());
        let selection_set = self.selection_set(&definition.selection_set, at)?;
        Ok(OperationDefinition { ty, variable_definitions, directives, selection_set })
    }

    fn variable(
        &mut self,
        variable: &Node<ast::VariableDefinition>,
    ) -> Result<VariableDefinition, Refusal> {
        // A dollar sign, the name, and a colon.
        self.tokens += 3 + usize::from(variable.description.is_some());
        let name = self.name(&variable.name);
        self.tokens += tokens_of(&variable.ty);
        let var_type = Positioned::new(type_of(&variable.ty), self.at(variable.ty.location()));
        let default_value = match &variable.default_value {
            None => None,
            Some(default) => {
                // An equals sign.
                self.tokens += 1;
                let at = self.at(default.location());
                let constant = self.value(default)?.node.into_const().ok_or_else(|| {
                    Refusal::parse_failed("a default must not contain a variable", Some(at))
                })?;
                Some(Positioned::new(constant, at))
            }
        };
        let directives = self.directives(&variable.directives)?;
        Ok(VariableDefinition { name, var_type, directives, default_value })
    }

    fn fragment(
        &mut self,
        definition: &Node<ast::FragmentDefinition>,
    ) -> Result<FragmentDefinition, Refusal> {
        // `fragment`, its name, `on`, and the type.
        self.tokens += 4 + usize::from(definition.description.is_some());
        let on = self.name(&definition.type_condition);
        let type_condition = Positioned::new(TypeCondition { on: on.clone() }, on.pos);
        let directives = self.directives(&definition.directives)?;
        let selection_set = self.selection_set(&definition.selection_set, on.pos)?;
        Ok(FragmentDefinition { type_condition, directives, selection_set })
    }

    /// Converts a selection set. `at` is the position of its field or definition.
    fn selection_set(
        &mut self,
        selections: &[ast::Selection],
        at: Pos,
    ) -> Result<Positioned<SelectionSet>, Refusal> {
        if selections.is_empty() {
            return Err(Refusal::parse_failed("a selection set must not be empty", Some(at)));
        }
        self.tokens += BRACKETS;
        let items = selections.iter().map(|selection| self.selection(selection));
        let items = items.collect::<Result<_, _>>()?;
        Ok(Positioned::new(SelectionSet { items }, at))
    }

    fn selection(&mut self, selection: &ast::Selection) -> Result<Positioned<Selection>, Refusal> {
        match selection {
            ast::Selection::Field(field) => {
                let at = self.at(field.location());
                let field = Positioned::new(self.field(field, at)?, at);
                Ok(Positioned::new(Selection::Field(field), at))
            }
            ast::Selection::FragmentSpread(spread) => {
                // Three dots and the name.
                self.tokens += 2;
                let at = self.at(spread.location());
                let fragment_name = self.name(&spread.fragment_name);
                let directives = self.directives(&spread.directives)?;
                let spread = Positioned::new(FragmentSpread { fragment_name, directives }, at);
                Ok(Positioned::new(Selection::FragmentSpread(spread), at))
            }
            ast::Selection::InlineFragment(inline) => {
                // Three dots, and `on` with the type.
                self.tokens += if inline.type_condition.is_some() { 3 } else { 1 };
                let at = self.at(inline.location());
                let type_condition = inline.type_condition.as_ref().map(|on| {
                    let on = self.name(on);
                    Positioned::new(TypeCondition { on: on.clone() }, on.pos)
                });
                let directives = self.directives(&inline.directives)?;
                let selection_set = self.selection_set(&inline.selection_set, at)?;
                let inline = InlineFragment { type_condition, directives, selection_set };
                Ok(Positioned::new(Selection::InlineFragment(Positioned::new(inline, at)), at))
            }
        }
    }

    fn field(&mut self, field: &Node<ast::Field>, at: Pos) -> Result<Field, Refusal> {
        // An alias has a colon.
        self.tokens += if field.alias.is_some() { 3 } else { 1 };
        let alias = field.alias.as_ref().map(|alias| self.name(alias));
        let name = self.name(&field.name);
        let arguments = self.arguments(&field.arguments)?;
        let directives = self.directives(&field.directives)?;
        let selection_set = match &field.selection_set {
            None => Positioned::new(SelectionSet::default(), at),
            Some(selections) => self.selection_set(selections, at)?,
        };
        Ok(Field { alias, name, arguments, directives, selection_set })
    }

    fn directives(
        &mut self,
        directives: &ast::DirectiveList,
    ) -> Result<Vec<Positioned<Directive>>, Refusal> {
        let convert = |directive: &Node<ast::Directive>| {
            // An at sign and the name.
            self.tokens += 2;
            let at = self.at(directive.location());
            let name = self.name(&directive.name);
            let arguments = self.arguments(&directive.arguments)?;
            Ok(Positioned::new(Directive { name, arguments }, at))
        };
        directives.iter().map(convert).collect()
    }

    fn arguments(&mut self, arguments: &[Node<ast::Argument>]) -> Result<Vec<Argument>, Refusal> {
        self.tokens += if arguments.is_empty() { 0 } else { BRACKETS };
        let convert = |argument: &Node<ast::Argument>| {
            // The name and a colon.
            self.tokens += 2;
            Ok((self.name(&argument.name), self.value(&argument.value)?))
        };
        arguments.iter().map(convert).collect()
    }

    fn value(&mut self, literal: &Node<ast::Value>) -> Result<Positioned<Value>, Refusal> {
        self.tokens += tokens_of_value(literal);
        let at = self.at(literal.location());
        match value_of(literal) {
            Some(value) => Ok(Positioned::new(value, at)),
            None => Err(Refusal::parse_failed("number out of range", Some(at))),
        }
    }

    fn name(&mut self, name: &apollo_compiler::Name) -> Positioned<Name> {
        Positioned::new(Name::new(name), self.at(name.location()))
    }

    fn at(&mut self, span: Option<SourceSpan>) -> Pos {
        self.positions.at(span.map_or(0, |span| span.offset()))
    }
}

fn tokens_of(ty: &ast::Type) -> usize {
    match ty {
        ast::Type::Named(_) => 1,
        ast::Type::NonNullNamed(_) => 2,
        ast::Type::List(item) => BRACKETS + tokens_of(item),
        ast::Type::NonNullList(item) => BRACKETS + 1 + tokens_of(item),
    }
}

fn tokens_of_value(literal: &ast::Value) -> usize {
    match literal {
        // A dollar sign and the name.
        ast::Value::Variable(_) => 2,
        ast::Value::List(items) => {
            BRACKETS + items.iter().map(|item| tokens_of_value(item)).sum::<usize>()
        }
        // Each field has a name and a colon.
        ast::Value::Object(fields) => {
            BRACKETS + fields.iter().map(|(_, value)| 2 + tokens_of_value(value)).sum::<usize>()
        }
        _ => 1,
    }
}

fn type_of(ty: &ast::Type) -> Type {
    let base = match ty {
        ast::Type::Named(name) | ast::Type::NonNullNamed(name) => BaseType::Named(Name::new(name)),
        ast::Type::List(item) | ast::Type::NonNullList(item) => {
            BaseType::List(Box::new(type_of(item)))
        }
    };
    Type { base, nullable: !ty.is_non_null() }
}

/// Value of a literal; `None` for a number beyond the range of floats. Of duplicate fields of an object the last one
/// is taken; validation rejects them.
pub(super) fn value_of(literal: &ast::Value) -> Option<Value> {
    Some(match literal {
        ast::Value::Null => Value::Null,
        ast::Value::Enum(name) => Value::Enum(Name::new(name)),
        ast::Value::Variable(name) => Value::Variable(Name::new(name)),
        ast::Value::String(text) => Value::String(text.clone()),
        ast::Value::Boolean(boolean) => Value::Boolean(*boolean),
        ast::Value::Int(number) => Value::Number(number_of(number.as_str())?),
        ast::Value::Float(number) => Value::Number(number_of(number.as_str())?),
        ast::Value::List(items) => {
            Value::List(items.iter().map(|item| value_of(item)).collect::<Option<_>>()?)
        }
        ast::Value::Object(fields) => {
            let fields =
                fields.iter().map(|(name, value)| Some((Name::new(name), value_of(value)?)));
            Value::Object(fields.collect::<Option<_>>()?)
        }
    })
}

/// An integer of 64 bits, or the nearest float.
fn number_of(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}
