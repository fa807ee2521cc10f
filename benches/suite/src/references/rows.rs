//! The server's statements, run with sqlx; structs borrow from their rows and are serialized by serde.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Parser;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;
use wasteland_tarot::config::Settings;
use wasteland_tarot::db::Database;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::catalogue::Catalogue;

use super::Page;
use crate::statements::Statement;
use crate::{Failure, Outcome};

/// The statements, and the reference data, which the server has in memory too.
pub struct Rows {
    page: Page,
    users: PreparedStatement,
    readings: PreparedStatement,
    drawn_cards: PreparedStatement,
    catalogue: Catalogue,
}

/// A statement and the kinds of its parameters.
struct PreparedStatement {
    sql: &'static str,
    values: Vec<ParameterKind>,
}

#[derive(Clone, Copy)]
enum ParameterKind {
    /// Id of the viewer.
    Id,
    /// Ids of users or readings.
    Ids,
    Number(i64),
}

impl PreparedStatement {
    /// The statement on this table, with the observed values.
    fn of(statements: &[Statement], table: &str) -> Outcome<Self> {
        let from = format!("FROM \"{table}\"");
        let statement = statements
            .iter()
            .find(|statement| statement.sql.contains(&from))
            .ok_or_else(|| format!("the server reads no {table}"))?;
        let given = |value: &String| match value.parse() {
            Ok(number) => Ok(ParameterKind::Number(number)),
            Err(_) if value.starts_with('{') => Ok(ParameterKind::Ids),
            Err(_) if value.parse::<Uuid>().is_ok() => Ok(ParameterKind::Id),
            Err(_) => Err(format!("{value:?} is neither a number, an id nor ids")),
        };
        Ok(Self {
            sql: statement.sql.clone().leak(),
            values: statement.values.iter().map(given).collect::<Result<_, _>>()?,
        })
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        user: Option<Uuid>,
        ids: &[Uuid],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut query = sqlx::query(AssertSqlSafe(self.sql));
        for value in &self.values {
            query = match value {
                ParameterKind::Id => query.bind(user),
                ParameterKind::Ids => query.bind(ids),
                ParameterKind::Number(number) => query.bind(number),
            };
        }
        query.fetch_all(connection).await
    }

    /// The last limit of the statement: one more than the page size.
    fn limit(&self) -> Option<usize> {
        let (_, rest) = self.sql.rsplit_once("LIMIT ")?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }
}

#[derive(Parser)]
struct SettingsOfReference {
    #[command(flatten)]
    settings: Settings,
}

#[derive(Serialize)]
struct GraphqlResponse<T> {
    data: T,
}

#[derive(Serialize)]
struct ViewerData<'a> {
    viewer: Viewer<'a>,
}

#[derive(Serialize)]
struct Viewer<'a> {
    readings: Connection<'a>,
}

#[derive(Serialize)]
struct NodesData<'a> {
    nodes: Vec<User<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User<'a> {
    id: String,
    username: &'a str,
    display_name: Option<&'a str>,
    readings: Connection<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection<'a> {
    page_info: PageInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edges: Vec<Edge<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Reading<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

#[derive(Serialize)]
struct Edge<'a> {
    cursor: String,
    node: Reading<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reading<'a> {
    id: String,
    question: &'a str,
    created_at: String,
    #[serde(flatten)]
    more: Option<More<'a>>,
    spread: Spread<'a>,
    cards: Vec<DrawnCard<'a>>,
}

/// Fields of the list that the N+1 query does not select.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct More<'a> {
    karma_context: String,
    character_voice: String,
    tags: Vec<String>,
    is_favorite: bool,
    summary: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spread<'a> {
    name: &'a str,
    display_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DrawnCard<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i16>,
    orientation: String,
    position_name: String,
    card: Card<'a>,
}

#[derive(Serialize)]
struct Card<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suit: Option<String>,
}

#[derive(Deserialize)]
struct Localized {
    en: String,
}

