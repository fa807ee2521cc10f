//! People.

use unicode_normalization::UnicodeNormalization;

use super::reading::Karma;

/// A score at or above this is good karma.
const GOOD_KARMA_FROM: i16 = 70;
/// A score at or below this is evil karma.
const EVIL_KARMA_TO: i16 = 30;

impl Karma {
    /// What a score from 0 to 100 amounts to.
    #[must_use]
    pub const fn of_score(score: i16) -> Self {
        if score >= GOOD_KARMA_FROM {
            Self::Good
        } else if score <= EVIL_KARMA_TO {
            Self::Evil
        } else {
            Self::Neutral
        }
    }
}

/// A username as it is stored and sought: composed and in lower case, so that `Zoë` is one person
/// however it is typed.
#[must_use]
pub fn fold_username(username: &str) -> String {
    // Again, because there are letters that are composed in lower case only.
    username.trim().nfc().collect::<String>().to_lowercase().nfc().collect()
}
