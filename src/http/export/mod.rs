//! `GET /export/readings.json` and `.csv`: all readings of the signed-in user, however many, in bounded
//! memory. A batch is read when the one before has been handed over, and no connection to the
//! database is held while a client is slow. Invariant: an answer that is not whole ends with an error,
//! so that nobody takes it for one that is.

mod formats;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;
use tracing::Instrument;
use uuid::Uuid;

use super::App;
use super::graphql::{ErrorChain, GraphqlResponse, HttpError};
use super::request_log::{RequestId, RequestMetrics};
use super::viewer::{access_token, caller};
use crate::config::export::EXPORT_CHUNK_BYTES;
use crate::db::exports::ReadingsOfOwner;
use crate::db::users::users_by_id;
use crate::db::{DbError, Session};
use crate::graphql::errors::{ApiError, settled};
use crate::services::exports::ExportTurn;
use crate::services::throttle::Key;
use formats::{Format, Writer};

/// Parts that wait for the client: the next one is made while one is sent.
const PARTS_WAITING: usize = 1;

/// `/export/readings.json`, any method.
pub async fn readings_json(
    state: State<Arc<App>>,
    id: Extension<RequestId>,
    request: Request,
) -> Response {
    handle(state, id, Format::Json, request).await
}

/// `/export/readings.csv`, any method.
pub async fn readings_csv(
    state: State<Arc<App>>,
    id: Extension<RequestId>,
    request: Request,
) -> Response {
    handle(state, id, Format::Csv, request).await
}

async fn handle(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    format: Format,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    match begin(&app, &parts).await {
        Err(error) => GraphqlResponse::from(error).into_response(&id),
        Ok(export) => {
            let (sender, receiver) = channel(PARTS_WAITING);
            let today = app.services.clock.now().date_naive();
            tokio::spawn(write(app, export, format, sender).instrument(tracing::Span::current()));
            let name = format!("wasteland-tarot-readings-{today}.{}", format.extension());
            respond(format, &name, receiver)
        }
    }
}

/// What may be written for whom.
struct Export {
    owner: Uuid,
    session: Session,
    _turn: ExportTurn,
}

async fn begin(app: &App, parts: &Parts) -> Result<Export, HttpError> {
    if parts.method != Method::GET {
        return Err(HttpError::method_not_allowed("GET", "the method must be GET"));
    }
    let services = &app.services;
    let access = access_token(&parts.headers, &services.tokens);
    let key = match &access {
        Ok(Some(access)) => Key::Account(access.user),
        Ok(None) | Err(_) => Key::address(caller(parts, &services.settings).address),
    };
    settled(services.throttle.request(key))?;
    let owner = access?.ok_or(ApiError::SignInRequired)?.user;
    let session = app.database.session();
    let viewer = users_by_id(&session, &[owner]).await.map_err(ApiError::from)?;
    session.release().await;
    if !viewer.first().is_some_and(|viewer| viewer.is_active) {
        return Err(ApiError::Unauthenticated.into());
    }
    Ok(Export { owner, session, _turn: settled(services.exports.begin(owner))? })
}

fn respond(format: Format, name: &str, parts: Receiver<Part>) -> Response {
    let mut response = Response::new(Body::from_stream(stream(parts)));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    // What it costs is not known yet.
    let figures = RequestMetrics { redacted: true, ..RequestMetrics::default() };
    response.extensions_mut().insert(figures);
    response
}

/// A part of the answer.
enum Part {
    Bytes(Bytes),
    /// There is no more, and all of it was there.
    End,
}

/// The parts, and an error if they stop before the end.
fn stream(parts: Receiver<Part>) -> impl Stream<Item = io::Result<Bytes>> {
    let parts = futures_util::stream::unfold(Some(parts), async |parts| {
        let mut parts = parts?;
        match parts.recv().await {
            Some(Part::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Some(Part::End) => None,
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    });
    // What compresses it asks again after the end.
    parts.fuse()
}

/// Why an answer is not whole.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("the client went away")]
    Gone,
    #[error("the client took nothing for too long")]
    Idle,
    #[error("a batch took too long to be read")]
    Slow,
    #[error("the server stops")]
    Stopping,
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Writes the whole export, or cuts it.
async fn write(app: Arc<App>, export: Export, format: Format, sender: Sender<Part>) {
    let written = tokio::select! {
        biased;
        () = app.stopping.cancelled() => Err(Cut::Stopping),
        written = write_all(&app, &export, Writer::new(format), &sender) => written,
    };
    let statements = export.session.count().statements();
    match written {
        Ok(readings) => tracing::info!(readings, statements, "exported readings"),
        Err(cut @ (Cut::Gone | Cut::Idle | Cut::Stopping)) => {
            tracing::info!(reason = %cut, statements, "an export was cut");
        }
        Err(cut @ (Cut::Slow | Cut::Database(_))) => {
            tracing::error!(error = %ErrorChain(&cut), statements, "an export failed");
        }
    }
}

/// Answers how many readings there were.
async fn write_all(
    app: &App,
    Export { owner, session, .. }: &Export,
    mut writer: Writer,
    sender: &Sender<Part>,
) -> Result<usize, Cut> {
    let settings = &app.services.settings.export;
    let send = async |part| match timeout(settings.idle_timeout, sender.send(part)).await {
        Ok(sent) => sent.map_err(|_| Cut::Gone),
        Err(_) => Err(Cut::Idle),
    };
    let catalogue = app.services.catalogue();
    let mut readings = ReadingsOfOwner::new(*owner, settings.batch);
    let mut count = 0;
    loop {
        let batch = timeout(settings.batch_timeout, readings.next(session)).await;
        let batch = batch.map_err(|_| Cut::Slow)??;
        session.release().await;
        let Some(batch) = batch else { break };
        count += batch.len();
        for whole in &batch {
            writer.write(&catalogue, whole);
            if writer.len() >= EXPORT_CHUNK_BYTES {
                send(Part::Bytes(writer.take())).await?;
            }
        }
    }
    writer.end();
    send(Part::Bytes(writer.take())).await?;
    send(Part::End).await?;
    Ok(count)
}
