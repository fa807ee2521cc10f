//! Key patterns: `analytics:*`, `user:42:*`. A `*` matches a whole part of a key and never a piece of one, so that
//! user 1 does not purge user 11; as the last part it matches all parts that follow. The last part may be written
//! without its brackets and their content.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::cache::PATTERN;
use crate::config::limits::QUOTED_CHARACTERS;
use crate::domain::counted::counted;
use crate::domain::truncated::truncated;

/// Separator between the parts of a key.
pub(super) const SEPARATOR: char = ':';

/// A pattern that matches keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern(String);

/// Wildcard for a whole part.
const ANY: &str = "*";

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// The length is out of bounds, a part is empty, or a `*` is only a piece of a part.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let characters = text.chars().count();
        if !PATTERN.contains(&characters) {
            return Err(PatternError::Length(characters));
        }
        for part in text.split(SEPARATOR) {
            if part.is_empty() {
                return Err(PatternError::EmptyPart);
            }
            if part != ANY && part.contains(ANY) {
                return Err(PatternError::PieceOfPart(truncated(part, QUOTED_CHARACTERS)));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern of a key, or with a `*` at its end of the keys below it.
    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    /// True if the key matches.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let mut parts = key.split(SEPARATOR);
        let mut wanted = self.0.split(SEPARATOR).peekable();
        while let Some(part) = wanted.next() {
            let Some(found) = parts.next() else { return false };
            let is_last = wanted.peek().is_none();
            if part == ANY {
                if is_last {
                    return true;
                }
            } else if part != found && !(is_last && Some(part) == without_brackets(found)) {
                return false;
            }
        }
        parts.next().is_none()
    }

    /// The parts that all matching keys begin with: those before the first `*`, and the last one only if it is
    /// written with its brackets.
    pub(super) fn prefix(&self) -> impl Iterator<Item = &str> {
        let last = self.0.split(SEPARATOR).count() - 1;
        let parts = self.0.split(SEPARATOR).enumerate();
        parts
            .take_while(move |(place, part)| *part != ANY && (*place < last || part.ends_with(')')))
            .map(|(_, part)| part)
    }
}

fn without_brackets(part: &str) -> Option<&str> {
    part.split_once('(').map(|(name, _)| name)
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Error of a text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Length in characters, out of bounds.
    #[error("the pattern has {}; it must have {min} to {max}", counted(*.0, "character"), min = PATTERN.start(), max = PATTERN.end())]
    Length(usize),
    /// Two separators with nothing between them.
    #[error("a part of the pattern is empty")]
    EmptyPart,
    /// A part with a `*` and other characters, truncated for the message.
    #[error("{0:?} holds a `*`; a `*` stands for a whole part")]
    PieceOfPart(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Pattern::parse(pattern).expect(pattern).matches(key)
    }

    #[test]
    fn star_matches_whole_parts() {
        assert!(matches("user:1:*", "user:1:stats(+0,5)"));
        assert!(!matches("user:1:*", "user:11:stats(+0,5)"));
        assert!(!matches("user:1:*", "user:1"));
        assert!(matches("analytics:*", "analytics:1:summary"));
        assert!(matches("analytics:*:summary", "analytics:1:summary"));
        assert!(matches("analytics:*:summary", "analytics:1:summary(..,5)"));
        assert!(!matches("analytics:*:summary", "analytics:1:summaries(..,5)"));
        assert!(!matches("analytics:*:summary", "analytics:1:spreads"));
        assert!(matches("*", "cards:list:all"));
        assert!(matches("*:list:*", "cards:list:all"));
        assert!(!matches("cards:list", "cards:list:all"));
    }

    #[test]
    fn invalid_patterns_are_rejected() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Length(0)));
        assert!(Pattern::parse(&"a".repeat(200)).is_ok());
        assert_eq!(Pattern::parse(&"a".repeat(201)), Err(PatternError::Length(201)));
        assert_eq!(Pattern::parse("user::1"), Err(PatternError::EmptyPart));
        for (part, repeated) in [
            ("1*".to_owned(), "1*".to_owned()),
            ("*".repeat(40), "*".repeat(40)),
            ("*".repeat(41), "*".repeat(39) + "…"),
        ] {
            let piece = Pattern::parse(&format!("user:{part}")).expect_err("a piece of a part");
            let expected = format!("{repeated:?} holds a `*`; a `*` stands for a whole part");
            assert_eq!(piece.to_string(), expected);
        }
    }

    #[test]
    fn prefix_is_that_of_all_matching_keys() {
        let prefix = |text: &str| {
            Pattern::parse(text).expect(text).prefix().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(prefix("user:1:*"), ["user", "1"]);
        assert_eq!(prefix("*:1"), [""; 0]);
        assert_eq!(prefix("public:stats:landing"), ["public", "stats"]);
    }
}
