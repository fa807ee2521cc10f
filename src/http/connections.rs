//! Connections: their number and the time of each wait are bounded, so that slow or silent clients cannot
//! lock others out.
//!
//! hyper bounds neither the time that a connection may idle nor the time until its first bytes, so both are
//! bounded here, where the bytes are read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::client_address::PeerAddress;
use super::fast_path::FastPath;
use crate::config::limits::{ACCEPT_RETRY, LINGER_BUFFER_BYTES, Limits, STREAMS_MAXIMUM};

/// Serves until `stop` is done, then waits for the requests in flight, for at most
/// `limits.shutdown_timeout`. Returns true if all of them have finished.
pub async fn serve(
    listener: TcpListener,
    service: FastPath,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> bool {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (service, limits) = (service.clone(), limits.clone());
        tokio::spawn(async move { serve_connection(accepted, service, &limits, watcher).await });
    }
    drop(listener);
    timeout(limits.shutdown_timeout, graceful.shutdown()).await.is_ok()
}

/// An accepted connection.
struct Accepted {
    stream: TcpStream,
    peer: PeerAddress,
    /// Counts against `limits.connections` until it is dropped.
    permit: OwnedSemaphorePermit,
}

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> io::Result<Accepted> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(Accepted { stream, peer: PeerAddress(address), permit })
}

async fn serve_connection(
    Accepted { stream, peer, permit: _permit }: Accepted,
    service: FastPath,
    limits: &Limits,
    watcher: Watcher,
) {
    let requests = Arc::new(Requests::default());
    let stream = BoundedStream::new(stream, Arc::clone(&requests), limits);
    let handler = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let service = service.clone();
        let in_flight = InFlight::enter(&requests);
        async move {
            let response = service.respond(request.map(Body::new)).await?;
            // The request is in flight until the last byte of its body is produced.
            Ok::<_, std::convert::Infallible>(response.map(|body| {
                body.map_frame(move |frame| {
                    let _in_flight = &in_flight;
                    frame
                })
            }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client may close its side of the connection once its request is sent, and still gets the response
    // (RFC 9293, section 3.6).
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).half_close(true);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAXIMUM);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), handler);
    // A client that disconnects or breaks the protocol is no event for operators.
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Requests of a connection.
#[derive(Default)]
struct Requests {
    in_flight: AtomicUsize,
    /// Number of requests so far.
    received: AtomicUsize,
}

/// Counts a request in flight until it is dropped, even half-way.
struct InFlight(Arc<Requests>);

impl InFlight {
    fn enter(requests: &Arc<Requests>) -> Self {
        requests.received.fetch_add(1, Ordering::Relaxed);
        requests.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(requests))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection with a bounded time without a byte in either direction. Requests have a timeout of their own,
/// but a client of HTTP/2 can forbid the server to send its response.
struct BoundedStream {
    stream: TcpStream,
    requests: Arc<Requests>,
    /// Requests received until the last read.
    received: usize,
    header_timeout: Duration,
    idle_timeout: Duration,
    response_timeout: Duration,
    linger_timeout: Duration,
    state: ConnectionState,
    /// True once the client has closed its side.
    has_ended: bool,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

/// State of a connection: the event that it waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    /// The rest of the header of a request, or the first one.
    ReadingHeader,
    /// The next request.
    Idle,
    /// The response, or the client that reads it.
    AwaitingResponse,
    /// The end of what the client sends, after the last response.
    Lingering,
}

impl BoundedStream {
    fn new(stream: TcpStream, requests: Arc<Requests>, limits: &Limits) -> Self {
        Self {
            stream,
            requests,
            received: 0,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            response_timeout: limits.request_timeout + limits.idle_timeout,
            linger_timeout: limits.linger_timeout,
            state: ConnectionState::ReadingHeader,
            has_ended: false,
            deadline: Box::pin(sleep_until(Instant::now() + limits.header_timeout)),
            write_deadline: None,
        }
    }

    fn enter(&mut self, state: ConnectionState) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.set_deadline();
    }

    fn set_deadline(&mut self) {
        let bound = match self.state {
            ConnectionState::ReadingHeader => self.header_timeout,
            ConnectionState::Idle => self.idle_timeout,
            ConnectionState::AwaitingResponse => self.response_timeout,
            ConnectionState::Lingering => self.linger_timeout,
        };
        self.deadline.as_mut().reset(Instant::now() + bound);
    }

    /// Enters the state that follows from the requests; returns true if one is in flight.
    fn enter_state_of_requests(&mut self) -> bool {
        let is_in_flight = self.requests.in_flight.load(Ordering::Relaxed) > 0;
        let received = self.requests.received.load(Ordering::Relaxed);
        // hyper reads nothing from a connection of HTTP/1 that awaits a response, so a request may have been
        // received and answered since the last read.
        let has_responded =
            self.state == ConnectionState::AwaitingResponse || self.received != received;
        self.received = received;
        if is_in_flight {
            self.enter(ConnectionState::AwaitingResponse);
        } else if has_responded {
            self.enter(ConnectionState::Idle);
        }
        is_in_flight
    }

    /// Reads until the client has closed its side as well, for a bounded time. A connection that is closed
    /// while bytes of the client arrive is reset, and a reset may destroy the response before the client has
    /// read it (RFC 9112, section 9.6).
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut discarded = [0; LINGER_BUFFER_BYTES];
        // First, because a client that sends all the time would use up the turn of this task.
        while self.deadline.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Bytes moved: the wait for the response begins anew.
    fn moved(&mut self) {
        if self.state == ConnectionState::AwaitingResponse {
            self.set_deadline();
        }
    }

    /// Bounds the wait for a client that does not read: it is as silent as one that sends nothing.
    fn poll_written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let bound = self.idle_timeout;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + bound)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let is_in_flight = this.enter_state_of_requests();
        let (filled, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                this.has_ended |= has_room && buffer.filled().len() == filled;
                if is_in_flight {
                    this.moved();
                } else {
                    this.enter(ConnectionState::ReadingHeader);
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(this.deadline.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.moved();
        }
        self.poll_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        if written.is_ready() {
            self.moved();
        }
        self.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.poll_written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.state != ConnectionState::Lingering {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            // Nothing of the client can be on its way, or at most a request that it will send again.
            if this.has_ended || this.state == ConnectionState::Idle {
                return Poll::Ready(Ok(()));
            }
            this.enter(ConnectionState::Lingering);
        }
        this.poll_linger(context)
    }
}
