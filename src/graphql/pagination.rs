//! Connections: the arguments of a page, its limits, and cursors. The one gate for page sizes.

use async_graphql::resolver_utils::{EnumType, enum_value};
use async_graphql::{Context, OutputType, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Datelike;

use super::admin::AdminUser;
use super::card::Card;
use super::errors::ApiError;
use super::inputs::OrderDirection;
use super::reading::Reading;
use super::spread::Spread;
use super::tag::Tag;
use crate::config::limits::DocumentLimits;
use crate::domain::page::{Direction, Page, PageRequest};

/// What a client asks of a connection.
pub struct PageArguments {
    /// The first so many.
    pub first: Option<i32>,
    /// After this cursor.
    pub after: Option<String>,
    /// The last so many.
    pub last: Option<i32>,
    /// Before this cursor.
    pub before: Option<String>,
}

/// Where a page lies in its list.
#[derive(SimpleObject, Debug, Clone)]
pub struct PageInfo {
    /// Whether the list has items after the last one of this page.
    has_next_page: bool,
    /// Whether the list has items before the first one of this page.
    has_previous_page: bool,
    /// The cursor of this page's first item; null on an empty page.
    start_cursor: Option<String>,
    /// The cursor of this page's last item; null on an empty page.
    end_cursor: Option<String>,
}

/// An item of a list and its place there.
#[derive(SimpleObject, Clone)]
#[graphql(concrete(name = "AdminUserEdge", params(AdminUser)))]
#[graphql(concrete(name = "CardEdge", params(Card)))]
#[graphql(concrete(name = "ReadingEdge", params(Reading)))]
#[graphql(concrete(name = "SpreadEdge", params(Spread)))]
#[graphql(concrete(name = "TagEdge", params(Tag)))]
pub struct Edge<T: OutputType> {
    /// The item's place, for `after` and `before`. Good for this list in this order only.
    pub(super) cursor: String,
    /// The item.
    pub(super) node: T,
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(concrete(name = "AdminUserConnection", params(AdminUser)))]
#[graphql(concrete(name = "CardConnection", params(Card)))]
#[graphql(concrete(name = "ReadingConnection", params(Reading)))]
#[graphql(concrete(name = "SpreadConnection", params(Spread)))]
#[graphql(concrete(name = "TagConnection", params(Tag)))]
pub struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    /// The items with their cursors.
    edges: Vec<Edge<T>>,
    /// The items alone.
    nodes: Vec<T>,
    /// Where this page lies.
    page_info: PageInfo,
    /// The length of the whole list. It costs a count of its own, so ask for it where it is shown.
    total_count: Option<u64>,
}

/// The sort key of a list's items, as a cursor carries it.
pub trait CursorKey: Sized {
    /// As text, without `|`.
    fn write(&self) -> String;
    /// From that text.
    fn read(text: &str) -> Option<Self>;
}

impl PageArguments {
    /// Checks the arguments and makes a request for a page of the list `list`, which is the name of
    /// the field and of its order, and which cursors are bound to.
    ///
    /// # Errors
    ///
    /// The arguments contradict each other, a number is out of range, or a cursor is not one of
    /// this list.
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
        let with_total = context.look_ahead().field("totalCount").exists();
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
        message: format!("`{argument}` is {count}; it must be 0 or more"),
    })?;
    if size as u64 > maximum {
        return Err(ApiError::PageSizeExceeded { argument, requested: count, maximum });
    }
    Ok(size)
}

impl<T: OutputType + Clone> Connection<T>
where
    Edge<T>: OutputType,
{
    /// The connection of a page of that list.
    pub fn new<R, K: CursorKey>(
        list: &str,
        page: Page<R>,
        key_of: impl Fn(&R) -> K,
        node_of: impl Fn(R) -> T,
    ) -> Self {
        let (has_next_page, has_previous_page, total_count) =
            (page.has_next, page.has_previous, page.total);
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
            edges,
        }
    }
}

/// The name of a list in an order, which its cursors are bound to.
pub(super) fn list_name<F: EnumType>(list: &str, by: F, direction: OrderDirection) -> String {
    format!("{list}:{}:{}", enum_value(by), enum_value(direction))
}

/// A page whose key is one of its order. Cursors are not signed: one that names a list may hold the
/// key of another.
///
/// # Errors
///
/// Its key is none.
pub(super) fn of_order<K>(
    page: PageRequest<K>,
    knows: impl FnOnce(&K) -> bool,
) -> Result<PageRequest<K>, ApiError> {
    if page.key.as_ref().is_none_or(knows) {
        return Ok(page);
    }
    Err(ApiError::InvalidCursor { argument: page.direction.cursor_argument() })
}

/// The age of the cursors' format; cursors of another age are refused.
const CURSOR_FORMAT: &str = "1";

/// The cursor of a key in a list.
pub(super) fn write_cursor(list: &str, key: &impl CursorKey) -> String {
    URL_SAFE_NO_PAD.encode(format!("{CURSOR_FORMAT}|{list}|{}", key.write()))
}

fn read_cursor<K: CursorKey>(list: &str, cursor: &str) -> Option<K> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.split('|');
    let is_ours = parts.next() == Some(CURSOR_FORMAT) && parts.next() == Some(list);
    let key = parts.next()?;
    (is_ours && parts.next().is_none()).then(|| K::read(key)).flatten()
}

/// A text in a cursor, where it may hold what separates keys.
pub(super) fn write_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// That text.
pub(super) fn read_text(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// A time in a cursor: microseconds since 1970.
pub(super) fn read_time(text: &str) -> Option<chrono::DateTime<chrono::Utc>> {
    let time = chrono::DateTime::from_timestamp_micros(text.parse().ok()?)?;
    // Nothing was made before or after the years that both databases can compare.
    (1..=9_999).contains(&time.year()).then_some(time)
}
