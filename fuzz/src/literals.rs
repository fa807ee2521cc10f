//! Masks of string literals: a message that shows a part of a literal shows the mask.

use serde_json::Value as Json;

/// Stands in no message of the server, and in no name.
pub(crate) const MASK: char = '~';

/// The document with its string literals masked; `None` if it has the mask already.
pub(crate) fn masked_document(text: &str) -> Option<String> {
    if text.contains(MASK) {
        return None;
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_literal) = match first {
            '#' => (rest.find(['\n', '\r']).unwrap_or(rest.len()), false),
            '"' => (literal_length(rest), true),
            _ => (first.len_utf8(), false),
        };
        let (token, after) = rest.split_at(length);
        if is_literal {
            masked.push_str(&masked_text(token));
        } else {
            masked.push_str(token);
        }
        rest = after;
    }
    Some(masked)
}

/// Bytes of the string literal at the beginning of the text, with its quotes.
fn literal_length(text: &str) -> usize {
    const BLOCK: &str = r#"""""#;
    let is_block = text.starts_with(BLOCK);
    let quotes = if is_block { BLOCK } else { "\"" };
    let mut position = quotes.len();
    while let Some(next) = text[position..].chars().next() {
        let rest = &text[position..];
        if rest.starts_with(quotes) {
            return position + quotes.len();
        }
        position += match next {
            '\\' if is_block && rest[1..].starts_with(BLOCK) => 1 + BLOCK.len(),
            '\\' if !is_block => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\n' | '\r' if !is_block => return position,
            _ => next.len_utf8(),
        };
    }
    position
}

/// The text with the mask in place of letters and digits, but for those of an escape sequence.
fn masked_text(text: &str) -> String {
    let mut is_escaped = false;
    let masked = text.chars().map(|character| {
        let is_shown = is_escaped || !character.is_alphanumeric();
        is_escaped = character == '\\' && !is_escaped;
        if is_shown { character } else { MASK }
    });
    masked.collect()
}

/// The value with its strings masked.
pub(crate) fn masked_json(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(masked_text(&text)),
        Json::Array(items) => items.into_iter().map(masked_json).collect(),
        Json::Object(members) => {
            members.into_iter().map(|(name, value)| (name, masked_json(value))).collect()
        }
        other => other,
    }
}
