//! Inputs of several lists: ranges, sort directions, limits and search texts.

use std::ops::RangeInclusive;

use async_graphql::{Enum, InputObject};

use super::errors::ApiError;
use super::scalars::DateTime;
use crate::config::content;
use crate::domain::counted::counted;
use crate::domain::page::Order;
use crate::domain::range::Range;
use crate::domain::search::has_trigram_of_words;
use crate::services::validation::normalized;

/// Sort direction. Items without a value come last in both directions.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Order")]
pub enum OrderDirection {
    /// Ascending: the smallest or oldest first.
    Asc,
    /// Descending: the largest or newest first.
    Desc,
}

/// A time range from `from`, inclusive, to `to`, exclusive. Empty if `to` is not after `from`.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct DateTimeRange {
    /// Start, inclusive (default: unbounded).
    pub from: Option<DateTime>,
    /// End, exclusive (default: unbounded).
    pub to: Option<DateTime>,
}

/// A range of integers, both ends inclusive. Empty if `min` is greater than `max`.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct IntRange {
    /// Smallest value, inclusive (default: unbounded).
    pub min: Option<i32>,
    /// Largest value, inclusive (default: unbounded).
    pub max: Option<i32>,
}

/// A range of numbers, both ends inclusive. Empty if `min` is greater than `max`.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct FloatRange {
    /// Smallest value, inclusive (default: unbounded).
    pub min: Option<f64>,
    /// Largest value, inclusive (default: unbounded).
    pub max: Option<f64>,
}

impl From<IntRange> for Range<i32> {
    fn from(IntRange { min, max }: IntRange) -> Self {
        Self { min, max }
    }
}

impl From<FloatRange> for Range<f64> {
    fn from(FloatRange { min, max }: FloatRange) -> Self {
        Self { min, max }
    }
}

/// The argument `limit` of a list.
///
/// # Errors
///
/// The limit is out of bounds.
pub fn list_limit(limit: i32, bounds: &RangeInclusive<i32>) -> Result<usize, ApiError> {
    let within = bounds.contains(&limit).then(|| usize::try_from(limit).ok()).flatten();
    within.ok_or_else(|| ApiError::BadInput {
        argument: "limit",
        message: format!(
            "`limit` is {limit}; it must be from {} to {}",
            bounds.start(),
            bounds.end()
        ),
    })
}

/// A search text, normalised as stored texts are: composed (NFC), trimmed, and without NULs.
pub(super) fn fold_search(text: &str) -> String {
    normalized(text).replace('\0', "\u{fffd}")
}

/// The argument `search` of a list, composed (NFC) and trimmed; `None` if nothing is left.
///
/// # Errors
///
/// The text has more than 100 characters.
pub fn search_text(search: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(search) = search else { return Ok(None) };
    let text = fold_search(&search);
    let characters = text.chars().count();
    if characters > content::SEARCH {
        return Err(ApiError::BadInput {
            argument: "search",
            message: format!(
                "`search` has {}; it must have at most {}",
                counted(characters, "character"),
                content::SEARCH
            ),
        });
    }
    Ok((!text.is_empty()).then_some(text))
}

/// The argument `search` of a list of all users' readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicSearch {
    /// Nothing to search for.
    None,
    /// A term that the index of each database finds.
    Term(String),
    /// A term that the index of one of the databases does not find.
    TooShort,
}

impl PublicSearch {
    /// The argument, composed (NFC) and trimmed.
    ///
    /// # Errors
    ///
    /// The text has more than 100 characters.
    pub fn parse(search: Option<String>) -> Result<Self, ApiError> {
        Ok(match search_text(search)? {
            None => Self::None,
            Some(term) if has_trigram_of_words(&term) => Self::Term(term),
            Some(_) => Self::TooShort,
        })
    }
}