type RowsOf<'a> = HashMap<Uuid, Vec<&'a PgRow>>;

/// Rows by the id in that column, in their order.
fn group<'a>(
    rows: impl IntoIterator<Item = &'a PgRow>,
    column: &str,
) -> Result<RowsOf<'a>, sqlx::Error> {
    let mut groups = RowsOf::new();
    for row in rows {
        groups.entry(row.try_get(column)?).or_default().push(row);
    }
    Ok(groups)
}

fn id_of(row: &PgRow) -> Result<Uuid, sqlx::Error> {
    row.try_get("id")
}

impl Rows {
    /// Assigns the statements and loads the reference data.
    pub async fn prepare(url: &str, page: Page, statements: Vec<Statement>) -> Outcome<Self> {
        let settings =
            SettingsOfReference::try_parse_from(["reference", "--database-url", url])?.settings;
        let database = Database::connect(&settings).await?;
        let catalogue = Catalogue::load(&database.session()).await?;
        database.close().await;
        Ok(Self {
            page,
            users: PreparedStatement::of(&statements, "users")?,
            readings: PreparedStatement::of(&statements, "reading_sessions")?,
            drawn_cards: PreparedStatement::of(&statements, "reading_cards")?,
            catalogue,
        })
    }

    /// In three statements.
    pub async fn respond(
        &self,
        connection: &mut PgConnection,
        users: &[Uuid],
    ) -> Result<Vec<u8>, Failure> {
        let viewer = users.first().copied();
        let user_rows = self.users.rows(connection, viewer, users).await?;
        let reading_rows = self.readings.rows(connection, viewer, users).await?;
        let readings_of = group(&reading_rows, "parent")?;
        let ids: Vec<Uuid> = readings_of
            .values()
            .flat_map(|page| page.iter().take(self.page_size()))
            .map(|row| id_of(row))
            .collect::<Result<_, _>>()?;
        let drawn_rows = self.drawn_cards.rows(connection, viewer, &ids).await?;
        let drawn_of = group(&drawn_rows, "reading_id")?;
        self.write(users, &user_rows, &readings_of, &drawn_of)
    }

    /// A statement for the users, one for the readings of each, one for the cards of each reading.
    pub async fn respond_one_by_one(
        &self,
        connection: &mut PgConnection,
        users: &[Uuid],
    ) -> Result<Vec<u8>, Failure> {
        let viewer = users.first().copied();
        let user_rows = self.users.rows(connection, viewer, users).await?;
        let (mut reading_rows, mut drawn_rows) = (Vec::new(), Vec::new());
        for user in users {
            let rows = self.readings.rows(connection, viewer, &[*user]).await?;
            for row in rows.iter().take(self.page_size()) {
                drawn_rows.extend(self.drawn_cards.rows(connection, viewer, &[id_of(row)?]).await?);
            }
            reading_rows.extend(rows);
        }
        let readings_of = group(&reading_rows, "parent")?;
        let drawn_of = group(&drawn_rows, "reading_id")?;
        self.write(users, &user_rows, &readings_of, &drawn_of)
    }

    fn page_size(&self) -> usize {
        self.readings.limit().unwrap_or(1) - 1
    }

    fn write(
        &self,
        users: &[Uuid],
        user_rows: &[PgRow],
        readings_of: &RowsOf<'_>,
        drawn_of: &RowsOf<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let connection = |user: &Uuid| {
            self.connection(readings_of.get(user).map_or(&[], Vec::as_slice), drawn_of)
        };
        let user_of = group(user_rows, "id")?;
        if self.page == Page::List {
            let viewer = users.first().filter(|user| user_of.contains_key(*user));
            let readings = connection(viewer.ok_or("there is no such user")?)?;
            let data = ViewerData { viewer: Viewer { readings } };
            return Ok(serde_json::to_vec(&GraphqlResponse { data })?);
        }
        let mut nodes = Vec::with_capacity(users.len());
        for id in users {
            let row = user_of.get(id).and_then(|rows| rows.first()).ok_or("a user is missing")?;
            nodes.push(User {
                id: GlobalId::User(*id).encode().0,
                username: row.try_get("username")?,
                display_name: row.try_get("display_name")?,
                readings: connection(id)?,
            });
        }
        Ok(serde_json::to_vec(&GraphqlResponse { data: NodesData { nodes } })?)
    }

