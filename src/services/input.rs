//! Checks of what people write. Texts are composed (NFC) and trimmed, so that what looks the same is
//! the same; everything that is wrong with an input is found at once.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

use super::error::ServiceError;
use crate::config::content::{RATING, TAG, TAGS, USER_ERRORS};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Whether a text may have several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// No line breaks, no tabs.
    One,
    /// Both.
    Many,
}

/// What is wrong with an input, as far as it has been looked at.
#[derive(Debug, Default)]
pub struct Checks(Vec<UserError>);

impl Checks {
    /// Notes something that is wrong.
    pub fn refuse(&mut self, error: UserError) {
        self.0.push(error);
    }

    /// A text that must be there.
    pub fn text(
        &mut self,
        field: &str,
        text: &str,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> String {
        self.text_at(&[field], text, characters, lines)
    }

    /// A text that may be left out; an empty one is none.
    pub fn optional_text(
        &mut self,
        field: &str,
        text: Option<&str>,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> Option<String> {
        let text = normalized(text?);
        if text.is_empty() {
            return None;
        }
        Some(self.text_at(&[field], &text, characters, lines))
    }

    /// The same somewhere within the input.
    pub fn text_at(
        &mut self,
        path: &[&str],
        text: &str,
        characters: &RangeInclusive<usize>,
        lines: Lines,
    ) -> String {
        let text = normalized(text);
        let (count, min, max) = (text.chars().count(), *characters.start(), *characters.end());
        let name = name_of(path);
        if text.is_empty() && min > 0 {
            self.refuse_at(path, UserErrorCode::Required, format!("{name} is missing"), None);
        } else if count < min {
            let message = format!("{name} has {count} characters; it must have at least {min}");
            self.refuse_at(path, UserErrorCode::TooShort, message, Some(characters));
        } else if count > max {
            let message = format!("{name} has {count} characters; it may have at most {max}");
            self.refuse_at(path, UserErrorCode::TooLong, message, Some(characters));
        } else if text.chars().any(|character| !is_allowed(character, lines)) {
            let message = format!("{name} has characters that cannot be shown");
            self.refuse_at(path, UserErrorCode::Invalid, message, None);
        }
        text
    }

    /// A change of what cannot be cleared: absent, null and a value are three things.
    pub fn required<T>(&mut self, field: &str, value: Option<Option<T>>) -> Option<T> {
        if matches!(value, Some(None)) {
            let message = format!("{field} cannot be cleared");
            self.refuse(UserError::new(field, UserErrorCode::Required, message));
        }
        value.flatten()
    }

    /// How many items a list has.
    pub fn count(&mut self, field: &str, count: usize, bounds: &RangeInclusive<usize>) {
        if bounds.contains(&count) {
            return;
        }
        let (min, max) = (bounds.start(), bounds.end());
        let message = format!("{field} has {count}; it must have {min} to {max}");
        let code = if count == 0 { UserErrorCode::Required } else { UserErrorCode::TooMany };
        self.refuse(UserError::new(field, code, message).within_count(bounds));
    }

    /// A number within bounds.
    pub fn number(&mut self, field: &str, number: i32, bounds: &RangeInclusive<i32>) -> i16 {
        if !bounds.contains(&number) {
            let (min, max) = (*bounds.start(), *bounds.end());
            let message = format!("{field} is {number}; it must be from {min} to {max}");
            let error = UserError::new(field, UserErrorCode::OutOfRange, message);
            self.refuse(error.within(Some(min), Some(max)));
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

    /// The same somewhere within the input.
    pub fn fraction_at(&mut self, path: &[&str], number: f64, bounds: &RangeInclusive<f64>) -> f64 {
        if !bounds.contains(&number) {
            let (name, min, max) = (name_of(path), bounds.start(), bounds.end());
            let message = format!("{name} is {number}; it must be from {min} to {max}");
            self.refuse_at(path, UserErrorCode::OutOfRange, message, None);
        }
        number
    }

    /// Tags: each once, in the order in which they were given.
    pub fn tags(&mut self, field: &str, tags: &[String]) -> Vec<String> {
        let mut known = HashSet::new();
        let mut all = Vec::new();
        for (index, tag) in tags.iter().enumerate() {
            let tag = self.text_at(&[field, &index.to_string()], tag, &TAG, Lines::One);
            if known.insert(tag.clone()) {
                all.push(tag);
            }
        }
        if all.len() > TAGS {
            let message = format!("{field} has {} tags; there may be {TAGS}", all.len());
            let error = UserError::new(field, UserErrorCode::TooMany, message);
            self.refuse(error.within(None, i32::try_from(TAGS).ok()));
        }
        all
    }

    /// Ends the checks.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, as far as one answer tells of it.
    pub fn finish(self) -> Result<(), ServiceError> {
        let mut errors = self.0;
        errors.truncate(USER_ERRORS);
        if errors.is_empty() { Ok(()) } else { Err(ServiceError::Refused(errors)) }
    }

    fn refuse_at(
        &mut self,
        path: &[&str],
        code: UserErrorCode,
        message: String,
        characters: Option<&RangeInclusive<usize>>,
    ) {
        let mut error = UserError::of_whole(code, message);
        error.field = path.iter().map(|segment| (*segment).to_owned()).collect();
        if let Some(characters) = characters {
            error = error.within_count(characters);
        }
        self.refuse(error);
    }
}

/// A place in an input as people write it: `tags[1]`, `positions[0].name`.
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

/// Composed and trimmed.
#[must_use]
pub fn normalized(text: &str) -> String {
    text.nfc().collect::<String>().trim().to_owned()
}

fn is_allowed(character: char, lines: Lines) -> bool {
    match character {
        '\n' | '\t' | '\r' => lines == Lines::Many,
        // The separators of lines and paragraphs, and what turns the text around it.
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            lines == Lines::Many
        }
        character => !character.is_control(),
    }
}

/// Whether a character shows nothing, so that two names with and without it look alike.
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
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
