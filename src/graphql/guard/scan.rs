//! Scan of the bytes before any parser, because the parsers recurse once for each bracket. Lexical rules
//! are those of the GraphQL specification; the parser rejects malformed tokens that pass here. Each loop
//! moves forward, so a scan is linear in the bytes.

use super::positions::Positions;
use super::refusal::{Refusal, at_most, saturated};
use crate::config::limits::DocumentLimits;

/// Result of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Number of lexical tokens.
    pub tokens: usize,
    /// Maximum number of open brackets.
    pub nesting: usize,
    /// Number of bytes read.
    pub work: u64,
}

/// Rejects a JSON body whose brackets nest too deeply for a recursive parser, which checks the
/// syntax later. Returns the nesting.
///
/// # Errors
///
/// [`Refusal::TooLarge`] with `what` "variables nesting", since only variables can nest.
pub fn scan_json(body: &[u8], limits: &DocumentLimits) -> Result<usize, Refusal> {
    let (mut position, mut open, mut nesting) = (0, 0_usize, 0);
    while let Some(&byte) = body.get(position) {
        position += 1;
        match byte {
            b'{' | b'[' => {
                open += 1;
                nesting = nesting.max(open);
                at_most("variables nesting", open, limits.nesting, None)?;
            }
            // An unbalanced body opens again at zero: the reader stops at the first bracket that
            // closes nothing.
            b'}' | b']' => open = open.saturating_sub(1),
            b'"' => {
                while let Some(&inside) = body.get(position) {
                    position += if inside == b'\\' { 2 } else { 1 };
                    if inside == b'"' {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(nesting)
}

/// Rejects a document that is too long, has too many tokens or nests too deeply, and one that no
/// parser accepts: unterminated strings, unbalanced brackets, numbers with leading zeros. Strings and comments may have
/// any character (September 2025, section 2.1.1).
///
/// # Errors
///
/// [`Refusal::TooLarge`] or [`Refusal::ParseFailed`].
pub fn scan_document(text: &str, limits: &DocumentLimits) -> Result<Scanned, Refusal> {
    at_most("document bytes", text.len(), limits.document_bytes, None)?;
    let bytes = text.as_bytes();
    // Locations are computed only for errors: computing them for each token would be quadratic.
    let refused = |message: &str, at| {
        let at = Some(Positions::new(text).at(at));
        Err(Refusal::parse_failed(message, at))
    };
    let too_large = |what, found, maximum, at| {
        let at = Some(Positions::new(text).at(at));
        Err(Refusal::too_large(what, found, maximum, at))
    };

    let (mut end, mut tokens, mut nesting) = (0, 0, 0);
    // Positions of the brackets that are open.
    let mut open: Vec<usize> = Vec::new();
    while let Some(&byte) = bytes.get(end) {
        let start = end;
        end += 1;
        match byte {
            b' ' | b',' | b'\t' | b'\n' | b'\r' => continue,
            // The byte order mark is white space wherever it stands.
            0xEF if bytes[end..].starts_with(&[0xBB, 0xBF]) => {
                end += 2;
                continue;
            }
            b'#' => {
                end += length_while(&bytes[end..], |byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            b'"' => match string_end(bytes, start) {
                Some(after) => end = after,
                None => return refused("unterminated string", start),
            },
            b'{' | b'(' | b'[' => {
                open.push(start);
                nesting = nesting.max(open.len());
                if open.len() > limits.nesting {
                    return too_large("nesting", open.len(), limits.nesting, start);
                }
            }
            b'}' | b')' | b']' => match open.pop() {
                None => return refused("closing bracket without an opening one", start),
                Some(opening) if closing_of(bytes[opening]) != byte => {
                    return refused(&unclosed(bytes[opening]), opening);
                }
                Some(_) => {}
            },
            b'.' if bytes[end..].starts_with(b"..") => end += 2,
            b'-' | b'0'..=b'9' => {
                end += number_tail(&bytes[end..]);
                // The parser would read each zero as a value, and so one token as thousands.
                if has_leading_zero(&bytes[start..end]) {
                    return refused("number with a leading zero", start);
                }
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                end += length_while(&bytes[end..], is_name_part);
                // The paths of errors, and the keys of data, repeat names.
                let (length, maximum) = (end - start, limits.name_characters);
                if length > maximum {
                    return too_large("name characters", length, maximum, start);
                }
            }
            // Punctuation; any other byte counts as a token too, and the parser rejects it.
            _ => {}
        }
        tokens += 1;
        if tokens > limits.tokens {
            return too_large("tokens", tokens, limits.tokens, start);
        }
    }
    if let Some(opening) = open.pop() {
        return refused(&unclosed(bytes[opening]), opening);
    }
    Ok(Scanned { tokens, nesting, work: saturated(bytes.len() * 2) })
}

fn closing_of(bracket: u8) -> u8 {
    match bracket {
        b'{' => b'}',
        b'(' => b')',
        _ => b']',
    }
}

fn unclosed(bracket: u8) -> String {
    format!("`{}` is not closed by `{}`", char::from(bracket), char::from(closing_of(bracket)))
}

/// End of the string that starts at `start`; none if it is unterminated. A plain string ends at the
/// end of its line.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    const BLOCK: &[u8] = br#"""""#;
    let is_block = bytes[start..].starts_with(BLOCK);
    let mut position = start + if is_block { BLOCK.len() } else { 1 };
    loop {
        let rest = bytes.get(position..)?;
        position += match *rest.first()? {
            b'"' if !is_block => return Some(position + 1),
            b'"' if rest.starts_with(BLOCK) => return Some(position + BLOCK.len()),
            b'\\' if !is_block => 2,
            b'\\' if rest[1..].starts_with(BLOCK) => 1 + BLOCK.len(),
            b'\n' | b'\r' if !is_block => return None,
            _ => 1,
        };
    }
}

/// Length of a number after its first byte, malformed ones included, so that the parser sees them
/// whole.
fn number_tail(bytes: &[u8]) -> usize {
    let mut previous = b'0';
    length_while(bytes, |byte| {
        let is_sign = matches!(byte, b'+' | b'-') && matches!(previous, b'e' | b'E');
        previous = byte;
        is_sign || byte == b'.' || is_name_part(byte)
    })
}

fn has_leading_zero(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    matches!(digits, [b'0', b'0'..=b'9', ..])
}

fn length_while(bytes: &[u8], mut holds: impl FnMut(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| holds(**byte)).count()
}

fn is_name_part(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}
