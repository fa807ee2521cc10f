//! Redaction of statements: the text without the parts that differ between executions, and the types of
//! the values.

use std::sync::Arc;

use sea_orm::sea_query::{ArrayType, Value};

use crate::config::monitor::{OPERATION_CHARACTERS, PARAMETERS, SLOW_QUERY_BYTES};

/// Text of a statement without the parts that differ between executions: values, limits and numbers of
/// repetitions.
pub(super) fn shape_of(sql: &str) -> String {
    let places = without_numbers(sql);
    let lists = without_lengths(&places);
    [" UNION ALL ", " OR ", "), ("].iter().fold(lists, |shape, separator| once(&shape, separator))
}

/// Shortens each list of values to one value.
fn without_lengths(sql: &str) -> String {
    const LIST: &str = "IN (?";
    let mut parts = sql.split(LIST);
    let mut shape = parts.next().unwrap_or_default().to_owned();
    for mut rest in parts {
        while let Some(shorter) = rest.strip_prefix(", ?") {
            rest = shorter;
        }
        shape.push_str(LIST);
        shape.push_str(rest);
    }
    shape
}

/// Shortens equal parts in a row to one: `a OR a OR a` becomes `a`.
fn once(sql: &str, separator: &str) -> String {
    let mut shape = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once(separator) {
        shape.push_str(before);
        let part = first_part(after, separator);
        if !part.is_empty() && shape.ends_with(part) {
            rest = &after[part.len()..];
        } else {
            shape.push_str(separator);
            rest = after;
        }
    }
    shape.push_str(rest);
    shape
}

