//! The bytes of a connection, with a bound for every time that it waits for its client.
//!
//! hyper bounds neither the time that a connection may idle nor the time until its first bytes, nor how slowly a
//! client may read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::connections::{ConnectionSettings, LINGER_BUFFER_BYTES};
use crate::config::limits::Limits;

/// Requests of a connection.
#[derive(Default)]
pub(super) struct Requests {
    in_flight: AtomicUsize,
    /// Number of requests so far.
    received: AtomicUsize,
    /// Known from the first request on.
    is_http2: AtomicBool,
}

/// Counts a request in flight until it is dropped, even half-way.
pub(super) struct InFlight(Arc<Requests>);

impl InFlight {
    pub(super) fn enter(requests: &Arc<Requests>, version: Version) -> Self {
        requests.is_http2.store(version == Version::HTTP_2, Ordering::Relaxed);
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

/// A connection with a bounded time in each of its states. Requests have a timeout of their own, and so has each
/// response over HTTP/2 (`stream_progress.rs`).
pub(super) struct BoundedStream {
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
    write_timeout: Duration,
    write_minimum: usize,
    pending_write: Option<PendingWrite>,
}

/// Bytes that the server wants to send and the socket does not take, because the client reads too slowly.
struct PendingWrite {
    /// Bytes taken since the deadline was set.
    taken: usize,
    deadline: Pin<Box<Sleep>>,
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
    pub(super) fn new(
        stream: TcpStream,
        requests: Arc<Requests>,
        limits: &Limits,
        settings: &ConnectionSettings,
    ) -> Self {
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
            write_timeout: settings.write_timeout,
            write_minimum: settings.write_minimum,
            pending_write: None,
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
            // Also from Idle: the time begins anew with each response.
            self.state = ConnectionState::Idle;
            self.set_deadline();
        }
        is_in_flight
    }

    /// State after bytes of the client arrived while no request was in flight. Over HTTP/1 a request has begun.
    /// Over HTTP/2 an idle client sends PING, SETTINGS and `WINDOW_UPDATE` frames, which neither begin a request nor
    /// give it more time.
    fn enter_state_after_read(&mut self) {
        let is_http2 = self.requests.is_http2.load(Ordering::Relaxed);
        if !(is_http2 && self.state == ConnectionState::Idle) {
            self.enter(ConnectionState::ReadingHeader);
        }
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

    /// Bytes moved: the wait for the response begins anew. A response that the client still takes may have left
    /// hyper already.
    fn moved(&mut self) {
        let is_taking = self.pending_write.is_some() && self.state == ConnectionState::Idle;
        if self.state == ConnectionState::AwaitingResponse || is_taking {
            self.set_deadline();
        }
    }

    /// Bounds the wait for a client that does not read: within each write timeout it must take the minimum of
    /// bytes, or all that waits to be sent.
    fn poll_written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let timeout = self.write_timeout;
        let until = || Instant::now() + timeout;
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.moved();
                if let Some(pending) = &mut self.pending_write {
                    pending.taken += bytes;
                    if pending.taken >= self.write_minimum {
                        pending.taken = 0;
                        pending.deadline.as_mut().reset(until());
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let pending = self.pending_write.get_or_insert_with(|| PendingWrite {
                    taken: 0,
                    deadline: Box::pin(sleep_until(until())),
                });
                ready!(pending.deadline.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
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
                    this.enter_state_after_read();
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
        self.poll_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.poll_written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once all that it wanted to send was taken.
        self.pending_write = None;
        Pin::new(&mut self.stream).poll_flush(context)
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
