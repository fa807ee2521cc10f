//! Positions of byte offsets in a text, for the locations of errors.

use async_graphql::Pos;

/// Line and column of byte offsets, in characters from one. Ascending offsets, as those of a tree, cost one pass
/// over the text.
pub(super) struct Positions<'t> {
    text: &'t str,
    offset: usize,
    position: Pos,
}

impl<'t> Positions<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, offset: 0, position: Pos { line: 1, column: 1 } }
    }

    /// True if the character is at the offset.
    pub(super) fn is_at(&self, offset: usize, character: char) -> bool {
        self.text.get(offset..).is_some_and(|rest| rest.starts_with(character))
    }

    /// Position of an offset. An offset inside a character has the position after it.
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
