//! What the tier in Redis needs of each version of it: replies in order, whatever is published meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use wasteland_tarot::cache::invalidation::InvalidationEvent;
use wasteland_tarot::cache::redis_tier::{PeerEvent, PeerMessage, RedisTier};

use crate::support::app::settings_with;
use crate::support::redis_server::{RedisServer, has_redis, programs};

const CLIENTS: usize = 8;
const ROUNDS: usize = 50;
const TTL: Duration = Duration::from_mins(5);

fn tier(redis: &RedisServer) -> RedisTier {
    let url = format!("--redis-url={}", redis.url());
    let settings = settings_with(&[&url, "--redis-timeout-ms=60000"]).cache.coherence;
    RedisTier::new(&settings, TTL).expect("there is an address")
}

/// Up to 7.0 Redis inserts a message that is published in MULTI into the reply of EXEC, where the same connection has
/// subscribed, and all later replies answer the command after theirs.
#[tokio::test]
async fn replies_are_those_of_their_commands_while_the_same_connection_publishes() {
    if !has_redis("replies_are_those_of_their_commands_while_the_same_connection_publishes") {
        return;
    }
    for program in programs() {
        let redis = RedisServer::start_program(program).await;
        let (own, other) = (tier(&redis), tier(&redis));
        let mut own_events = own.connect().await.expect("Redis responds");
        let mut other_events = other.connect().await.expect("Redis responds");
        join_all((0..CLIENTS).map(|client| {
            let own = &own;
            async move {
                for round in 0..ROUNDS {
                    let key = format!("user:{client}:{round}");
                    let value = key.clone().into_bytes();
                    let before = own.lookup(&key).await.expect("Redis replies");
                    assert_eq!(before.bytes, None);
                    own.store(&key, value.clone(), TTL).await;
                    // Purges another key.
                    let event = InvalidationEvent::CountersFolded;
                    own.publish_invalidation(Uuid::now_v7(), &[event])
                        .await
                        .expect("Redis replies");
                    let after = own.lookup(&key).await.expect("Redis replies");
                    assert_eq!((after.bytes, after.tokens), (Some(value), before.tokens));
                }
            }
        }))
        .await;
        other.ping().await.expect("Redis replies");
        for _ in 0..CLIENTS * ROUNDS {
            let event = other_events.try_recv().expect("each message arrives");
            let is_invalidation = matches!(&event, PeerEvent::Message(PeerMessage::Invalidated { events, .. })
                if *events == [InvalidationEvent::CountersFolded]);
            assert!(is_invalidation, "{event:?}");
        }
        assert!(other_events.try_recv().is_err() && own_events.try_recv().is_err());
    }
}
