//! The audit log: actions, actors and targets, independent of their storage.

use std::net::IpAddr;

use uuid::Uuid;

use super::enums::text_enum;

text_enum! {
    /// Action of an entry of the audit log.
    AuditAction {
        /// An admin deactivated a user.
        UserDeactivated = "user_deactivated",
        /// An admin reactivated a user.
        UserReactivated = "user_reactivated",
        /// An admin locked a user for some time.
        UserLocked = "user_locked",
        /// An admin ended the lock of a user.
        UserUnlocked = "user_unlocked",
        /// The command line gave a user a role.
        RoleGranted = "role_granted",
        /// An admin hid a public reading.
        ReadingHidden = "reading_hidden",
        /// An admin made a hidden reading visible again.
        ReadingUnhidden = "reading_unhidden",
        /// An admin deleted a public or a hidden reading.
        ReadingDeleted = "reading_deleted",
        /// An admin changed a card.
        CardUpdated = "card_updated",
        /// An admin changed a spread.
        SpreadUpdated = "spread_updated",
        /// An admin removed cached values.
        CacheInvalidated = "cache_invalidated",
        /// A user logged in.
        LoggedIn = "logged_in",
        /// A refresh token was used again, which ended its session.
        RefreshTokenReused = "refresh_token_reused",
    }
}

text_enum! {
    /// Type of the object of an action.
    AuditTargetKind {
        /// A user.
        User = "user",
        /// A reading.
        Reading = "reading",
        /// A card.
        Card = "card",
        /// A spread.
        Spread = "spread",
    }
}

/// Object of an action. It may have been deleted since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditTarget {
    /// Its type.
    pub kind: AuditTargetKind,
    /// Its id.
    pub id: Uuid,
}

impl AuditTarget {
    /// A user.
    #[must_use]
    pub const fn user(id: Uuid) -> Self {
        Self { kind: AuditTargetKind::User, id }
    }

    /// A reading.
    #[must_use]
    pub const fn reading(id: Uuid) -> Self {
        Self { kind: AuditTargetKind::Reading, id }
    }
}

/// Actor of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditActor {
    /// A user, by a request from that address.
    User {
        /// Id of the user.
        id: Uuid,
        /// Address of the client.
        address: IpAddr,
    },
    /// Nobody known, by a request from that address.
    Address(IpAddr),
    /// An operator at the command line.
    CommandLine,
}

impl AuditActor {
    /// Id of the user.
    #[must_use]
    pub const fn user_id(self) -> Option<Uuid> {
        match self {
            Self::User { id, .. } => Some(id),
            Self::Address(_) | Self::CommandLine => None,
        }
    }

    /// Address of the client.
    #[must_use]
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::User { address, .. } | Self::Address(address) => Some(address),
            Self::CommandLine => None,
        }
    }
}
