//! Validation of input. Texts are normalized (NFC) and trimmed, so that equal-looking texts are equal;
//! all errors of an input are reported at once.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

use super::error::ServiceError;
use crate::config::content::{RATING, TAG, TAGS, USER_ERRORS};
use crate::config::limits::QUOTED_CHARACTERS;
use crate::domain::counted::counted;
use crate::domain::truncated::truncated;
use crate::domain::user_error::{UserError, UserErrorCode};

/// Control characters that a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// One line: no line breaks, no tabs.
    Single,
    /// Several lines, with tabs.
    Multiple,
}

/// Collector of the user errors of one input. Each method validates a field and returns its
/// normalized value.
#[derive(Debug, Default)]
pub struct Validator(Vec<UserError>);

impl Validator {
    /// Adds an error.
    pub fn reject(&mut self, error: UserError) {
        self.0.push(error);
    }

    /// True if nothing of a field is rejected so far.
    #[must_use]
    pub fn is_valid(&self, field: &str) -> bool {
        self.0.iter().all(|error| error.field != [field])
    }

    /// A required text.
    pub fn text(
        &mut self,
        field: &str,
        text: &str,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> String {
        self.text_at(&[field], text, characters, lines)
    }

    /// An optional text; an empty or blank one is `None`.
    pub fn optional_text(
        &mut self,
        field: &str,
        text: Option<&str>,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> Option<String> {
        let text = normalized(text?);
        if is_blank(&text) {
            return None;
        }
        Some(self.text_at(&[field], &text, characters, lines))
    }

    /// A required text at a path within the input.
    pub fn text_at(
        &mut self,
        path: &[&str],
        text: &str,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> String {
        let text = normalized(text);
        let (count, min, max) = (text.chars().count(), *characters.start(), *characters.end());
        let (name, counted) = (name_of(path), counted(count, "character"));
        if is_blank(&text) && min > 0 {
            self.reject_at(path, UserErrorCode::Required, format!("{name} is missing"), None);
        } else if count < min {
            let message = format!("{name} has {counted}; it must have at least {min}");
            self.reject_at(path, UserErrorCode::TooShort, message, Some(characters));
        } else if count > max {
            let message = format!("{name} has {counted}; it must have at most {max}");
            self.reject_at(path, UserErrorCode::TooLong, message, Some(characters));
        } else if text.chars().any(|character| !is_allowed(character, lines)) {
            let message = format!("{name} has characters that cannot be shown");
            self.reject_at(path, UserErrorCode::Invalid, message, None);
        }
        text
    }

    /// An update of a field that cannot be cleared: absent is `None`, null an error.
    pub fn required<T>(&mut self, field: &str, value: Option<Option<T>>) -> Option<T> {
        if matches!(value, Some(None)) {
            let message = format!("{field} cannot be cleared");
            self.reject(UserError::new(field, UserErrorCode::Required, message));
        }
        value.flatten()
    }

    /// The number of items of a list.
    pub fn count(&mut self, field: &str, count: usize, bounds: &RangeInclusive<usize>) {
        if bounds.contains(&count) {
            return;
        }
        let (min, max) = (bounds.start(), bounds.end());
        let message =
            format!("{field} has {}; it must have {min} to {max}", counted(count, "item"));
        let code = if count == 0 { UserErrorCode::Required } else { UserErrorCode::TooMany };
        self.reject(UserError::new(field, code, message).within_count(bounds));
    }

    /// A whole number within bounds.
    pub fn number(&mut self, field: &str, number: i32, bounds: &RangeInclusive<i32>) -> i16 {
        if !bounds.contains(&number) {
            let (min, max) = (*bounds.start(), *bounds.end());
            let message = format!("{field} is {number}; it must be from {min} to {max}");
            let error = UserError::new(field, UserErrorCode::OutOfRange, message);
            self.reject(error.within(Some(min), Some(max)));
        }
        i16::try_from(number).unwrap_or_default()
    }

    /// A rating.
    pub fn rating(&mut self, field: &str, rating: i32) -> i16 {
        self.number(field, rating, &RATING)
    }

    /// A number with a fraction, within bounds.
    pub fn fraction(&mut self, field: &str, number: f64, bounds: &RangeInclusive<f64>) -> f64 {
        self.fraction_at(&[field], number, bounds)
    }

    /// A number with a fraction at a path within the input.
    pub fn fraction_at(&mut self, path: &[&str], number: f64, bounds: &RangeInclusive<f64>) -> f64 {
        if !bounds.contains(&number) {
            let (name, min, max) = (name_of(path), bounds.start(), bounds.end());
            // All digits of a float may be more than 300.
            let number = truncated(&number.to_string(), QUOTED_CHARACTERS);
            let message = format!("{name} is {number}; it must be from {min} to {max}");
            self.reject_at(path, UserErrorCode::OutOfRange, message, None);
        }
        number
    }

    /// Tags without duplicates, in their order.
    pub fn tags(&mut self, field: &str, tags: &[String]) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for (index, tag) in tags.iter().enumerate() {
            let tag = self.text_at(&[field, &index.to_string()], tag, &TAG, Lines::Single);
            if seen.insert(tag.clone()) {
                all.push(tag);
            }
        }
        if all.len() > TAGS {
            let message =
                format!("{field} has {}; it must have at most {TAGS}", counted(all.len(), "tag"));
            let error = UserError::new(field, UserErrorCode::TooMany, message);
            self.reject(error.within(None, i32::try_from(TAGS).ok()));
        }
        all
    }

    /// Ends the validation.
    ///
    /// # Errors
    ///
    /// `UserErrors` with the first [`USER_ERRORS`] errors.
    pub fn finish(self) -> Result<(), ServiceError> {
        let mut errors = self.0;
        errors.truncate(USER_ERRORS);
        if errors.is_empty() { Ok(()) } else { Err(ServiceError::UserErrors(errors)) }
    }

    fn reject_at(
        &mut self,
        path: &[&str],
        code: UserErrorCode,
        message: String,
        characters: Option<&RangeInclusive<usize>>,
    ) {
        let mut error = UserError::whole_input(code, message);
        error.field = path.iter().map(|segment| (*segment).to_owned()).collect();
        if let Some(characters) = characters {
            error = error.within_count(characters);
        }
        self.reject(error);
    }
}

/// Readable form of a path: `tags[1]`, `positions[0].name`.
fn name_of(path: &[&str]) -> String {
    path.iter().fold(String::new(), |name, segment| {
        if name.is_empty() {
            (*segment).to_owned()
        } else if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{name}[{segment}]")
        } else {
            format!("{name}.{segment}")
        }
    })
}

/// NFC form without surrounding white space.
#[must_use]
pub fn normalized(text: &str) -> String {
    text.nfc().collect::<String>().trim().to_owned()
}

fn is_allowed(character: char, lines: Lines) -> bool {
    match character {
        '\n' | '\t' | '\r' => lines == Lines::Multiple,
        // Line and paragraph separators, and bidirectional controls.
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            lines == Lines::Multiple
        }
        character => !character.is_control(),
    }
}

/// True if nothing of a text is visible.
fn is_blank(text: &str) -> bool {
    text.chars().all(|character| character.is_whitespace() || is_invisible(character))
}

/// `true` for characters without a glyph, which make different names look equal.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
