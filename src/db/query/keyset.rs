//! Keyset pages: the rows after (or before) a key, in one statement with the page's flags.
//!
//! Keys are compared as rows, `(created_at, id) < (?, ?)`, because that is one step into an index;
//! the same written with OR reads and throws away every row before it. A page reads one row more
//! than it holds, which tells whether there are more; whether there are rows on the other side of
//! the key is a yes-or-no question beside it.

use sea_orm::sea_query::{
    Alias, Asterisk, ColumnRef, Expr, ExprTrait, IntoColumnRef, JoinType, Order, Query,
    SelectStatement, SimpleExpr, Value,
};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::constant;
use super::membership::uuid_array;
use crate::db::Session;
use crate::domain::page::{Direction, Page, PageRequest};

const PARENT: &str = "parent";
const FLAGS: &str = "flags";
const PAGE: &str = "page";
const HAS_OTHER_SIDE: &str = "has_other_side";
const TOTAL: &str = "total";

/// The order of a list: columns that name each row uniquely together, all in one direction.
#[derive(Debug, Clone)]
pub struct Keyset {
    /// The columns before the id, with the names that the page's rows have.
    pub columns: Vec<(ColumnRef, &'static str)>,
    /// The id, which settles what the other columns leave open.
    pub id: (ColumnRef, &'static str),
    /// Ascending or descending.
    pub order: Order,
}

/// A list of which pages are read.
#[derive(Debug, Clone)]
pub struct List {
    /// What is selected from where, without order and limit.
    pub rows: SelectStatement,
    /// Its order.
    pub keyset: Keyset,
}

/// A row of a page, or the page's flags alone where it has no rows.
struct PageRow<T> {
    row: Option<T>,
    has_other_side: bool,
    total: Option<u64>,
}

impl Keyset {
    fn all(&self) -> impl Iterator<Item = &(ColumnRef, &'static str)> {
        self.columns.iter().chain(std::iter::once(&self.id))
    }

    fn compare(&self, key: &[Value], direction: Direction, other_side: bool) -> SimpleExpr {
        let columns = Expr::tuple(self.all().map(|(column, _)| Expr::col(column.clone())));
        let values = Expr::tuple(key.iter().cloned().map(Expr::value));
        let ascending = (self.order == Order::Asc) == (direction == Direction::Forward);
        // The key's own row is on the other side: it is not part of the page.
        match (ascending, other_side) {
            (true, false) => columns.gt(values),
            (false, false) => columns.lt(values),
            (true, true) => columns.lte(values),
            (false, true) => columns.gte(values),
        }
    }

    fn read_order(&self, direction: Direction) -> Order {
        match (direction, &self.order) {
            (Direction::Forward, order) => order.clone(),
            (Direction::Backward, Order::Asc) => Order::Desc,
            (Direction::Backward, _) => Order::Asc,
        }
    }
}

impl List {
    /// The page's own rows, one more than wanted.
    fn page<K>(&self, request: &PageRequest<K>, key: Option<&[Value]>) -> SelectStatement {
        let mut page = self.rows.clone();
        if let Some(key) = key {
            page.and_where(self.keyset.compare(key, request.direction, false));
        }
        let order = self.keyset.read_order(request.direction);
        for (column, _) in self.keyset.all() {
            page.order_by(column.clone(), order.clone());
        }
        page.limit(request.probe() as u64);
        page
    }

    fn has_other_side<K>(&self, request: &PageRequest<K>, key: Option<&[Value]>) -> SimpleExpr {
        let Some(key) = key else { return constant(false) };
        let mut other_side = self.rows.clone();
        other_side.clear_selects().expr(constant(1)).and_where(self.keyset.compare(
            key,
            request.direction,
            true,
        ));
        Expr::exists(other_side)
    }

    fn total(&self) -> SimpleExpr {
        let mut count = self.rows.clone();
        count.clear_selects().expr(Expr::col(Asterisk).count());
        SimpleExpr::SubQuery(None, Box::new(count.into()))
    }

    /// The statement of one page of the whole list.
    pub fn select_page<K>(
        &self,
        request: &PageRequest<K>,
        key: Option<&[Value]>,
    ) -> SelectStatement {
        let mut flags = Query::select();
        flags.expr_as(self.has_other_side(request, key), HAS_OTHER_SIDE);
        if request.with_total {
            flags.expr_as(self.total(), TOTAL);
        }
        let mut statement = Query::select();
        statement
            .column((Alias::new(FLAGS), Asterisk))
            .column((Alias::new(PAGE), Asterisk))
            .from_subquery(flags, Alias::new(FLAGS))
            .join_subquery(
                JoinType::LeftJoin,
                self.page(request, key),
                Alias::new(PAGE),
                constant(true),
            );
        self.order(&mut statement, request.direction);
        statement
    }

    /// The statement of a page of the list of each parent, for all parents at once. The list's rows
    /// are those whose `of_parent` column equals the parent's id.
    pub fn select_page_per_parent<K>(
        &self,
        session: &Session,
        of_parent: ColumnRef,
        parents: &[Uuid],
        request: &PageRequest<K>,
        key: Option<&[Value]>,
    ) -> SelectStatement {
        let parent = || Expr::col((Alias::new(PARENT), Alias::new(PARENT)));
        let mut list = self.clone();
        list.rows.and_where(Expr::col(of_parent).eq(parent()));

        let mut statement = Query::select();
        statement
            .expr_as(parent(), PARENT)
            .expr_as(list.has_other_side(request, key), HAS_OTHER_SIDE);
        if request.with_total {
            statement.expr_as(list.total(), TOTAL);
        }
        statement.column((Alias::new(PAGE), Asterisk));
        if session.is_sqlite() {
            // SQLite has no LATERAL. It finds the few ids of each parent by a subquery that it runs
            // for each, and then the rows by those ids.
            statement.from_subquery(parents_of_sqlite(parents), Alias::new(PARENT));
            let (id, id_name) = self.keyset.id.clone();
            let mut ids = list.page(request, key);
            ids.clear_selects().expr(Expr::col(id));
            statement.join_subquery(
                JoinType::LeftJoin,
                self.rows.clone(),
                Alias::new(PAGE),
                Expr::col((Alias::new(PAGE), Alias::new(id_name))).in_subquery(ids),
            );
        } else {
            statement.from_function(
                sea_orm::sea_query::Func::cust("unnest").arg(Expr::value(uuid_array(parents))),
                Alias::new(PARENT),
            );
            statement.join_lateral(
                JoinType::LeftJoin,
                list.page(request, key),
                Alias::new(PAGE),
                constant(true),
            );
        }
        self.order(&mut statement, request.direction);
        statement
    }

    fn order(&self, statement: &mut SelectStatement, direction: Direction) {
        let order = self.keyset.read_order(direction);
        for (_, name) in self.keyset.all() {
            statement
                .order_by((Alias::new(PAGE), Alias::new(*name)).into_column_ref(), order.clone());
        }
    }
}

fn parents_of_sqlite(parents: &[Uuid]) -> SelectStatement {
    let select = |id: Uuid| Query::select().expr_as(Expr::value(id), PARENT).to_owned();
    let mut rest = parents.iter().copied();
    let mut all = select(rest.next().unwrap_or_default());
    for id in rest {
        all.union(sea_orm::sea_query::UnionType::All, select(id));
    }
    all
}

/// The parent that a row of [`List::select_page_per_parent`] belongs to.
///
/// # Errors
///
/// The row is of another statement.
pub fn parent_of(row: &QueryResult) -> Result<Uuid, DbErr> {
    row.try_get("", PARENT)
}

/// Makes the page of the rows that [`List::select_page`] found.
///
/// # Errors
///
/// A row is not what `read_row` expects.
pub fn page_of_rows<K, T>(
    request: &PageRequest<K>,
    rows: &[QueryResult],
    read_row: impl Fn(&QueryResult) -> Result<T, DbErr>,
) -> Result<Page<T>, DbErr> {
    let rows =
        rows.iter().map(|row| read(row, &read_row)).collect::<Result<Vec<PageRow<T>>, _>>()?;
    let has_other_side = rows.first().is_some_and(|row| row.has_other_side);
    let total = rows.first().and_then(|row| row.total);
    Ok(request.page(rows.into_iter().filter_map(|row| row.row).collect(), has_other_side, total))
}

fn read<T>(
    row: &QueryResult,
    read_row: impl Fn(&QueryResult) -> Result<T, DbErr>,
) -> Result<PageRow<T>, DbErr> {
    // Every row of a page has an id, which is null where the page is empty.
    let has_row = row.try_get::<Option<Uuid>>("", "id")?.is_some();
    Ok(PageRow {
        row: if has_row { Some(read_row(row)?) } else { None },
        has_other_side: row.try_get("", HAS_OTHER_SIDE)?,
        total: match row.try_get::<i64>("", TOTAL) {
            Ok(total) => u64::try_from(total).ok(),
            Err(_) => None,
        },
    })
}
