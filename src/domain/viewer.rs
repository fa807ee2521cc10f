//! The viewer of a request: the identity that all authorization is based on.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Identity of a request's access token. The admin role is no part of it: it is read from the database
/// when needed, because a token may be older than a demotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Not signed in.
    Anonymous,
    /// A signed-in user.
    User(Uuid),
}

impl Viewer {
    /// Id of the signed-in user.
    #[must_use]
    pub const fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Anonymous => None,
            Self::User(id) => Some(id),
        }
    }

    /// `true` if the viewer is that user.
    #[must_use]
    pub fn is(self, user_id: Uuid) -> bool {
        self.user_id() == Some(user_id)
    }
}

/// Identity of a client for read-your-writes and monotonic reads. Servers exchange it as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderId {
    /// A signed-in user.
    Account(Uuid),
    /// An address.
    Address(IpAddr),
}

/// Current viewer of a request: a login during the request changes it.
#[derive(Debug, Clone)]
pub struct CurrentViewer(Arc<RwLock<Viewer>>);

impl CurrentViewer {
    /// Starts with that viewer.
    #[must_use]
    pub fn new(viewer: Viewer) -> Self {
        Self(Arc::new(RwLock::new(viewer)))
    }

    /// Current viewer.
    #[must_use]
    pub fn get(&self) -> Viewer {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the viewer.
    pub fn set(&self, viewer: Viewer) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = viewer;
    }
}
