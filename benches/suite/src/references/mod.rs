//! What the server is compared with: handlers that answer one question with as little as that takes,
//! without GraphQL, sessions, limits or logs. Each is a process of its own, started from this program
//! again, so that it is measured like the server.
//!
//! Those of pages are sent the ids of users as `{"ids": […]}`: the viewer's for the list, twenty for the
//! N+1 killer. `bytes` is sent what the server is.

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

/// Which question a reference answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Page {
    List,
    Killer,
}

/// How it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// The server's own statements with sqlx, and structs that serde writes.
    Rows,
    /// The same, but a statement for each user's readings and for each reading's cards.
    OneByOne,
    /// One statement that builds the whole answer, which is passed on.
    Json,
    /// An answer that was made before.
    Bytes,
}

/// What a reference is started with.
#[derive(Debug, Serialize, Deserialize)]
enum Plan {
    Page(PagePlan),
    Kept(bytes::Kept),
}

#[derive(Debug, Serialize, Deserialize)]
struct PagePlan {
    url: String,
    page: Page,
    manner: Manner,
    statements: Vec<Statement>,
    answers: Vec<String>,
}

/// A request to a reference.
pub fn request(users: &[Uuid]) -> Request {
    Request::of_body(json!({ "ids": users }).to_string())
}

/// Starts one. It is given the server's statements for some request, and the server's answers.
pub fn start(
    bench: &Bench,
    page: Page,
    manner: Manner,
    statements: &[Statement],
    answers: Vec<String>,
) -> Outcome<Process> {
    let url = bench.url(Database::Full);
    let plan = PagePlan { url, page, manner, statements: statements.to_vec(), answers };
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
    manner: Manner,
    page: Page,
    rows: Rows,
    answers: Vec<Bytes>,
    /// How many answers were given.
    given: AtomicUsize,
}

#[derive(Deserialize)]
struct Asked {
    ids: Vec<Uuid>,
}

/// Serves until the process is ended.
pub fn serve(plan: &str) -> Outcome {
    let plan: Plan = serde_json::from_slice(&std::fs::read(plan)?)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let app = match plan {
            Plan::Page(plan) => plan.router().await?,
            Plan::Kept(kept) => kept.router()?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{REFERENCE} {LISTENS}{}", listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}

impl PagePlan {
    async fn router(self) -> Outcome<Router> {
        // What the server's pool does not do: a connection is trusted to be there still.
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_lazy(&self.url)?;
        let reference = Arc::new(Reference {
            pool,
            manner: self.manner,
            page: self.page,
            rows: Rows::prepare(&self.url, self.page, self.statements).await?,
            answers: self.answers.into_iter().map(Bytes::from).collect(),
            given: AtomicUsize::new(0),
        });
        Ok(Router::new().route("/graphql", post(answer)).with_state(reference))
    }
}

async fn answer(State(reference): State<Arc<Reference>>, body: Bytes) -> Response {
    match reference.answer(&body).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Reference {
    async fn answer(&self, body: &[u8]) -> Result<Bytes, Failure> {
        let Asked { ids } = serde_json::from_slice(body)?;
        match self.manner {
            Manner::Rows => {
                let mut connection = self.pool.acquire().await?;
                Ok(self.rows.answer(&mut connection, &ids).await?.into())
            }
            Manner::OneByOne => {
                let mut connection = self.pool.acquire().await?;
                Ok(self.rows.answer_one_by_one(&mut connection, &ids).await?.into())
            }
            Manner::Json => {
                let text: String = match self.page {
                    Page::List => {
                        let query = sqlx::query_scalar(include_str!("list.sql"));
                        query.bind(ids.first().copied()).fetch_one(&self.pool).await?
                    }
                    Page::Killer => {
                        let query = sqlx::query_scalar(include_str!("killer.sql"));
                        query.bind(ids).fetch_one(&self.pool).await?
                    }
                };
                Ok(text.into())
            }
            Manner::Bytes => {
                let given = self.given.fetch_add(1, Ordering::Relaxed);
                Ok(self.answers[given % self.answers.len()].clone())
            }
        }
    }
}
