//! Keyset pagination: page requests and pages. A page starts after (or ends before) the sort key of a row
//! and not at an offset, so that rows inserted or deleted between two requests shift nothing.

use std::cmp::Ordering;

/// End of the list from which a page is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The first rows, or the rows after a key.
    Forward,
    /// The last rows, or the rows before a key.
    Backward,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }

    /// Name of the cursor argument of this direction.
    #[must_use]
    pub const fn cursor_argument(self) -> &'static str {
        match self {
            Self::Forward => "after",
            Self::Backward => "before",
        }
    }
}

/// Sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

impl Order {
    /// Applies this order to the result of an ascending comparison.
    #[must_use]
    pub const fn of(self, ordering: Ordering) -> Ordering {
        match self {
            Self::Asc => ordering,
            Self::Desc => ordering.reverse(),
        }
    }
}

/// Request for a page. `K` is the sort key of a row, its id included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest<K> {
    /// End of the list from which rows are counted.
    pub direction: Direction,
    /// Page size.
    pub limit: usize,
    /// Key of the row next to the page. That row is excluded, and need not exist any more.
    pub key: Option<K>,
    /// Requests the length of the whole list.
    pub with_total: bool,
}

/// A page of a list, in the list's order in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Rows of the page.
    pub rows: Vec<T>,
    /// `true` if the list has rows after the last one of the page.
    pub has_next: bool,
    /// `true` if the list has rows before the first one of the page.
    pub has_previous: bool,
    /// Length of the whole list, if it was requested.
    pub total: Option<Total>,
}

/// Length of a list, which may be counted up to a bound only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Counted rows.
    pub count: u64,
    /// False if the list has more rows than that.
    pub is_exact: bool,
}

impl Total {
    /// Length of a list that was counted to its end.
    #[must_use]
    pub const fn exact(count: u64) -> Self {
        Self { count, is_exact: true }
    }

    /// Length of a list of which at most one row more than the bound was counted.
    #[must_use]
    pub const fn bounded(count: u64, bound: u64) -> Self {
        if count > bound { Self { count: bound, is_exact: false } } else { Self::exact(count) }
    }
}

/// Rows that were fetched for a page, in the direction of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRows<T> {
    /// Up to [`PageRequest::fetch_limit`] rows.
    pub rows: Vec<T>,
    /// `true` if the list has rows on the other side of the request's key.
    pub has_other_side: bool,
    /// Length of the whole list, if it was requested.
    pub total: Option<Total>,
}

impl<K> PageRequest<K> {
    /// Number of rows to fetch: one more than the page size, which shows if there are further rows.
    #[must_use]
    pub const fn fetch_limit(&self) -> usize {
        self.limit + 1
    }

    /// Builds a page from its fetched rows.
    #[must_use]
    pub fn page<T>(&self, fetched: FetchedRows<T>) -> Page<T> {
        let FetchedRows { mut rows, has_other_side, total } = fetched;
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let (has_next, has_previous) = match self.direction {
            Direction::Forward => (has_more, has_other_side),
            Direction::Backward => {
                rows.reverse();
                (has_other_side, has_more)
            }
        };
        Page { rows, has_next, has_previous, total }
    }

    /// Slices the page out of a whole list that is ordered by `K`'s own order.
    #[must_use]
    pub fn slice_by_key<T: Clone>(&self, list: &[T], key_of: impl Fn(&T) -> K) -> Page<T>
    where
        K: Ord,
    {
        self.slice_by(list, |item, key| key_of(item).cmp(key))
    }

    /// Slices the page out of a whole list that is ordered by `compare`.
    #[must_use]
    pub fn slice_by<T: Clone>(&self, list: &[T], compare: impl Fn(&T, &K) -> Ordering) -> Page<T> {
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
        let (rows, has_other_side): (Vec<T>, bool) = match self.direction {
            Direction::Forward => {
                (list[after..].iter().take(self.fetch_limit()).cloned().collect(), after > 0)
            }
            Direction::Backward => (
                list[..before].iter().rev().take(self.fetch_limit()).cloned().collect(),
                before < list.len(),
            ),
        };
        let total = self.with_total.then_some(Total::exact(list.len() as u64));
        self.page(FetchedRows { rows, has_other_side, total })
    }
}

impl<T> Page<T> {
    /// Maps the rows of the page.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            rows: self.rows.into_iter().map(change).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
            total: self.total,
        }
    }
}
