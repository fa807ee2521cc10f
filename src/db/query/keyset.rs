//! Keyset pages: the rows after (or before) a key, in one statement with the page's flags.
//!
//! Keys are compared as row values, `(created_at, id) < (?, ?)`, because that is one step into an index;
//! the same condition with OR reads and discards every row before the key. A page reads one row more than
//! its size, which says whether there is a next page; an EXISTS subquery says whether there are rows on
//! the other side of the key.

use std::collections::HashMap;

use sea_orm::sea_query::{
    Alias, Asterisk, ColumnRef, CommonTableExpression, Condition, Expr, ExprTrait, Func,
    IntoColumnRef, JoinType, Order, Query, SelectStatement, SimpleExpr, UnionType, Value,
    WithClause,
};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use super::count::{count, exists};
use super::membership::uuid_array;
use super::{Dialect, constant};
use crate::domain::page::{Direction, FetchedRows, Page, PageRequest, Total};

const PARENT: &str = "parent";
const FLAGS: &str = "flags";
const PAGE: &str = "page";
const FOUND: &str = "found";
const NEAREST: &str = "nearest";
const ALL: &str = "all_found";
const HAS_OTHER_SIDE: &str = "has_other_side";
const TOTAL: &str = "total";

/// Order of a list: columns that identify a row uniquely together, all in one direction.
#[derive(Debug, Clone)]
pub struct Keyset {
    /// The columns before the id, with their names in the page's rows.
    pub columns: Vec<(ColumnRef, &'static str)>,
    /// The id, the tie-breaker.
    pub id: (ColumnRef, &'static str),
    /// Ascending or descending.
    pub order: Order,
}

/// A list that is read page by page.
#[derive(Debug, Clone)]
pub struct KeysetList {
    /// Columns and table, without conditions, order and limit; the id is the first column.
    pub rows: SelectStatement,
    /// Condition of the list's rows.
    pub condition: Condition,
    /// Order of the list.
    pub keyset: Keyset,
    /// Access path to the rows of a page.
    pub access: AccessPath,
    /// Maximum rows that a count of the list reads; none to count them all.
    pub count_limit: Option<u64>,
}

/// Access path to the rows of a page.
#[derive(Debug, Clone)]
pub enum AccessPath {
    /// Left to the database: usually in the list's order, until the page is full.
    Ordered,
    /// By conditions of which each row meets exactly one, each with an index that covers the list's
    /// condition and order. A page's ids are found first, by index-only scans, and the rows are read by
    /// id. Otherwise PostgreSQL reads the row of each index entry, of non-matching rows too.
    Partitions(Vec<SimpleExpr>),
    /// By a probe, then by an index of the condition if the probe does not fill the page.
    Probe(Probe),
}

/// Access by a bounded probe: the rows next to the key, in the list's order, are compared with the condition. Only
/// if the matches do not fill the page are all matches found, by an index without an order.
///
/// The better access path depends on the number of matches: a page of a common word is full after a few rows,
/// and for a rare one all rows would be read. PostgreSQL would estimate that number from a sample, sometimes wrong by
/// a factor of a hundred. Here both paths are bounded, and one generic plan serves all values.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The table.
    pub table: &'static str,
    /// Part of the list's condition that an index in the list's order holds.
    pub condition: Condition,
    /// Number of rows to compare.
    pub rows: u64,
}

/// A side of the key of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySide {
    /// The side that the page is on.
    Page,
    /// The opposite side, which includes the key's own row.
    Opposite,
}

impl Keyset {
    fn all(&self) -> impl DoubleEndedIterator<Item = &(ColumnRef, &'static str)> {
        self.columns.iter().chain(std::iter::once(&self.id))
    }

    pub(super) fn compare(&self, key: &[Value], direction: Direction, side: KeySide) -> SimpleExpr {
        let columns = Expr::tuple(self.all().map(|(column, _)| Expr::col(column.clone())));
        let values = Expr::tuple(key.iter().cloned().map(Expr::value));
        let ascending = (self.order == Order::Asc) == (direction == Direction::Forward);
        match (ascending, side) {
            (true, KeySide::Page) => columns.gt(values),
            (false, KeySide::Page) => columns.lt(values),
            (true, KeySide::Opposite) => columns.lte(values),
            (false, KeySide::Opposite) => columns.gte(values),
        }
    }

