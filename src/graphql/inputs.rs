//! Inputs that several lists take: ranges, directions and texts that are searched for.

use std::ops::RangeInclusive;

use async_graphql::{Enum, InputObject};

use super::errors::ApiError;
use super::scalars::DateTime;
use crate::config::content;
use crate::domain::page::Order;
use crate::domain::range::Range;
use crate::services::validation::normalized;

/// Which end of an order comes first. Items without a value come last either way.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Order")]
pub enum OrderDirection {
    /// The smallest, or the oldest, first.
    Asc,
    /// The largest, or the newest, first.
    Desc,
}

/// A time span. It is empty where it ends before it begins.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct DateTimeRange {
    /// Its first moment, which is part of it. Absent: since ever.
    pub from: Option<DateTime>,
    /// Its end, which is not part of it. Absent: without end.
    pub to: Option<DateTime>,
}

/// Whole numbers from `min` to `max`, both included. There are none where `min` is the larger one.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct IntRange {
    /// The smallest. Absent: any.
    pub min: Option<i32>,
    /// The largest. Absent: any.
    pub max: Option<i32>,
}

/// Numbers from `min` to `max`, both included. There are none where `min` is the larger one.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub struct FloatRange {
    /// The smallest. Absent: any.
    pub min: Option<f64>,
    /// The largest. Absent: any.
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

/// How many items a list may have at most, as a client says.
///
/// # Errors
///
/// It is out of bounds.
pub fn list_limit(limit: i32, bounds: &RangeInclusive<i32>) -> Result<usize, ApiError> {
    let within = bounds.contains(&limit).then(|| usize::try_from(limit).ok()).flatten();
    within.ok_or_else(|| ApiError::BadInput {
        argument: "limit",
        message: format!("`limit` is {limit}; it must be {} to {}", bounds.start(), bounds.end()),
    })
}

/// A text that is sought, as those that are stored are written: composed, trimmed, and without NULs.
pub(super) fn fold_search(text: &str) -> String {
    normalized(text).replace('\0', "\u{fffd}")
}

/// What a list is searched for, composed and trimmed; `None` where that is nothing.
///
/// # Errors
///
/// It has more than 100 characters.
pub fn search_text(search: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(search) = search else { return Ok(None) };
    let text = fold_search(&search);
    let characters = text.chars().count();
    if characters > content::SEARCH {
        return Err(ApiError::BadInput {
            argument: "search",
            message: format!(
                "`search` has {characters} characters; it may have at most {}",
                content::SEARCH
            ),
        });
    }
    Ok((!text.is_empty()).then_some(text))
}

/// The same for a list of everybody's, which has an index for texts of three characters and more.
///
/// # Errors
///
/// It has less than 3 or more than 100 characters.
pub fn search_text_of_all(search: Option<String>) -> Result<Option<String>, ApiError> {
    let text = search_text(search)?;
    let characters = text.as_ref().map(|text| text.chars().count());
    match characters.filter(|characters| *characters < content::SEARCH_OF_ALL) {
        None => Ok(text),
        Some(characters) => Err(ApiError::BadInput {
            argument: "search",
            message: format!(
                "`search` is {characters} long; it must have {} characters or more here",
                content::SEARCH_OF_ALL
            ),
        }),
    }
}
