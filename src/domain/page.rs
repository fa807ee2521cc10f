//! Pages of a list: what is asked for and what comes back. A page begins after (or ends before) the
//! key of a row and not at an offset, so rows that come and go between two pages shift nothing.

use std::cmp::Ordering;

/// Which end of the list a page is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The first rows, or those after a key.
    Forward,
    /// The last rows, or those before a key.
    Backward,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }

    /// The argument that the key of such a page stands in.
    #[must_use]
    pub const fn cursor_argument(self) -> &'static str {
        match self {
            Self::Forward => "after",
            Self::Backward => "before",
        }
    }
}

/// Which end of a list's order comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The smallest first.
    Asc,
    /// The largest first.
    Desc,
}

impl Order {
    /// Which of two comes first in this order, by which is the smaller.
    #[must_use]
    pub const fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}

/// A page that is asked for. `K` is the sort key of a row, its id included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest<K> {
    /// From which end.
    pub direction: Direction,
    /// At most so many rows.
    pub limit: usize,
    /// The row that the page lies next to; it is not part of it and need not exist any more.
    pub key: Option<K>,
    /// Whether the length of the whole list is wanted.
    pub with_total: bool,
}

/// A page of a list, in the list's order whatever the direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether the list has rows after the last one here.
    pub has_next: bool,
    /// Whether the list has rows before the first one here.
    pub has_previous: bool,
    /// The length of the whole list, if it was asked for.
    pub total: Option<u64>,
}

impl<K> PageRequest<K> {
    /// How many rows to read: one more than wanted tells whether there are more.
    #[must_use]
    pub const fn probe(&self) -> usize {
        self.limit + 1
    }

    /// Makes a page of the rows read in the direction of the request, up to [`Self::probe`] of
    /// them, and of whether there are rows on the other side of the key.
    #[must_use]
    pub fn page<T>(&self, mut read: Vec<T>, has_other_side: bool, total: Option<u64>) -> Page<T> {
        let has_more = read.len() > self.limit;
        read.truncate(self.limit);
        let (has_next, has_previous) = match self.direction {
            Direction::Forward => (has_more, has_other_side),
            Direction::Backward => {
                read.reverse();
                (has_other_side, has_more)
            }
        };
        Page { rows: read, has_next, has_previous, total }
    }

    /// Cuts the page out of a whole list that is in order of its keys.
    #[must_use]
    pub fn page_of<T: Clone>(&self, list: &[T], key_of: impl Fn(&T) -> K) -> Page<T>
    where
        K: Ord,
    {
        self.page_by(list, |item, key| key_of(item).cmp(key))
    }

    /// The same of a list whose order is not that of its keys: `compare` tells where an item lies of
    /// a key.
    #[must_use]
    pub fn page_by<T: Clone>(&self, list: &[T], compare: impl Fn(&T, &K) -> Ordering) -> Page<T> {
        let (before, after) = match &self.key {
            None => match self.direction {
                Direction::Forward => (0, 0),
                Direction::Backward => (list.len(), list.len()),
            },
            Some(key) => (
                list.partition_point(|item| compare(item, key).is_lt()),
                list.partition_point(|item| compare(item, key).is_le()),
            ),
        };
        let (read, other_side): (Vec<T>, bool) = match self.direction {
            Direction::Forward => {
                (list[after..].iter().take(self.probe()).cloned().collect(), after > 0)
            }
            Direction::Backward => (
                list[..before].iter().rev().take(self.probe()).cloned().collect(),
                before < list.len(),
            ),
        };
        self.page(read, other_side, self.with_total.then_some(list.len() as u64))
    }
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            rows: self.rows.into_iter().map(change).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
            total: self.total,
        }
    }
}
