//! Connections: the arguments of a page, its limits, and cursors. The one gate for page sizes.

use std::borrow::Cow;

use async_graphql::resolver_utils::{EnumType, enum_value};
use async_graphql::{Context, OutputType, SimpleObject, TypeName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Datelike;

use super::errors::ApiError;
use super::inputs::OrderDirection;
use super::list::List;
use crate::config::content::YEARS;
use crate::config::limits::DocumentLimits;
use crate::domain::page::{Direction, Page, PageRequest};

/// Arguments of a connection field.
pub struct PageArguments {
    /// Page size.
    pub first: Option<i32>,
    /// Cursor before the page.
    pub after: Option<String>,
    /// Page size from the end.
    pub last: Option<i32>,
    /// Cursor after the page.
    pub before: Option<String>,
}

/// Fields of connections that take a count of the whole list.
pub const COUNT_FIELDS: [&str; 2] = ["totalCount", "totalCountIsExact"];

/// Position of a page in its list.
#[derive(SimpleObject, Debug, Clone)]
pub struct PageInfo {
    /// True if the list has items after this page.
    has_next_page: bool,
    /// True if the list has items before this page.
    has_previous_page: bool,
    /// Cursor of the first item of this page; null on an empty page.
    start_cursor: Option<String>,
    /// Cursor of the last item of this page; null on an empty page.
    end_cursor: Option<String>,
}

/// A type with connections, and the names of these in the schema.
pub trait Paginated: OutputType {
    /// Name of the edge type.
    const EDGE: &'static str;
    /// Name of the connection type.
    const CONNECTION: &'static str;
}

impl<T: Paginated> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        T::EDGE.into()
    }
}

impl<T: Paginated> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        T::CONNECTION.into()
    }
}

/// An item of a list with its cursor.
#[derive(SimpleObject, Clone)]
#[graphql(name_type)]
pub struct Edge<T: Paginated> {
    /// Cursor of the item, for `after` and `before`. Valid for this list in this order only.
    pub(super) cursor: String,
    /// The item.
    pub(super) node: T,
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Connection<T: Paginated> {
    /// Items of the page with their cursors.
    edges: List<Edge<T>>,
    /// Items of the page.
    nodes: List<T>,
    /// Position of the page in the list.
    page_info: PageInfo,
    /// Length of the whole list. It costs a count of its own, so select it only where it is shown.
    total_count: Option<u64>,
}

/// Sort key of a list's items, as encoded in a cursor.
pub trait CursorKey: Sized {
    /// The key as text, without `|`.
    fn write(&self) -> String;
    /// The key of a text; `None` if it is malformed.
    fn parse(text: &str) -> Option<Self>;
}

impl PageArguments {
    /// Checks the arguments and returns the request of a page. `list` is the name of the field and
    /// of its order, which cursors are bound to.
    ///
    /// # Errors
    ///
    /// Contradicting arguments, a number out of range, or a cursor of another list.
    pub fn request<K: CursorKey>(
        &self,
        context: &Context<'_>,
        limits: &DocumentLimits,
        list: &str,
    ) -> Result<PageRequest<K>, ApiError> {
        self.refuse_contradictions()?;
        let backward = self.last.is_some() || (self.before.is_some() && self.first.is_none());
        let (direction, argument, count, cursor) = if backward {
            (Direction::Backward, "last", self.last, &self.before)
        } else {
            (Direction::Forward, "first", self.first, &self.after)
        };
        let limit = match count {
            None => usize::try_from(limits.default_page_size).unwrap_or(usize::MAX),
            Some(count) => page_size(argument, count, limits.max_page_size)?,
        };
        let key = cursor
            .as_deref()
            .map(|cursor| {
                read_cursor(list, cursor)
                    .ok_or(ApiError::InvalidCursor { argument: direction.cursor_argument() })
            })
            .transpose()?;
        let selected = context.look_ahead();
        let with_total = COUNT_FIELDS.into_iter().any(|name| selected.field(name).exists());
        Ok(PageRequest { direction, limit, key, with_total })
    }

