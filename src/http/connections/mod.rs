//! Connections: their number, the time of each wait and the bytes that they hold are bounded, so that slow or
//! silent clients cannot lock others out.

mod bounded_stream;
mod stream_progress;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::address_quota::{AddressQuota, AddressShare};
use super::client_address::PeerAddress;
use super::response_budget::{ConnectionBudget, ResponseBudget};
use super::state::App;
use crate::config::connections::{
    ACCEPT_RETRY, ADDRESS_WARNING_INTERVAL, METRICS_CONNECTIONS_MAXIMUM, STREAM_ERRORS_MAXIMUM,
    STREAM_QUEUE_BYTES,
};
use crate::domain::lock::lock;
use bounded_stream::{BoundedStream, InFlight, Requests};
use stream_progress::{ResponseBody, StreamExecutor};

/// The connections of one listener, and their bounds.
pub struct Connections {
    app: Arc<App>,
    permits: Arc<Semaphore>,
    kind: Kind,
    warned_at: Mutex<Option<Instant>>,
}

/// Clients of a listener.
enum Kind {
    /// Anybody: each address may have a share of the connections.
    Public { addresses: Arc<AddressQuota> },
    /// Programs of the operator, whose responses are small.
    Internal,
}

/// An accepted connection. Counts against the limits until it is dropped.
struct Accepted {
    stream: TcpStream,
    peer: PeerAddress,
    budget: Option<ConnectionBudget>,
    _permit: OwnedSemaphorePermit,
    _share: Option<AddressShare>,
}

impl Connections {
    /// Those of `LISTEN`.
    #[must_use]
    pub fn public(app: &Arc<App>) -> Arc<Self> {
        let settings = &app.services.settings;
        let addresses = AddressQuota::new(settings.connections.per_address);
        Self::new(app, settings.limits.connections, Kind::Public { addresses })
    }

    /// Those of `METRICS_LISTEN`: full or not, they take nothing from clients.
    #[must_use]
    pub fn internal(app: &Arc<App>) -> Arc<Self> {
        Self::new(app, METRICS_CONNECTIONS_MAXIMUM, Kind::Internal)
    }

    fn new(app: &Arc<App>, maximum: usize, kind: Kind) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(maximum));
        Arc::new(Self { app: Arc::clone(app), permits, kind, warned_at: Mutex::default() })
    }

    /// Serves until `stop` is done, then waits for the requests in flight until the time that it returns. Returns
    /// true if all of them have finished.
    pub async fn serve<R, F>(
        self: Arc<Self>,
        listener: TcpListener,
        respond: R,
        stop: impl Future<Output = Instant>,
    ) -> bool
    where
        R: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response, Infallible>> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        let deadline = loop {
            let accepted = tokio::select! {
                deadline = &mut stop => break deadline,
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok(Some(accepted)) => {
                    let (watcher, respond) = (graceful.watcher(), respond.clone());
                    let connections = Arc::clone(&self);
                    tokio::spawn(async move {
                        connections.serve_connection(accepted, respond, watcher).await;
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        };
        drop(listener);
        timeout_at(deadline, graceful.shutdown()).await.is_ok()
    }

    /// The next connection; `None` for one above the limit of its address. That one is closed at once: a response
    /// would need what is short, a place for as long as the client takes to send its request and to read.
    async fn accept(&self, listener: &TcpListener) -> io::Result<Option<Accepted>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, address) = listener.accept().await?;
        let (budget, share) = match &self.kind {
            Kind::Internal => (None, None),
            Kind::Public { .. } if self.app.client_addresses.is_trusted(address.ip()) => {
                (Some(ResponseBudget::of_proxy()), None)
            }
            Kind::Public { addresses } => {
                let Some(share) = addresses.acquire(address.ip(), 1) else {
                    self.warn_of(PeerAddress(address));
                    return Ok(None);
                };
                (Some(self.app.response_budget.of_connection()), Some(share))
            }
        };
        stream.set_nodelay(true)?;
        let peer = PeerAddress(address);
        Ok(Some(Accepted { stream, peer, budget, _permit: permit, _share: share }))
    }

    /// Logs a connection above the limit of its address, and not each one.
    fn warn_of(&self, PeerAddress(address): PeerAddress) {
        let mut warned_at = lock(&self.warned_at);
        if warned_at.is_some_and(|warned| warned.elapsed() < ADDRESS_WARNING_INTERVAL) {
            return;
        }
        *warned_at = Some(Instant::now());
        tracing::warn!(
            address = %address.ip(),
            "an address has MAX_CONNECTIONS_PER_ADDRESS connections; further ones are closed. If it is a proxy, \
             name it in TRUSTED_PROXIES"
        );
    }

    async fn serve_connection<R, F>(&self, accepted: Accepted, respond: R, watcher: Watcher)
    where
        R: Fn(Request) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response, Infallible>> + Send + 'static,
    {
        let Accepted { stream, peer, budget, _permit, _share } = accepted;
        let settings = &self.app.services.settings;
        let requests = Arc::new(Requests::default());
        let stream = BoundedStream::new(
            stream,
            Arc::clone(&requests),
            &settings.limits,
            &settings.connections,
        );
        let leaving = self.app.leaving.clone();
        let handler = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            if let Some(budget) = &budget {
                request.extensions_mut().insert(budget.clone());
            }
            let version = request.version();
            let in_flight = InFlight::enter(&requests, version);
            // On the heap, and freed once the response begins: a client may hold thousands of streams open.
            let response = Box::pin(respond(request.map(Body::new)));
            let leaving = leaving.clone();
            async move {
                let mut response = response.await?;
                if leaving.is_cancelled() && version < Version::HTTP_2 {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, in_flight)))
            }
        });
        let mut builder = auto::Builder::new(StreamExecutor::new(&settings.connections));
        // A client may close its side of the connection once its request is sent, and still gets the response
        // (RFC 9293, section 3.6).
        builder.http1().timer(TokioTimer::new()).header_read_timeout(None).half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_send_buf_size(STREAM_QUEUE_BYTES)
            .max_concurrent_streams(settings.connections.streams)
            .max_pending_accept_reset_streams(settings.connections.reset_streams)
            .max_local_error_reset_streams(STREAM_ERRORS_MAXIMUM);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler);
        // A client that disconnects or breaks the protocol is no event for operators.
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "connection ended early");
        }
    }
}
