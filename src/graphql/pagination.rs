//! Connections: the arguments of a page, its limits, and cursors. The one gate for page sizes.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::resolver_utils::{EnumType, enum_value};
use async_graphql::{Context, OutputType, TypeName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Datelike;
use object_macro::object;

use super::errors::ApiError;
use super::fast_json::object::JsonValue;
use super::inputs::OrderDirection;
use super::list::{COUNT_FIELDS, List};
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

/// Cursor of the item at an index of a page. Computed where it is selected.
type CursorOf = Arc<dyn Fn(usize) -> String + Send + Sync>;

/// Position of a page in its list.
pub struct PageInfo {
    has_next: bool,
    has_previous: bool,
    start_cursor: Option<String>,
    end_cursor: Option<String>,
}

/// Position of a page in its list.
#[object]
impl PageInfo {
    /// True if the list has items after this page.
    fn has_next_page(&self) -> bool {
        self.has_next
    }

    /// True if the list has items before this page.
    fn has_previous_page(&self) -> bool {
        self.has_previous
    }

    /// Cursor of the first item of this page; null on an empty page.
    fn start_cursor(&self) -> Option<&str> {
        self.start_cursor.as_deref()
    }

    /// Cursor of the last item of this page; null on an empty page.
    fn end_cursor(&self) -> Option<&str> {
        self.end_cursor.as_deref()
    }
}

/// A type with connections, and the names of these in the schema.
pub trait Paginated: OutputType + JsonValue + Clone + 'static {
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
#[derive(Clone)]
pub struct Edge<T> {
    index: usize,
    cursor_of: CursorOf,
    node: T,
}

impl<T> Edge<T> {
    /// An item outside of a page.
    pub(super) fn new(cursor: String, node: T) -> Self {
        Self { index: 0, cursor_of: Arc::new(move |_| cursor.clone()), node }
    }
}

/// An item of a list with its cursor.
#[object(name_type)]
impl<T: Paginated> Edge<T> {
    /// Cursor of the item, for `after` and `before`. Valid for this list in this order only.
    fn cursor(&self) -> String {
        (self.cursor_of)(self.index)
    }

    /// The item.
    fn node(&self) -> &T {
        &self.node
    }
}

/// A page of a list.
pub struct Connection<T> {
    nodes: List<T>,
    cursor_of: CursorOf,
    has_next: bool,
    has_previous: bool,
    total_count: Option<u64>,
}

/// A page of a list.
#[object(name_type)]
impl<T: Paginated> Connection<T> {
    /// Items of the page with their cursors.
    fn edges(&self) -> List<Edge<T>> {
        let nodes = self.nodes.0.iter().cloned().enumerate();
        let cursor_of = || Arc::clone(&self.cursor_of);
        nodes.map(|(index, node)| Edge { index, cursor_of: cursor_of(), node }).collect()
    }

    /// Items of the page.
    fn nodes(&self) -> &List<T> {
        &self.nodes
    }

    /// Position of the page in the list.
    fn page_info(&self) -> PageInfo {
        let last = self.nodes.0.len().checked_sub(1);
        PageInfo {
            has_next: self.has_next,
            has_previous: self.has_previous,
            start_cursor: last.map(|_| (self.cursor_of)(0)),
            end_cursor: last.map(|last| (self.cursor_of)(last)),
        }
    }

    /// Length of the whole list. It costs a count of its own, so select it only where it is shown.
    fn total_count(&self) -> Option<u64> {
        self.total_count
    }
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

impl<T> Connection<T> {
    /// The connection of a page of that list.
    pub fn new<R, K: CursorKey + Send + Sync + 'static>(
        list: &str,
        page: Page<R>,
        key_of: impl Fn(&R) -> K,
        node_of: impl Fn(R) -> T,
    ) -> Self {
        let Page { rows, has_next, has_previous, total } = page;
        let keys: Vec<K> = rows.iter().map(key_of).collect();
        let list = list.to_owned();
        let cursor_of = move |index: usize| {
            keys.get(index).map(|key| write_cursor(&list, key)).unwrap_or_default()
        };
        Self {
            nodes: rows.into_iter().map(node_of).collect(),
            cursor_of: Arc::new(cursor_of),
            has_next,
            has_previous,
            total_count: total.map(|total| total.count),
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