    fn refuse_contradictions(&self) -> Result<(), ApiError> {
        let pairs = [
            (self.first.is_some() && self.last.is_some(), "last", "first"),
            (self.first.is_some() && self.before.is_some(), "before", "first"),
            (self.last.is_some() && self.after.is_some(), "after", "last"),
            (self.after.is_some() && self.before.is_some(), "before", "after"),
        ];
        match pairs.into_iter().find(|(contradict, ..)| *contradict) {
            None => Ok(()),
            Some((_, argument, other)) => Err(ApiError::BadInput {
                argument,
                message: format!(
                    "`{argument}` and `{other}` contradict each other; give one of them"
                ),
            }),
        }
    }
}

fn page_size(argument: &'static str, count: i32, maximum: u64) -> Result<usize, ApiError> {
    let size = usize::try_from(count).map_err(|_| ApiError::BadInput {
        argument,
        message: format!("`{argument}` is {count}; it must be at least 0"),
    })?;
    if size as u64 > maximum {
        return Err(ApiError::PageSizeExceeded { argument, requested: count, maximum });
    }
    Ok(size)
}

impl<T: Paginated + Clone> Connection<T> {
    /// The connection of a page of that list.
    pub fn new<R, K: CursorKey>(
        list: &str,
        page: Page<R>,
        key_of: impl Fn(&R) -> K,
        node_of: impl Fn(R) -> T,
    ) -> Self {
        let (has_next_page, has_previous_page, total_count) =
            (page.has_next, page.has_previous, page.total.map(|total| total.count));
        let edges: Vec<Edge<T>> = page
            .rows
            .into_iter()
            .map(|row| Edge { cursor: write_cursor(list, &key_of(&row)), node: node_of(row) })
            .collect();
        Self {
            nodes: edges.iter().map(|edge| edge.node.clone()).collect(),
            page_info: PageInfo {
                has_next_page,
                has_previous_page,
                start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                end_cursor: edges.last().map(|edge| edge.cursor.clone()),
            },
            total_count,
            edges: edges.into(),
        }
    }
}

/// Name of a list in an order, which its cursors are bound to.
pub(super) fn list_name<F: EnumType>(list: &str, by: F, direction: OrderDirection) -> String {
    format!("{list}:{}:{}", enum_value(by), enum_value(direction))
}

/// Checks that the key of a page is one of its order. Cursors are not signed: one with the name of
/// this list may hold the key of another.
///
/// # Errors
///
/// [`ApiError::InvalidCursor`].
pub(super) fn of_order<K>(
    page: PageRequest<K>,
    knows: impl FnOnce(&K) -> bool,
) -> Result<PageRequest<K>, ApiError> {
    if page.key.as_ref().is_none_or(knows) {
        return Ok(page);
    }
    Err(ApiError::InvalidCursor { argument: page.direction.cursor_argument() })
}

/// Version of the cursor format; cursors of other versions are rejected.
const CURSOR_FORMAT: &str = "1";

/// Cursor of a key in a list.
#[must_use]
pub fn write_cursor(list: &str, key: &impl CursorKey) -> String {
    URL_SAFE_NO_PAD.encode(format!("{CURSOR_FORMAT}|{list}|{}", key.write()))
}

/// Key of a cursor of that list; `None` if this server did not issue it.
#[must_use]
pub fn read_cursor<K: CursorKey>(list: &str, cursor: &str) -> Option<K> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.split('|');
    let is_ours = parts.next() == Some(CURSOR_FORMAT) && parts.next() == Some(list);
    let key = parts.next()?;
    let key = (is_ours && parts.next().is_none()).then(|| K::parse(key)).flatten()?;
    // Each key has one cursor: other spellings of it are rejected.
    (write_cursor(list, &key) == cursor).then_some(key)
}

/// Encoded text for a cursor, without separators of keys.
pub(super) fn write_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Decoded text of a cursor.
pub(super) fn read_text(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Decoded time of a cursor: microseconds since 1970.
pub(super) fn read_time(text: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    let time = chrono::DateTime::from_timestamp_micros(text.parse().ok()?)?;
    // No row has a time outside of the years that both databases can compare.
    YEARS.contains(&time.year()).then_some(time)
}
