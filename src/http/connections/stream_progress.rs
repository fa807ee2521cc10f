//! Responses over HTTP/2: each has a stream of its own, and a client that does not take one is refused that one,
//! while others on the connection go on. Behind a proxy they may be others' responses.
//!
//! A client grants a window for each stream, and can grant nothing, or one byte at a time, while it keeps the
//! connection busy with PINGs. So a stream is reset unless enough bytes of its response were sent in each period;
//! nothing that is read gives it more time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::bounded_stream::InFlight;
use crate::config::connections::{ConnectionSettings, STREAM_CHUNK_BYTES, STREAM_TAIL_BYTES};

tokio::task_local! {
    /// Progress of the stream whose task this is.
    static PROGRESS: Arc<StreamProgress>;
}

/// Runs the tasks of streams, and ends those whose client does not take its response: hyper's task owns the
/// stream, which is reset when the task is dropped.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    write_timeout: Duration,
    write_minimum: usize,
}

impl StreamExecutor {
    pub(super) const fn new(settings: &ConnectionSettings) -> Self {
        Self { write_timeout: settings.write_timeout, write_minimum: settings.write_minimum }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Self { write_timeout, write_minimum } = *self;
        let progress = Arc::new(StreamProgress::default());
        let watched = Arc::clone(&progress);
        tokio::spawn(PROGRESS.scope(progress, async move {
            tokio::select! {
                biased;
                () = stream => {}
                () = watched.stalled(write_timeout, write_minimum) => {
                    tracing::debug!("a client took too little of its response; the stream is reset");
                }
            }
        }));
    }
}

/// Progress of the response of one stream.
#[derive(Default)]
struct StreamProgress {
    began: Notify,
    /// Bytes handed to the connection, which takes the next chunk once the window has let the one before pass.
    sent: AtomicUsize,
    /// True while the server has not produced the next bytes.
    is_waiting_for_server: AtomicBool,
}

impl StreamProgress {
    /// Completes when, in one period since the response began, the client has taken less than the minimum.
    async fn stalled(&self, period: Duration, minimum: usize) {
        self.began.notified().await;
        loop {
            let before = self.sent.load(Ordering::Relaxed);
            sleep(period).await;
            let sent = self.sent.load(Ordering::Relaxed) - before;
            if sent < minimum && !self.is_waiting_for_server.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Body of a response. The request is in flight until the last byte of it is produced.
pub(super) struct ResponseBody {
    body: Body,
    _in_flight: InFlight,
    /// Over HTTP/2 only: the connection is the one stream of HTTP/1.
    chunks: Option<Chunks>,
}

impl ResponseBody {
    /// To be called in the task of the stream.
    pub(super) fn new(body: Body, in_flight: InFlight) -> Self {
        let chunks = PROGRESS.try_with(|progress| {
            progress.began.notify_one();
            Chunks { progress: Arc::clone(progress), rest: Bytes::new() }
        });
        Self { body, _in_flight: in_flight, chunks: chunks.ok() }
    }
}

/// Small parts of a body. hyper hands each to the connection as soon as the window has room for its first byte,
/// and the connection may hold it for as long as the client likes.
struct Chunks {
    progress: Arc<StreamProgress>,
    rest: Bytes,
}

impl Chunks {
    /// The next part of bytes that are not empty. After the last part the task of the stream ends, and nobody
    /// watches it; so that part is small, and no slice that would keep the whole body in memory.
    fn next(&mut self, is_last: bool) -> Bytes {
        let length = self.rest.len();
        let chunk = if length > STREAM_CHUNK_BYTES + STREAM_TAIL_BYTES {
            self.rest.split_to(STREAM_CHUNK_BYTES)
        } else if !is_last {
            std::mem::take(&mut self.rest)
        } else if length > STREAM_TAIL_BYTES {
            self.rest.split_to(length - STREAM_TAIL_BYTES)
        } else {
            Bytes::copy_from_slice(&std::mem::take(&mut self.rest))
        };
        self.progress.sent.fetch_add(chunk.len(), Ordering::Relaxed);
        chunk
    }

    fn wait_for_server(&self, is_waiting: bool) {
        self.progress.is_waiting_for_server.store(is_waiting, Ordering::Relaxed);
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let body = Pin::new(&mut this.body);
        let Some(chunks) = &mut this.chunks else { return body.poll_frame(context) };
        if chunks.rest.is_empty() {
            chunks.wait_for_server(true);
            let frame = ready!(body.poll_frame(context));
            chunks.wait_for_server(false);
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => chunks.rest = data,
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let chunk = chunks.next(this.body.is_end_stream());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.as_ref().is_none_or(|chunks| chunks.rest.is_empty())
            && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.chunks.as_ref().map_or(0, |chunks| chunks.rest.len() as u64);
        match hint.exact() {
            Some(exact) => SizeHint::with_exact(exact + rest),
            None => hint,
        }
    }
}
