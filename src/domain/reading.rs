//! Readings: what a reading is, apart from where it is kept.

use super::words::words;

words! {
    /// The tone of a reading, and what a user's karma score amounts to.
    Karma {
        /// 70 and above.
        Good = "good",
        /// Between.
        Neutral = "neutral",
        /// 30 and below.
        Evil = "evil",
    }
}

words! {
    /// Who may see a reading.
    PrivacyLevel {
        /// The owner.
        Private = "private",
        /// Until there are friends, the owner.
        Friends = "friends",
        /// Everybody.
        Public = "public",
    }
}

words! {
    /// How far a reading has come. Only complete ones are written now.
    ReadingStatus {
        /// Being drawn.
        Active = "active",
        /// Put aside.
        Paused = "paused",
        /// Done.
        Complete = "complete",
    }
}
