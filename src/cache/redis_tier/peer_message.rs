//! Messages that servers publish to each other through Redis.

use redis::{PushInfo, PushKind, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cache::invalidation::InvalidationEvent;
use crate::domain::viewer::ReaderId;

/// A message with its sender.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) server: Uuid,
    #[serde(flatten)]
    pub(super) message: PeerMessage,
}

/// A message of one server to all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerMessage {
    /// A write invalidated cached values.
    Invalidated {
        /// Id of the outbox entry with the same events.
        entry_id: Uuid,
        /// The events.
        events: Vec<InvalidationEvent>,
    },
    /// Clients wrote something, and must read the primary for a while.
    Wrote {
        /// All identities of the clients.
        writers: Vec<ReaderId>,
    },
}

/// An event on the subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerEvent {
    /// A message of another server.
    Message(PeerMessage),
    /// A payload that cannot be decoded: a message may be lost.
    Malformed,
    /// The connection is lost, and the subscription with it.
    Disconnected,
}

/// The event that a push means; `None` for pushes to the driver and for this server's own messages.
pub(super) fn peer_event(PushInfo { kind, data }: PushInfo, server: Uuid) -> Option<PeerEvent> {
    match kind {
        PushKind::Disconnection => Some(PeerEvent::Disconnected),
        PushKind::Message => {
            let message = match data.into_iter().nth(1) {
                Some(Value::BulkString(bytes)) => serde_json::from_slice(&bytes).ok(),
                _ => None,
            };
            match message {
                Some(Message { server: sender, .. }) if sender == server => None,
                Some(Message { message, .. }) => Some(PeerEvent::Message(message)),
                None => Some(PeerEvent::Malformed),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_messages_are_ignored_and_undecodable_ones_are_malformed() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let message = PeerMessage::Invalidated {
            entry_id: Uuid::max(),
            events: vec![InvalidationEvent::CountersFolded],
        };
        let push = |text: String| PushInfo {
            kind: PushKind::Message,
            data: vec![
                Value::BulkString(b"invalidations".into()),
                Value::BulkString(text.into_bytes()),
            ],
        };
        let text = serde_json::to_string(&Message { server: one, message: message.clone() });
        let text = text.expect("text");
        assert_eq!(peer_event(push(text.clone()), one), None);
        assert_eq!(peer_event(push(text), other), Some(PeerEvent::Message(message)));
        assert_eq!(peer_event(push("junk".to_owned()), other), Some(PeerEvent::Malformed));
    }
}
