//! Extent of the errors of a document and its variables, and the names that they may suggest.

use crate::config::limits::LISTED_CHARACTERS;

/// Extent of the errors of one request.
#[derive(Debug, Clone, Copy)]
pub struct ErrorReporting {
    /// Maximum number of errors.
    pub maximum: usize,
    /// True to name parts of the schema: those that an unknown name resembles, and the values of an enum.
    pub names_schema: bool,
}

/// Jaro-Winkler similarity from which a name is suggested: a letter wrong or missing, or another case.
const RESEMBLANCE: f64 = 0.8;

impl ErrorReporting {
    /// The message with the name that the unknown one resembles most, if any.
    #[must_use]
    pub fn with_suggestion<'a>(
        self,
        message: String,
        unknown: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> String {
        if !self.names_schema {
            return message;
        }
        let nearest = candidates
            .into_iter()
            .map(|name| (strsim::jaro_winkler(name, unknown), name))
            .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
            .max_by(|one, other| one.0.total_cmp(&other.0));
        match nearest {
            Some((_, name)) => format!("{message}; did you mean `{name}`?"),
            None => message,
        }
    }

    /// The message with these values, as many as fit.
    #[must_use]
    pub fn with_values<'a>(
        self,
        message: String,
        values: impl IntoIterator<Item = &'a str>,
    ) -> String {
        if !self.names_schema {
            return message;
        }
        format!("{message}: {}", listed(values))
    }
}

/// Names with commas between them, as many as fit into a message.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for name in names {
        let separator = if list.is_empty() { "" } else { ", " };
        if list.len() + separator.len() + name.len() > LISTED_CHARACTERS {
            list.push_str(separator);
            list.push('…');
            break;
        }
        list.push_str(separator);
        list.push_str(name);
    }
    list
}
