//! Positions in a text.

use async_graphql::Pos;

/// Positions of byte offsets: line and column in characters, from one. Offsets that ascend, as those of a
/// tree do, cost one pass over the text.
pub(super) struct Positions<'t> {
    text: &'t str,
    offset: usize,
    position: Pos,
}

impl<'t> Positions<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, offset: 0, position: Pos { line: 1, column: 1 } }
    }

    /// True if `sign` is at the offset.
    pub(super) fn has(&self, offset: usize, sign: char) -> bool {
        self.text.get(offset..).is_some_and(|rest| rest.starts_with(sign))
    }

    /// The position of an offset. An offset inside a character is that of its end.
    pub(super) fn at(&mut self, offset: usize) -> Pos {
        if offset < self.offset {
            *self = Self::new(self.text);
        }
        let mut rest = self.text[self.offset..].chars();
        while self.offset < offset
            && let Some(character) = rest.next()
        {
            self.offset += character.len_utf8();
            self.position = match character {
                // The line ends after the line feed.
                '\r' if rest.as_str().starts_with('\n') => self.position,
                '\n' | '\r' => Pos { line: self.position.line + 1, column: 1 },
                _ => Pos { column: self.position.column + 1, ..self.position },
            };
        }
        self.position
    }
}
