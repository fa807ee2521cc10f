//! Accepting connections: their number and the time that each may take are bounded, so that slow or
//! silent clients cannot keep others out.
//!
//! hyper bounds neither how long a connection may idle nor how long its first bytes may take, so
//! both are kept where the bytes are read.

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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::graphql::FastPath;
use super::viewer::Peer;
use crate::config::limits::Limits;

/// Requests that one HTTP/2 connection may have in flight.
const STREAMS_MAXIMUM: u32 = 100;
/// After a failed accept (no file descriptors left, say) it is tried again this much later.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until `stop` is done, then waits for the requests in flight, for as long as the limits
/// allow. Answers whether all were finished.
pub async fn serve(
    listener: TcpListener,
    front: FastPath,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> bool {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (front, limits) = (front.clone(), limits.clone());
        tokio::spawn(async move {
            serve_connection((stream, peer), front, &limits, watcher).await;
            drop(slot);
        });
    }
    drop(listener);
    timeout(limits.shutdown_timeout, graceful.shutdown()).await.is_ok()
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, Peer(address), slot))
}

async fn serve_connection(
    (stream, peer): (TcpStream, Peer),
    front: FastPath,
    limits: &Limits,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let in_flight = Arc::new(AtomicUsize::new(0));
    let stream = BoundedStream::new(stream, Arc::clone(&in_flight), limits);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let front = front.clone();
        let in_flight = InFlight::enter(&in_flight);
        async move {
            let response = front.answer(request.map(Body::new)).await?;
            // The request is being answered until its last byte is made.
            Ok::<_, std::convert::Infallible>(response.map(|body| {
                body.map_frame(move |frame| {
                    let _answering = &in_flight;
                    frame
                })
            }))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAXIMUM);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A client that goes away or says nonsense is no event for an operator.
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Counts a request for as long as it is answered, also when it is dropped half-way.
struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose silence is bounded. A request that is answered has a timeout of its own; here
/// is bounded how long nothing moves meanwhile, because a client of HTTP/2 can forbid the server to
/// send its answer.
struct BoundedStream {
    stream: TcpStream,
    in_flight: Arc<AtomicUsize>,
    header_timeout: Duration,
    idle_timeout: Duration,
    answer_timeout: Duration,
    waiting: ConnectionState,
    deadline: Pin<Box<Sleep>>,
    write_deadline: Option<Pin<Box<Sleep>>>,
}

/// What the connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    /// The rest of a request's header, or the first one.
    ReadingHeader,
    /// The next request.
    Idle,
    /// A request to be answered and the answer to be taken.
    AwaitingResponse,
}

impl BoundedStream {
    fn new(stream: TcpStream, in_flight: Arc<AtomicUsize>, limits: &Limits) -> Self {
        Self {
            stream,
            in_flight,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            answer_timeout: limits.request_timeout + limits.idle_timeout,
            waiting: ConnectionState::ReadingHeader,
            deadline: Box::pin(sleep_until(Instant::now() + limits.header_timeout)),
            write_deadline: None,
        }
    }

    fn wait_for(&mut self, waiting: ConnectionState) {
        if self.waiting == waiting {
            return;
        }
        self.waiting = waiting;
        self.set_deadline();
    }

    fn set_deadline(&mut self) {
        let bound = match self.waiting {
            ConnectionState::ReadingHeader => self.header_timeout,
            ConnectionState::Idle => self.idle_timeout,
            ConnectionState::AwaitingResponse => self.answer_timeout,
        };
        self.deadline.as_mut().reset(Instant::now() + bound);
    }

    /// Bytes moved: while a request is answered, the wait begins anew.
    fn moved(&mut self) {
        if self.waiting == ConnectionState::AwaitingResponse {
            self.set_deadline();
        }
    }

    /// A client that does not take what is sent to it is as silent as one that sends nothing.
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
        let is_answering = this.in_flight.load(Ordering::Relaxed) > 0;
        match (is_answering, this.waiting) {
            (true, _) => this.wait_for(ConnectionState::AwaitingResponse),
            (false, ConnectionState::AwaitingResponse) => this.wait_for(ConnectionState::Idle),
            (false, ConnectionState::ReadingHeader | ConnectionState::Idle) => {}
        }
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Ready(read) => {
                if is_answering {
                    this.moved();
                } else {
                    this.wait_for(ConnectionState::ReadingHeader);
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
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
