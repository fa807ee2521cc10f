//! Rules of users: karma grades and usernames.

use unicode_normalization::UnicodeNormalization;

use super::reading::Karma;

/// Minimum score of good karma.
const GOOD_KARMA_FROM: i16 = 70;
/// Maximum score of evil karma.
const EVIL_KARMA_TO: i16 = 30;

impl Karma {
    /// Grade of a score from 0 to 100.
    #[must_use]
    pub const fn from_score(score: i16) -> Self {
        if score >= GOOD_KARMA_FROM {
            Self::Good
        } else if score <= EVIL_KARMA_TO {
            Self::Evil
        } else {
            Self::Neutral
        }
    }
}

/// Canonical form of a username, in which it is stored and shown: NFC and lower case, so that `Zoë` is one person however
/// it is typed. It is not case-folded, because that would misspell names (`νικος` as `νικοσ`, `straße` as `strasse`).
#[must_use]
pub fn fold_username(username: &str) -> String {
    // Normalized again, because some letters compose in lower case only.
    username.trim().nfc().collect::<String>().to_lowercase().nfc().collect()
}
