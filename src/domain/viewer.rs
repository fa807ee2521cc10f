//! Who asks. Everything that a person may or may not see is decided from this.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The person on whose behalf a request runs, as its token says. Whether they are an admin is not
/// kept here: that is read from the database when it matters, because a token may be older than a
/// demotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Nobody signed in.
    Anonymous,
    /// A signed-in user.
    User(Uuid),
}

impl Viewer {
    /// The signed-in user's id.
    #[must_use]
    pub const fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Anonymous => None,
            Self::User(id) => Some(id),
        }
    }

    /// Whether the viewer is that user.
    #[must_use]
    pub fn is(self, user_id: Uuid) -> bool {
        self.user_id() == Some(user_id)
    }
}

/// Who reads: whose own writes must be there, and who must not go back in time. Servers tell each other
/// so in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// A signed-in user.
    Account(Uuid),
    /// An address.
    Address(IpAddr),
}

/// The viewer of a request as it goes on: who logs in is the viewer of what comes after.
#[derive(Debug, Clone)]
pub struct CurrentViewer(Arc<RwLock<Viewer>>);

impl CurrentViewer {
    /// That one, to begin with.
    #[must_use]
    pub fn new(viewer: Viewer) -> Self {
        Self(Arc::new(RwLock::new(viewer)))
    }

    /// Who it is now.
    #[must_use]
    pub fn get(&self) -> Viewer {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is that one.
    pub fn set(&self, viewer: Viewer) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = viewer;
    }
}
