//! Size of argument values. Validation copies a variable for each argument that uses it, and execution
//! copies each argument again for each parent, so a large value is as expensive as many fields.

use async_graphql::{Name, Value as Constant};
use async_graphql_value::Value as Literal;

use super::refusal::saturated;
use crate::config::limits::TEXT_BYTES_PER_VALUE;

/// Size of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Number of values in it, itself included, plus its text in units of [`TEXT_BYTES_PER_VALUE`].
    pub(super) weight: u64,
    /// Length of the longest list in it.
    pub(super) longest_list: usize,
    /// Nesting of lists and objects.
    pub(super) nesting: usize,
}

impl Size {
    const SCALAR: Self = Self { weight: 1, longest_list: 0, nesting: 0 };

    fn text(bytes: usize) -> Self {
        Self { weight: 1 + saturated(bytes / TEXT_BYTES_PER_VALUE), ..Self::SCALAR }
    }

    fn list(items: impl ExactSizeIterator<Item = Self>) -> Self {
        let length = items.len();
        let size = Self::enclosing(items);
        Self { longest_list: size.longest_list.max(length), ..size }
    }

    fn object(fields: impl Iterator<Item = (usize, Self)>) -> Self {
        Self::enclosing(fields.map(|(key_bytes, size)| Self {
            weight: size.weight.saturating_add(saturated(key_bytes / TEXT_BYTES_PER_VALUE)),
            ..size
        }))
    }

    fn enclosing(values: impl Iterator<Item = Self>) -> Self {
        let size = values.fold(Self::SCALAR, |size, value| Self {
            weight: size.weight.saturating_add(value.weight),
            longest_list: size.longest_list.max(value.longest_list),
            nesting: size.nesting.max(value.nesting),
        });
        Self { nesting: size.nesting + 1, ..size }
    }
}

/// Size of a literal; `variable` is called with each variable in it and returns its weight.
pub(super) fn literal_size<'a>(
    literal: &'a Literal,
    variable: &mut impl FnMut(&'a Name) -> u64,
) -> Size {
    match literal {
        Literal::Variable(name) => Size { weight: variable(name), ..Size::SCALAR },
        Literal::Null | Literal::Number(_) | Literal::Boolean(_) => Size::SCALAR,
        Literal::String(text) => Size::text(text.len()),
        Literal::Enum(name) => Size::text(name.len()),
        Literal::Binary(bytes) => Size::text(bytes.len()),
        Literal::List(items) => Size::list(items.iter().map(|item| literal_size(item, variable))),
        Literal::Object(fields) => Size::object(
            fields.iter().map(|(key, field)| (key.len(), literal_size(field, variable))),
        ),
    }
}

/// Size of a constant value.
pub(super) fn constant_size(constant: &Constant) -> Size {
    match constant {
        Constant::Null | Constant::Number(_) | Constant::Boolean(_) => Size::SCALAR,
        Constant::String(text) => Size::text(text.len()),
        Constant::Enum(name) => Size::text(name.len()),
        Constant::Binary(bytes) => Size::text(bytes.len()),
        Constant::List(items) => Size::list(items.iter().map(constant_size)),
        Constant::Object(fields) => {
            Size::object(fields.iter().map(|(key, field)| (key.len(), constant_size(field))))
        }
    }
}
