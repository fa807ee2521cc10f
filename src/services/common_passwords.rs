//! Common passwords, which are the first guesses of every attacker.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// The list, after its header, in lower case and in the order of bytes.
static PASSWORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    const HEADER_LINES: usize = 3;
    include_str!("common_passwords.txt").lines().skip(HEADER_LINES).collect()
});

/// True for a common password, in capital or small letters.
#[must_use]
pub fn is_common(password: &str) -> bool {
    let lower: String = password.nfc().collect::<String>().to_lowercase();
    PASSWORDS.binary_search(&lower.as_str()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::content::PASSWORD;

    #[test]
    fn the_list_is_sorted_and_has_no_password_that_is_too_short_anyway() {
        assert!(PASSWORDS.is_sorted());
        assert_eq!(PASSWORDS.len(), 11_611);
        assert!(PASSWORDS.iter().all(|password| PASSWORD.contains(&password.chars().count())));
        assert!(PASSWORDS.iter().all(|password| *password == password.to_lowercase()));
    }

    #[test]
    fn case_makes_no_common_password_uncommon() {
        for password in ["password", "Password", "PASSWORD1", "qwertyuiop", "1qaz2wsx", "!qaz2wsx"]
        {
            assert!(is_common(password), "{password}");
        }
        for password in ["", "a password of tests", "passwordd"] {
            assert!(!is_common(password), "{password}");
        }
    }
}