/// The text before the next separator, or before the end of the brackets around it.
fn first_part<'a>(sql: &'a str, separator: &str) -> &'a str {
    let mut depth = 0_u32;
    for (at, character) in sql.char_indices() {
        match character {
            _ if depth == 0 && sql[at..].starts_with(separator) => return &sql[..at],
            '(' => depth += 1,
            ')' if depth == 0 => return &sql[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    sql
}

/// Replaces each placeholder and each limit by `?`.
fn without_numbers(sql: &str) -> String {
    const LIMIT: &str = "LIMIT ";
    let mut shape = String::with_capacity(sql.len());
    let mut characters = sql.chars().peekable();
    while let Some(character) = characters.next() {
        let is_digit = |next: &char| next.is_ascii_digit();
        let is_number = match character {
            '$' => characters.peek().is_some_and(is_digit),
            '0'..='9' => shape.ends_with(LIMIT),
            _ => false,
        };
        if is_number {
            while characters.next_if(is_digit).is_some() {}
        }
        shape.push(if is_number { '?' } else { character });
    }
    shape
}

pub(super) fn bounded_sql(sql: &str) -> Arc<str> {
    if sql.len() <= SLOW_QUERY_BYTES {
        return sql.into();
    }
    let mut text = sql[..sql.floor_char_boundary(SLOW_QUERY_BYTES)].to_owned();
    text.push('…');
    text.into()
}

pub(super) fn bounded_name(name: &Arc<str>) -> Arc<str> {
    match name.char_indices().nth(OPERATION_CHARACTERS) {
        None => Arc::clone(name),
        Some((end, _)) => name[..end].into(),
    }
}

/// Types of values, with the lengths of texts and lists: all that may be shown of them.
pub(super) fn types_of(values: &[Value]) -> Arc<[String]> {
    let rest = values.len().saturating_sub(PARAMETERS);
    let types = values.iter().take(PARAMETERS).map(redacted_type_of);
    types.chain((rest > 0).then(|| format!("and {rest} more"))).collect()
}

fn redacted_type_of(value: &Value) -> String {
    let length = |kind: &str, length: usize| format!("{kind}({length})");
    if *value == value.as_null() {
        return "null".to_owned();
    }
    match value {
        Value::String(Some(text)) => length("text", text.chars().count()),
        Value::Bytes(Some(bytes)) => length("bytes", bytes.len()),
        Value::Array(_, Some(items)) => length("array", items.len()),
        Value::Bool(_) => "bool".to_owned(),
        Value::TinyInt(_)
        | Value::SmallInt(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::TinyUnsigned(_)
        | Value::SmallUnsigned(_)
        | Value::Unsigned(_)
        | Value::BigUnsigned(_) => "int".to_owned(),
        Value::Float(_) | Value::Double(_) => "float".to_owned(),
        Value::Json(_) => "json".to_owned(),
        Value::ChronoDate(_) => "date".to_owned(),
        Value::ChronoDateTime(_)
        | Value::ChronoDateTimeUtc(_)
        | Value::ChronoDateTimeLocal(_)
        | Value::ChronoDateTimeWithTimeZone(_) => "timestamp".to_owned(),
        Value::Uuid(_) => "uuid".to_owned(),
        _ => "other".to_owned(),
    }
}

/// PostgreSQL type that the driver binds a value as.
pub(super) fn type_on_postgres(value: &Value) -> String {
    match value {
        Value::Array(of, _) => format!("{}[]", type_of_items(of)),
        value => type_of(value).to_owned(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::TinyInt(_) | Value::SmallInt(_) | Value::TinyUnsigned(_) => "int2",
        Value::Int(_) | Value::SmallUnsigned(_) => "int4",
        Value::BigInt(_) | Value::Unsigned(_) | Value::BigUnsigned(_) => "int8",
        Value::Float(_) => "float4",
        Value::Double(_) => "float8",
        Value::Bytes(_) => "bytea",
        Value::Json(_) => "jsonb",
        Value::ChronoDate(_) => "date",
        Value::ChronoDateTime(_) => "timestamp",
        Value::ChronoDateTimeUtc(_)
        | Value::ChronoDateTimeLocal(_)
        | Value::ChronoDateTimeWithTimeZone(_) => "timestamptz",
        Value::Uuid(_) => "uuid",
        _ => "text",
    }
}

fn type_of_items(of: &ArrayType) -> &'static str {
    match of {
        ArrayType::Bool => "bool",
        ArrayType::SmallInt => "int2",
        ArrayType::Int => "int4",
        ArrayType::BigInt => "int8",
        ArrayType::Double => "float8",
        ArrayType::ChronoDate => "date",
        ArrayType::ChronoDateTimeUtc => "timestamptz",
        ArrayType::Uuid => "uuid",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_differ_in_values_and_limits_share_a_shape() {
        let same = [
            ("a IN ($1) LIMIT 21", "a IN ($1, $2, $3) LIMIT 101"),
            ("a IN (?) AND b = ?", "a IN (?, ?) AND b = ?"),
            (
                "FROM (SELECT ? AS \"p\") AS \"p\"",
                "FROM (SELECT ? AS \"p\" UNION ALL SELECT ? AS \"p\") AS \"p\"",
            ),
            ("VALUES ($1, $2) RETURNING a", "VALUES ($1, $2), ($3, $4), ($5, $6) RETURNING a"),
            ("x AND (t @> $1)", "x AND (t @> $1 OR t @> $2 OR t @> $3)"),
        ];
        for (one, many) in same {
            assert_eq!(shape_of(one), shape_of(many));
        }
        assert_eq!(shape_of("a = $12 AND b IN ($1, $2)"), "a = ? AND b IN (?)");
    }

    #[test]
    fn statements_that_differ_otherwise_have_different_shapes() {
        for (one, other) in [
            ("a = $1 OR b = $2", "a = $1"),
            ("(a, b) < ($1, $2)", "(a, b) < ($1)"),
            ("a LIMIT 1", "a LIMIT 1 OFFSET 5"),
            ("cost * 2", "cost * 3"),
            ("SELECT ? AS a UNION ALL SELECT ? AS b", "SELECT ? AS a"),
        ] {
            assert_ne!(shape_of(one), shape_of(other));
        }
    }

    #[test]
    fn values_are_redacted_to_types_and_lengths() {
        let values = [
            Value::from("secret"),
            Value::from("秘密"),
            Value::String(None),
            Value::from(7_i64),
            Value::from(true),
            Value::from(serde_json::json!(["secret"])),
            Value::Array(ArrayType::Uuid, Some(Box::default())),
        ];
        let expected = ["text(6)", "text(2)", "null", "int", "bool", "json", "array(0)"];
        assert_eq!(*types_of(&values), expected.map(str::to_owned));
        let many = vec![Value::from(7); PARAMETERS + 2];
        let types = types_of(&many);
        assert_eq!(types.len(), PARAMETERS + 1);
        assert_eq!(types.last().map(String::as_str), Some("and 2 more"));
    }

    #[test]
    fn long_texts_and_names_are_truncated() {
        let long = "選".repeat(SLOW_QUERY_BYTES);
        assert!(bounded_sql(&long).len() <= SLOW_QUERY_BYTES + '…'.len_utf8());
        assert_eq!(&*bounded_sql("SELECT 1"), "SELECT 1");
        let name = "n".repeat(OPERATION_CHARACTERS + 1).into();
        assert_eq!(bounded_name(&name).len(), OPERATION_CHARACTERS);
    }
}
