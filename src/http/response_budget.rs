//! Bytes of responses that wait to be sent: bounded on each connection, for each client address and in all, so
//! that clients that take nothing cannot fill the memory.
//!
//! A response reserves all of its bytes once it is known, and holds them until the last one was handed to the
//! socket or the client has gone. A response for which there is no room, as far as its size can be estimated, is not
//! computed. Streamed responses (exports) have a bound of their own and are not counted.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address_quota::{AddressQuota, AddressShare};
use super::client_address::ClientAddress;
use super::graphql::error::HttpError;
use super::graphql::response::GraphqlResponse;
use super::request_log::RequestId;
use super::state::App;
use crate::config::connections::ConnectionSettings;
use crate::graphql::errors::ApiError;

/// Bytes that responses may hold.
pub struct ResponseBudget {
    total: Arc<Semaphore>,
    addresses: Arc<AddressQuota>,
    per_connection: usize,
}

/// Part of one connection; an extension of each of its requests. Without a bound for trusted proxies, on whose
/// connections many clients meet.
#[derive(Clone)]
pub(super) struct ConnectionBudget(Option<Arc<Semaphore>>);

/// Bytes of one response, given back when it is dropped.
pub(super) struct Reservation {
    _connection: Option<OwnedSemaphorePermit>,
    _address: AddressShare,
    _total: OwnedSemaphorePermit,
}

impl ResponseBudget {
    /// The budget of these settings.
    #[must_use]
    pub fn new(settings: &ConnectionSettings) -> Self {
        Self {
            total: Arc::new(Semaphore::new(settings.unsent_bytes)),
            addresses: AddressQuota::new(settings.unsent_bytes_per_address),
            per_connection: settings.unsent_bytes_per_connection,
        }
    }

    /// Part of a new connection of a client.
    pub(super) fn of_connection(&self) -> ConnectionBudget {
        ConnectionBudget(Some(Arc::new(Semaphore::new(self.per_connection))))
    }

    /// Part of a new connection of a trusted proxy.
    pub(super) const fn of_proxy() -> ConnectionBudget {
        ConnectionBudget(None)
    }

    /// Returns `true` if there is room for a response of that size. Nothing is reserved.
    pub(super) fn has_room(
        &self,
        ConnectionBudget(connection): &ConnectionBudget,
        address: IpAddr,
        bytes: usize,
    ) -> bool {
        let fits = |semaphore: &Semaphore| bytes <= semaphore.available_permits();
        connection.as_deref().is_none_or(fits)
            && self.addresses.has_room(address, bytes)
            && fits(&self.total)
    }

    /// Reserves bytes for a response to that address on that connection; `None` if there is no room.
    pub(super) fn reserve(
        &self,
        ConnectionBudget(connection): &ConnectionBudget,
        address: IpAddr,
        bytes: u64,
    ) -> Option<Reservation> {
        let permits = u32::try_from(bytes).ok()?;
        let acquire =
            |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_many_owned(permits).ok();
        let connection = match connection {
            Some(connection) => Some(acquire(connection)?),
            None => None,
        };
        let address = self.addresses.acquire(address, usize::try_from(bytes).ok()?)?;
        Some(Reservation {
            _connection: connection,
            _address: address,
            _total: acquire(&self.total)?,
        })
    }
}

/// Bytes of a body with their reservation.
struct Reserved(Bytes, #[expect(dead_code, reason = "held until it is dropped")] Arc<Reservation>);

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Reservation {
    /// A body that holds the reservation until its last byte was taken or dropped.
    pub(super) fn hold(self, body: Body) -> Body {
        Body::new(ReservedBody { body, reservation: Arc::new(self) })
    }
}

/// A body with its reservation. So have its bytes, because a body may have handed out all of them long before the
/// client takes them. Not `map_frame`, which hides the size of the body.
struct ReservedBody {
    body: Body,
    reservation: Arc<Reservation>,
}

impl HttpBody for ReservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let reserve = |bytes| Bytes::from_owner(Reserved(bytes, Arc::clone(&self.reservation)));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(reserve))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Middleware: reserves the bytes of a response, or answers 503. Within the compression layer, because the body
/// that is held is the one before compression.
pub(super) async fn bound_unsent_bytes(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let Some(connection) = request.extensions().get::<ConnectionBudget>().cloned() else {
        return next.run(request).await;
    };
    let address = ClientAddress::of(request.extensions());
    let response = next.run(request).await;
    let Some(bytes) = response.body().size_hint().exact() else { return response };
    match app.response_budget.reserve(&connection, address, bytes) {
        Some(reservation) => response.map(|body| reservation.hold(body)),
        None => GraphqlResponse::from(HttpError::from(ApiError::Busy)).into_response(&id),
    }
}
