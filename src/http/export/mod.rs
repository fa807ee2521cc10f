//! `GET /export/readings.json` and `.csv`: all readings of the signed-in user, however many, in bounded
//! memory. A batch is read after the one before was sent, and no database connection is held while a client
//! is slow. Invariant: an incomplete response ends with an error, so that no client takes it for a complete
//! one.

mod formats;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

use super::client_address::ClientAddress;
use super::graphql::error::{ErrorChain, HttpError};
use super::graphql::response::GraphqlResponse;
use super::request_log::{RequestId, RequestMetrics};
use super::state::App;
use super::viewer::{access_token, check_revocation};
use crate::config::export::EXPORT_CHUNK_BYTES;
use crate::db::exports::ReadingExport;
use crate::db::users::users_by_id;
use crate::db::{DbError, Session};
use crate::graphql::errors::{ApiError, without_user_errors};
use crate::services::exports::ExportPermit;
use crate::services::rate_limits::ClientKey;
use formats::{Format, Writer};

/// Chunks in the channel: the next one is written while one is sent.
const CHUNKS_BUFFERED: usize = 1;

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
            let (sender, receiver) = channel(CHUNKS_BUFFERED);
            let today = app.services.clock.now().date_naive();
            // HEAD has the headers of a GET without its data (RFC 9110, section 9.3.2).
            if parts.method == Method::GET {
                let export = write(app, export, format, sender);
                tokio::spawn(export.instrument(tracing::Span::current()));
            }
            let name = format!("wasteland-tarot-readings-{today}.{}", format.extension());
            respond(format, &name, receiver)
        }
    }
}

/// An export that may begin.
struct Export {
    owner: Uuid,
    client: ClientKey,
    session: Session,
    /// Counts against the limits of exports until it is dropped.
    _turn: ExportPermit,
}

async fn begin(app: &App, parts: &Parts) -> Result<Export, HttpError> {
    if ![Method::GET, Method::HEAD].contains(&parts.method) {
        return Err(HttpError::method_not_allowed("GET, HEAD", "the method must be GET or HEAD"));
    }
    let services = &app.services;
    let access = access_token(&parts.headers, services);
    let address = ClientAddress::of(&parts.extensions);
    let client = match &access {
        Ok(Some(access)) => ClientKey::account(access.user, address),
        Ok(None) | Err(_) => ClientKey::anonymous(address),
    };
    without_user_errors(services.rate_limits.check_request(&client))?;
    let access = access?.ok_or(ApiError::SignInRequired)?;
    let owner = access.user;
    let until = Instant::now() + services.settings.limits.request_timeout;
    check_revocation(app, &access, until).await?;
    let session = app.database.session();
    let viewer = users_by_id(&session, &[owner]).await.map_err(ApiError::from)?;
    session.release().await;
    if !viewer.first().is_some_and(|viewer| viewer.is_active) {
        return Err(ApiError::Unauthenticated.into());
    }
    Ok(Export {
        owner,
        client,
        session,
        _turn: without_user_errors(services.exports.acquire(owner))?,
    })
}

fn respond(format: Format, name: &str, chunks: Receiver<Chunk>) -> Response {
    let mut response = Response::new(Body::from_stream(stream(chunks)));
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    // The statements run while the response is sent, so their metrics are not known yet.
    response.extensions_mut().insert(RequestMetrics::redacted());
    response
}

/// A piece of the response body.
enum Chunk {
    Bytes(Bytes),
    /// End of a complete export.
    End,
}

/// The bytes of the chunks, and an error if the channel closes before [`Chunk::End`].
fn stream(chunks: Receiver<Chunk>) -> impl Stream<Item = io::Result<Bytes>> {
    let bytes = futures_util::stream::unfold(Some(chunks), async |chunks| {
        let mut chunks = chunks?;
        match chunks.recv().await {
            Some(Chunk::Bytes(bytes)) => Some((Ok(bytes), Some(chunks))),
            Some(Chunk::End) => None,
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    });
    // The compression layer polls again after the end.
    bytes.fuse()
}

/// Reason for an incomplete export.
#[derive(Debug, thiserror::Error)]
enum Aborted {
    #[error("the client disconnected")]
    Disconnected,
    #[error("the client read nothing for too long")]
    Idle,
    #[error("a batch took too long to be read")]
    Slow,
    #[error("the server shuts down")]
    Shutdown,
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Writes the export until its end, a failure or the shutdown of the server.
async fn write(app: Arc<App>, export: Export, format: Format, sender: Sender<Chunk>) {
    let written = tokio::select! {
        biased;
        () = app.stopping.cancelled() => Err(Aborted::Shutdown),
        written = write_all(&app, &export, Writer::new(format), &sender) => written,
    };
    let statements = export.session.counters().statements();
    match written {
        Ok(readings) => tracing::info!(readings, statements, "export finished"),
        Err(reason @ (Aborted::Disconnected | Aborted::Idle | Aborted::Shutdown)) => {
            tracing::info!(%reason, statements, "export aborted");
        }
        Err(error @ (Aborted::Slow | Aborted::Database(_))) => {
            tracing::error!(error = %ErrorChain(&error), statements, "export failed");
        }
    }
}

/// Writes all readings and returns their number.
async fn write_all(
    app: &App,
    Export { owner, client, session, .. }: &Export,
    mut writer: Writer,
    sender: &Sender<Chunk>,
) -> Result<usize, Aborted> {
    let settings = &app.services.settings.export;
    let send = async |part| match timeout(settings.idle_timeout, sender.send(part)).await {
        Ok(sent) => sent.map_err(|_| Aborted::Disconnected),
        Err(_) => Err(Aborted::Idle),
    };
    let catalogue = app.services.catalogue();
    let mut readings = ReadingExport::new(*owner, settings.batch);
    let (mut count, mut charged) = (0, Duration::ZERO);
    loop {
        let batch = timeout(settings.batch_timeout, readings.next(session)).await;
        let batch = batch.map_err(|_| Aborted::Slow)??;
        session.release().await;
        let sql_time = session.counters().time();
        app.services.admission.charge(client, sql_time.saturating_sub(charged));
        charged = sql_time;
        let Some(batch) = batch else { break };
        count += batch.len();
        for reading in &batch {
            writer.write(&catalogue, reading);
            if writer.len() >= EXPORT_CHUNK_BYTES {
                send(Chunk::Bytes(writer.take())).await?;
            }
        }
    }
    writer.end();
    send(Chunk::Bytes(writer.take())).await?;
    send(Chunk::End).await?;
    Ok(count)
}