    pub(super) fn order(&self, rows: &mut SelectStatement, direction: Direction) {
        let order = self.read_order(direction);
        for (column, _) in self.all() {
            rows.order_by(column.clone(), order.clone());
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

impl KeysetList {
    /// All of the list's rows.
    pub(super) fn all(&self) -> SelectStatement {
        self.rows.clone().cond_where(self.condition.clone()).to_owned()
    }

    /// The list's rows that meet a further condition, without order and limit, and the keyset in terms of
    /// that statement. With partitions, only ids and the columns of the order are selected.
    fn find(&self, further: Option<SimpleExpr>) -> (SelectStatement, Keyset) {
        let mut all = self.all();
        if let Some(further) = further {
            all.and_where(further);
        }
        let AccessPath::Partitions(partitions) = &self.access else {
            return (all, self.keyset.clone());
        };
        let mut partitions = partitions.iter().map(|partition| {
            let mut rows = self.keys_of(&all);
            rows.and_where(partition.clone());
            rows
        });
        let Some(mut found) = partitions.next() else { return (all, self.keyset.clone()) };
        for partition in partitions {
            found.union(UnionType::All, partition);
        }
        (select_found(found), self.keyset_of_found())
    }

    /// Ids and sort values of rows. The id is first, as in the rows of the list.
    fn keys_of(&self, rows: &SelectStatement) -> SelectStatement {
        let mut keys = rows.clone();
        keys.clear_selects();
        for (column, name) in self.keyset.all().rev() {
            keys.expr_as(Expr::col(column.clone()), Alias::new(*name));
        }
        keys
    }

    /// The keyset with the columns of [`select_found`].
    fn keyset_of_found(&self) -> Keyset {
        let named = |name| ((Alias::new(FOUND), Alias::new(name)).into_column_ref(), name);
        Keyset {
            columns: self.keyset.columns.iter().map(|(_, name)| named(*name)).collect(),
            id: named(self.keyset.id.1),
            order: self.keyset.order.clone(),
        }
    }

    /// The page's rows, and one more.
    fn page<K>(&self, request: &PageRequest<K>, key: Option<&[Value]>) -> SelectStatement {
        let after = key.map(|key| self.keyset.compare(key, request.direction, KeySide::Page));
        let limit = request.fetch_limit() as u64;
        let (mut found, keyset) = match &self.access {
            AccessPath::Probe(probe) => self.find_by_probe(probe, request.direction, after, limit),
            AccessPath::Ordered | AccessPath::Partitions(_) => self.find(after),
        };
        keyset.order(&mut found, request.direction);
        found.limit(limit);
        if matches!(self.access, AccessPath::Ordered) {
            return found;
        }
        let is_found = Expr::col(self.keyset.id.0.clone()).eq(Expr::col(keyset.id.0));
        let mut page = self.rows.clone();
        page.join_subquery(JoinType::InnerJoin, found, Alias::new(FOUND), is_found);
        page
    }

    /// Matches among the rows of a probe, ordered by direction.
    fn probe(
        &self,
        probe: &Probe,
        direction: Direction,
        further: Option<SimpleExpr>,
    ) -> SelectStatement {
        let mut compared = Query::select();
        compared.column(Asterisk).from(probe.table).cond_where(probe.condition.clone());
        if let Some(further) = further {
            compared.and_where(further);
        }
        self.keyset.order(&mut compared, direction);
        compared.limit(probe.rows);
        // Named as the table, because the condition refers to it.
        let mut matches = Query::select();
        matches.from_subquery(compared, Alias::new(probe.table)).cond_where(self.condition.clone());
        let mut matches = self.keys_of(&matches);
        self.keyset.order(&mut matches, direction);
        matches
    }

    /// Keys of the matches of a probe, and of all matches if the probe finds fewer than the limit. Both parts are
    /// materialized, so that each is planned separately: otherwise PostgreSQL would scan for all matches in the list's
    /// order, because of the limit.
    fn find_by_probe(
        &self,
        probe: &Probe,
        direction: Direction,
        further: Option<SimpleExpr>,
        limit: u64,
    ) -> (SelectStatement, Keyset) {
        let mut nearest = self.probe(probe, direction, further.clone());
        nearest.limit(limit);
        let of = |name| Query::select().column(Asterisk).from(Alias::new(name)).to_owned();
        let mut all = self.keys_of(&self.all());
        if let Some(further) = further {
            all.and_where(further);
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        all.and_where(count(&of(NEAREST)).lt(constant(limit)));
        let mut found = of(NEAREST);
        // Distinct: the probe's matches are also among all matches.
        found.union(UnionType::Distinct, of(ALL));
        let mut with = WithClause::new();
        for (name, query) in [(NEAREST, nearest), (ALL, all)] {
            let mut table = CommonTableExpression::new();
            table.table_name(Alias::new(name)).query(query).materialized(true);
            with.cte(table);
        }
        let mut statement = select_found(found);
        statement.with_cte(with);
        (statement, self.keyset_of_found())
    }

    fn has_other_side<K>(&self, request: &PageRequest<K>, key: Option<&[Value]>) -> SimpleExpr {
        let Some(key) = key else { return constant(false) };
        let opposite = self.keyset.compare(key, request.direction, KeySide::Opposite);
        if let AccessPath::Probe(probe) = &self.access {
            let reversed = request.direction.reversed();
            let nearest = self.probe(probe, reversed, Some(opposite.clone()));
            // Counted, so that they are found by the index: PostgreSQL would scan for a single one in the list's
            // order.
            let all = self.all().and_where(opposite).to_owned();
            return exists(&nearest).or(count(&all).gt(constant(0)));
        }
        let (mut nearest, keyset) = self.find(Some(opposite));
        nearest.clear_selects().expr(constant(true));
        // The nearest row, and not any: PostgreSQL looks for any by reading the table from its
        // beginning where it expects many.
        keyset.order(&mut nearest, request.direction.reversed());
        nearest.limit(1);
        SimpleExpr::SubQuery(None, Box::new(nearest.into())).is_not_null()
    }

    /// Number of the list's rows; at most one more than the limit.
    fn total(&self) -> SimpleExpr {
        let mut all = self.find(None).0;
        let Some(limit) = self.count_limit else { return count(&all) };
        all.clear_selects().expr(constant(1)).limit(limit.saturating_add(1));
        let mut bounded = Query::select();
        bounded.from_subquery(all, Alias::new(FOUND));
        count(&bounded)
    }

    /// The statement of one page of the whole list. `key` holds a value for each column of the order,
    /// the id last.
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, Condition, IntoColumnRef, Order, PostgresQueryBuilder, Query};
    /// use wasteland_tarot::db::query::keyset::{AccessPath, Keyset, KeysetList};
    /// use wasteland_tarot::domain::page::{Direction, PageRequest};
    ///
    /// let column = |name: &'static str| Alias::new(name).into_column_ref();
    /// let list = KeysetList {
    ///     rows: Query::select().columns(["id", "created_at"]).from("users").to_owned(),
    ///     condition: Condition::all(),
    ///     keyset: Keyset {
    ///         columns: vec![(column("created_at"), "created_at")],
    ///         id: (column("id"), "id"),
    ///         order: Order::Desc,
    ///     },
    ///     access: AccessPath::Ordered,
    ///     count_limit: None,
    /// };
    /// let request = PageRequest {
    ///     direction: Direction::Forward,
    ///     limit: 20,
    ///     key: Some(()),
    ///     with_total: false,
    /// };
    /// let key = ["2026-11-01T00:00:00Z".into(), 7.into()];
    /// let sql = list.select_page(&request, Some(&key)).to_string(PostgresQueryBuilder);
    /// // One step into an index, and one row more than wanted.
    /// assert!(sql.contains(r#"("created_at", "id") < ('2026-11-01T00:00:00Z', 7)"#));
    /// assert!(sql.contains("LIMIT 21"));
    /// ```
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
    ///
    /// ```
    /// use sea_orm::sea_query::{Alias, Condition, IntoColumnRef, Order, PostgresQueryBuilder, Query};
    /// use uuid::Uuid;
    /// use wasteland_tarot::db::query::{Dialect, keyset::{AccessPath, Keyset, KeysetList}};
    /// use wasteland_tarot::domain::page::{Direction, PageRequest};
    ///
    /// let column = |name: &'static str| Alias::new(name).into_column_ref();
    /// let list = KeysetList {
    ///     rows: Query::select().columns(["id", "name"]).from("reading_categories").to_owned(),
    ///     condition: Condition::all(),
    ///     keyset: Keyset {
    ///         columns: vec![(column("name"), "name")],
    ///         id: (column("id"), "id"),
    ///         order: Order::Asc,
    ///     },
    ///     access: AccessPath::Ordered,
    ///     count_limit: None,
    /// };
    /// let top: PageRequest<()> =
    ///     PageRequest { direction: Direction::Forward, limit: 3, key: None, with_total: false };
    /// let parents = [Uuid::nil(), Uuid::max()];
    /// let query =
    ///     list.select_page_per_parent(Dialect::Postgres, &column("user_id"), &parents, &top, None);
    /// // The few rows of each parent by an index, and not all rows, numbered.
    /// assert!(query.to_string(PostgresQueryBuilder).contains("LEFT JOIN LATERAL"));
    /// ```
    pub fn select_page_per_parent<K>(
        &self,
        dialect: Dialect,
        of_parent: &ColumnRef,
        parents: &[Uuid],
        request: &PageRequest<K>,
        key: Option<&[Value]>,
    ) -> SelectStatement {
        let parent = |table| Expr::col((Alias::new(table), Alias::new(PARENT)));
        let list_of = |table| {
            let mut list = self.clone();
            list.condition = list.condition.add(Expr::col(of_parent.clone()).eq(parent(table)));
            list
        };

        // The flags are computed once for each parent: the limit or offset keeps the planner from
        // inlining the subquery, which would compute them for each row of the page.
        let list = list_of(PARENT);
        let mut flags = Query::select();
        flags
            .expr_as(parent(PARENT), PARENT)
            .expr_as(list.has_other_side(request, key), HAS_OTHER_SIDE);
        if request.with_total {
            flags.expr_as(list.total(), TOTAL);
        }
        if dialect.is_sqlite() {
            let all = parents.len() as u64;
            flags.from_subquery(parents_of_sqlite(parents), Alias::new(PARENT)).limit(all);
        } else {
            let array = Expr::value(uuid_array(parents));
            flags.from_function(Func::cust("unnest").arg(array), Alias::new(PARENT)).offset(0);
        }

        let page = list_of(FLAGS).page(request, key);
        let mut statement = Query::select();
        statement
            .column((Alias::new(FLAGS), Asterisk))
            .column((Alias::new(PAGE), Asterisk))
            .from_subquery(flags, Alias::new(FLAGS));
        if dialect.is_sqlite() {
            // SQLite has no LATERAL. It finds the few ids of each parent by a subquery that it runs
            // for each, and then the rows by those ids.
            let (id, id_name) = self.keyset.id.clone();
            let mut ids = page;
            ids.clear_selects().expr(Expr::col(id));
            statement.join_subquery(
                JoinType::LeftJoin,
                self.rows.clone(),
                Alias::new(PAGE),
                Expr::col((Alias::new(PAGE), Alias::new(id_name))).in_subquery(ids),
            );
        } else {
            statement.join_lateral(JoinType::LeftJoin, page, Alias::new(PAGE), constant(true));
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

/// Selects from a statement of keys, under the name `found`.
fn select_found(keys: SelectStatement) -> SelectStatement {
    let found = Alias::new(FOUND);
    Query::select().column((found.clone(), Asterisk)).from_subquery(keys, found).to_owned()
}

fn parents_of_sqlite(parents: &[Uuid]) -> SelectStatement {
    let select = |id: Uuid| Query::select().expr_as(Expr::value(id), PARENT).to_owned();
    let mut rest = parents.iter().copied();
    let mut all = select(rest.next().unwrap_or_default());
    for id in rest {
        all.union(UnionType::All, select(id));
    }
    all
}

/// The page in the rows of [`KeysetList::select_page`]. `read_row` decodes a row of the list, whose columns
/// begin at the given index.
pub fn page_of_rows<K, T>(
    request: &PageRequest<K>,
    rows: &[QueryResult],
    read_row: impl Fn(&QueryResult, usize) -> Result<T, DbErr>,
) -> Result<Page<T>, DbErr> {
    page(request, 0, rows.iter(), read_row)
}

/// The page of each parent in the rows of [`KeysetList::select_page_per_parent`].
pub fn pages_of_rows<K, T>(
    request: &PageRequest<K>,
    rows: &[QueryResult],
    read_row: impl Fn(&QueryResult, usize) -> Result<T, DbErr>,
) -> Result<HashMap<Uuid, Page<T>>, DbErr> {
    const PARENT_COLUMNS: usize = 1;
    let mut rows_of: HashMap<Uuid, Vec<&QueryResult>> = HashMap::new();
    for row in rows {
        rows_of.entry(row.try_get_by_index(0)?).or_default().push(row);
    }
    rows_of
        .into_iter()
        .map(|(parent, rows)| {
            Ok((parent, page(request, PARENT_COLUMNS, rows.into_iter(), &read_row)?))
        })
        .collect()
}

/// The page in rows whose flags begin at the index `flags`.
fn page<'a, K, T>(
    request: &PageRequest<K>,
    flags: usize,
    rows: impl Iterator<Item = &'a QueryResult> + Clone,
    read_row: impl Fn(&QueryResult, usize) -> Result<T, DbErr>,
) -> Result<Page<T>, DbErr> {
    let total = flags + 1;
    let first = total + usize::from(request.with_total);
    let mut has_other_side = false;
    let mut length = None;
    if let Some(row) = rows.clone().next() {
        has_other_side = row.try_get_by_index(flags)?;
        if request.with_total {
            length = u64::try_from(row.try_get_by_index::<i64>(total)?).ok().map(Total::exact);
        }
    }
    let mut read = Vec::with_capacity(request.fetch_limit());
    for row in rows {
        // An empty page is one row without an id, which is the first column of a list.
        if row.try_get_by_index::<Option<Uuid>>(first)?.is_some() {
            read.push(read_row(row, first)?);
        }
    }
    Ok(request.page(FetchedRows { rows: read, has_other_side, total: length }))
}