    fn connection<'a>(
        &'a self,
        rows: &[&'a PgRow],
        drawn_of: &RowsOf<'a>,
    ) -> Result<Connection<'a>, Failure> {
        let size = self.page_size();
        let page = &rows[..rows.len().min(size)];
        let readings: Vec<Reading<'a>> =
            page.iter().map(|row| self.reading(row, drawn_of)).collect::<Result<_, _>>()?;
        let page_info = PageInfo {
            has_next_page: rows.len() > size,
            end_cursor: page.last().map(|row| cursor_of(row)).transpose()?,
        };
        if self.page == Page::NPlusOne {
            return Ok(Connection { page_info, edges: Vec::new(), nodes: readings });
        }
        let mut edges = Vec::with_capacity(readings.len());
        for (row, node) in page.iter().zip(readings) {
            edges.push(Edge { cursor: cursor_of(row)?, node });
        }
        Ok(Connection { page_info, edges, nodes: Vec::new() })
    }

    fn reading<'a>(
        &'a self,
        row: &'a PgRow,
        drawn_of: &RowsOf<'a>,
    ) -> Result<Reading<'a>, Failure> {
        let is_list = self.page == Page::List;
        let id = id_of(row)?;
        let spread = self.catalogue.spread(row.try_get("spread_template_id")?);
        let spread = spread.ok_or("a spread is missing")?;
        let more = if is_list {
            let Json(tags) = row.try_get::<Json<Vec<String>>, _>("tags")?;
            Some(More {
                karma_context: row.try_get::<&str, _>("karma_context")?.to_uppercase(),
                character_voice: row.try_get::<&str, _>("character_voice")?.to_uppercase(),
                tags,
                is_favorite: row.try_get("is_favorite")?,
                summary: row.try_get("summary")?,
            })
        } else {
            None
        };
        let drawn = drawn_of.get(&id).map_or(&[][..], Vec::as_slice);
        Ok(Reading {
            id: GlobalId::Reading(id).encode().0,
            question: row.try_get("question")?,
            created_at: row
                .try_get::<DateTime<Utc>, _>("created_at")?
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            more,
            spread: Spread {
                name: &spread.name,
                display_name: &spread.texts.get(Locale::En).display_name,
            },
            cards: drawn.iter().map(|row| self.drawn_card(row)).collect::<Result<_, _>>()?,
        })
    }

    fn drawn_card<'a>(&'a self, row: &'a PgRow) -> Result<DrawnCard<'a>, Failure> {
        let is_list = self.page == Page::List;
        let card = self.catalogue.card(row.try_get("card_id")?).ok_or("a card is missing")?;
        let Json(position_name) = row.try_get::<Json<Localized>, _>("position_name")?;
        Ok(DrawnCard {
            position: is_list.then(|| row.try_get("position_number")).transpose()?,
            orientation: row.try_get::<&str, _>("orientation")?.to_uppercase(),
            position_name: position_name.en,
            card: Card {
                code: is_list.then_some(&card.code),
                name: &card.texts.get(Locale::En).name,
                suit: is_list.then(|| card.suit.as_str().to_uppercase()),
            },
        })
    }
}

fn cursor_of(row: &PgRow) -> Result<String, sqlx::Error> {
    let created_at: DateTime<Utc> = row.try_get("created_at")?;
    let (time, id) = (created_at.timestamp_micros(), id_of(row)?);
    let text = format!("1|User.readings:CREATED_AT:DESC|{time},{}", id.simple());
    Ok(URL_SAFE_NO_PAD.encode(text))
}
