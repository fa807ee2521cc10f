//! Enumerations of readings, independent of their storage.

use super::enums::text_enum;

text_enum! {
    /// Karma context of a reading, and the grade of a user's karma score.
    Karma {
        /// 70 and above.
        Good = "good",
        /// Between.
        Neutral = "neutral",
        /// 30 and below.
        Evil = "evil",
    }
}

text_enum! {
    /// Visibility of a reading.
    PrivacyLevel {
        /// The owner.
        Private = "private",
        /// The owner, as long as the app has no friends.
        Friends = "friends",
        /// Everybody.
        Public = "public",
    }
}

text_enum! {
    /// Progress of a reading. Only complete ones are stored at present.
    ReadingStatus {
        /// Being drawn.
        Active = "active",
        /// Put aside.
        Paused = "paused",
        /// Done.
        Complete = "complete",
    }
}
