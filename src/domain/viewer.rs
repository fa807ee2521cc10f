//! Who asks. Everything that a person may or may not see is decided from this.

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
