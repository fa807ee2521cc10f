//! Patterns of keys: `analytics:*`, `user:42:*`. A `*` stands for a whole part of a key and never for a
//! piece of one, so that user 1 does not take user 11 along; as the last part it stands for all that
//! follow. The last part may be written without what stands in its brackets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::keys::SEPARATOR;
use crate::config::cache::PATTERN;

/// Which keys are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern(String);

/// What stands for any part.
const ANY: &str = "*";

impl Pattern {
    /// Reads a pattern that somebody wrote.
    ///
    /// # Errors
    ///
    /// It is empty or too long, a part of it is empty, or a `*` is a piece of a part.
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
                return Err(PatternError::PieceOfPart(part.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// That key, or those below it.
    pub(super) fn of(text: String) -> Self {
        Self(text)
    }

    /// Whether that key is meant.
    #[must_use]
    pub fn fits(&self, key: &str) -> bool {
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

    /// The parts that all keys that are meant begin with: those before the first `*`, and the last one
    /// only where it is written with its brackets.
    pub(super) fn beginning(&self) -> impl Iterator<Item = &str> {
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

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is too short or too long.
    #[error("the pattern has {0} characters; it must have {min} to {max}", min = PATTERN.start(), max = PATTERN.end())]
    Length(usize),
    /// There is nothing between two separators.
    #[error("a part of the pattern is empty")]
    EmptyPart,
    /// A `*` stands for whole parts only.
    #[error("{0:?} holds a `*`; a `*` stands for a whole part")]
    PieceOfPart(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, key: &str) -> bool {
        Pattern::parse(pattern).expect(pattern).fits(key)
    }

    #[test]
    fn a_star_stands_for_whole_parts() {
        assert!(fits("user:1:*", "user:1:stats(+0,5)"));
        assert!(!fits("user:1:*", "user:11:stats(+0,5)"));
        assert!(!fits("user:1:*", "user:1"));
        assert!(fits("analytics:*", "analytics:1:summary"));
        assert!(fits("analytics:*:summary", "analytics:1:summary"));
        assert!(fits("analytics:*:summary", "analytics:1:summary(..,5)"));
        assert!(!fits("analytics:*:summary", "analytics:1:summaries(..,5)"));
        assert!(!fits("analytics:*:summary", "analytics:1:spreads"));
        assert!(fits("*", "cards:list:all"));
        assert!(fits("*:list:*", "cards:list:all"));
        assert!(!fits("cards:list", "cards:list:all"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Length(0)));
        assert!(Pattern::parse(&"a".repeat(200)).is_ok());
        assert_eq!(Pattern::parse(&"a".repeat(201)), Err(PatternError::Length(201)));
        assert_eq!(Pattern::parse("user::1"), Err(PatternError::EmptyPart));
        let piece = Pattern::parse("user:1*").expect_err("a piece of a part");
        assert_eq!(piece.to_string(), "\"1*\" holds a `*`; a `*` stands for a whole part");
    }

    #[test]
    fn a_pattern_begins_as_the_keys_that_it_means() {
        let beginning = |text: &str| {
            Pattern::parse(text).expect(text).beginning().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(beginning("user:1:*"), ["user", "1"]);
        assert_eq!(beginning("*:1"), [""; 0]);
        assert_eq!(beginning("public:stats:landing"), ["public", "stats"]);
    }
}
