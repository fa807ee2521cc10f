//! References for comparison with the server: minimal handlers of one query, without GraphQL, sessions,
//! limits or logs. Each is a process of its own, started from this program again, so that it is measured
//! like the server.
//!
//! References of pages receive the ids of users as `{"ids": […]}`: the viewer's for the list, twenty for the
//! N+1 query. `bytes` receives the server's requests.

pub mod bytes;
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::processes::{LISTENS, Process};
use crate::statements::Statement;
use crate::{Failure, Outcome};
use rows::Rows;

/// The argument that makes this program a reference.
pub const REFERENCE: &str = "reference";

/// Query of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Page {
    List,
    NPlusOne,
}

/// Implementation of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Implementation {
    /// The server's own statements with sqlx, and structs serialized by serde.
    Rows,
    /// As `Rows`, but with a statement for each user's readings and for each reading's cards.
    OneByOne,
    /// One statement that builds the whole response.
    Json,
    /// A prepared response.
    Bytes,
}

/// Start arguments of a reference.
#[derive(Debug, Serialize, Deserialize)]
enum Plan {
    Page(PagePlan),
    Bytes(bytes::StoredResponse),
}

#[derive(Debug, Serialize, Deserialize)]
struct PagePlan {
    url: String,
    page: Page,
    implementation: Implementation,
    statements: Vec<Statement>,
    responses: Vec<String>,
}

/// A request to a reference.
pub fn request(users: &[Uuid]) -> Request {
    Request::with_body(json!({ "ids": users }).to_string())
}

/// Starts a reference with the server's statements for one request, and the server's responses.
pub fn start(
    bench: &Bench,
    page: Page,
    implementation: Implementation,
    statements: &[Statement],
    responses: Vec<String>,
) -> Outcome<Process> {
    let url = bench.url(Database::Full);
    let plan = PagePlan { url, page, implementation, statements: statements.to_vec(), responses };
    start_with(bench, &Plan::Page(plan))
}

fn start_with(bench: &Bench, plan: &Plan) -> Outcome<Process> {
    let file = bench.new_file("json");
    std::fs::write(&file, serde_json::to_vec(plan)?)?;
    let file = file.to_str().ok_or("a folder whose name is no text")?;
    Process::start(&std::env::current_exe()?, &[REFERENCE, file], &[], &bench.files)
}

struct Reference {
    pool: PgPool,
    implementation: Implementation,
    page: Page,
    rows: Rows,
    responses: Vec<Bytes>,
    /// Number of sent responses.
    given: AtomicUsize,
}

#[derive(Deserialize)]
struct UserIds {
    ids: Vec<Uuid>,
}

/// Serves until the process is ended.
pub fn serve(plan: &str) -> Outcome {
    let plan: Plan = serde_json::from_slice(&std::fs::read(plan)?)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let app = match plan {
            Plan::Page(plan) => plan.router().await?,
            Plan::Bytes(stored) => stored.router()?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{REFERENCE} {LISTENS}{}", listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}

impl PagePlan {
    async fn router(self) -> Outcome<Router> {
        // Unlike the server's pool, this one does not test connections.
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_lazy(&self.url)?;
        let reference = Arc::new(Reference {
            pool,
            implementation: self.implementation,
            page: self.page,
            rows: Rows::prepare(&self.url, self.page, self.statements).await?,
            responses: self.responses.into_iter().map(Bytes::from).collect(),
            given: AtomicUsize::new(0),
        });
        Ok(Router::new().route("/graphql", post(respond)).with_state(reference))
    }
}

async fn respond(State(reference): State<Arc<Reference>>, body: Bytes) -> Response {
    match reference.respond(&body).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Reference {
    async fn respond(&self, body: &[u8]) -> Result<Bytes, Failure> {
        let UserIds { ids } = serde_json::from_slice(body)?;
        match self.implementation {
            Implementation::Rows => {
                let mut connection = self.pool.acquire().await?;
                Ok(self.rows.respond(&mut connection, &ids).await?.into())
            }
            Implementation::OneByOne => {
                let mut connection = self.pool.acquire().await?;
                Ok(self.rows.respond_one_by_one(&mut connection, &ids).await?.into())
            }
            Implementation::Json => {
                let text: String = match self.page {
                    Page::List => {
                        let query = sqlx::query_scalar(include_str!("list.sql"));
                        query.bind(ids.first().copied()).fetch_one(&self.pool).await?
                    }
                    Page::NPlusOne => {
                        let query = sqlx::query_scalar(include_str!("nplusone.sql"));
                        query.bind(ids).fetch_one(&self.pool).await?
                    }
                };
                Ok(text.into())
            }
            Implementation::Bytes => {
                let given = self.given.fetch_add(1, Ordering::Relaxed);
                Ok(self.responses[given % self.responses.len()].clone())
            }
        }
    }
}
