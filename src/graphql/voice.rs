//! Voices.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::context::request;
use super::enums::{FactionKey, Locale, VoiceKey};
use super::id::GlobalId;
use crate::domain::voice;

/// Fields of the query type that answer voices.
#[derive(Default)]
pub struct VoiceQuery;

#[Object]
impl VoiceQuery {
    /// The fourteen voices.
    async fn voices(&self, context: &Context<'_>) -> Vec<Voice> {
        request(context).catalogue.voices().iter().map(Voice::of).collect()
    }
}

/// A character that phrases interpretations in its own manner.
#[derive(Clone)]
pub struct Voice(Arc<voice::Voice>);

impl Voice {
    /// The voice as clients see it.
    #[must_use]
    pub fn of(voice: &Arc<voice::Voice>) -> Self {
        Self(Arc::clone(voice))
    }
}

/// A character that phrases interpretations in its own manner.
#[Object]
impl Voice {
    /// The voice's id, for `node`.
    pub async fn id(&self) -> ID {
        GlobalId::Voice(self.0.key).encode()
    }

    /// Which voice.
    async fn key(&self) -> VoiceKey {
        self.0.key.into()
    }

    /// What people call it.
    async fn display_name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.0.texts.get(locale.into()).display_name
    }

    /// Its tone in a word, in English: `analytical`.
    async fn tone(&self) -> &str {
        &self.0.tone
    }

    /// How it chooses words, in English: `technical`.
    async fn vocabulary_style(&self) -> &str {
        &self.0.vocabulary_style
    }

    /// The faction that it speaks for; null if none.
    async fn faction(&self) -> Option<FactionKey> {
        self.0.faction.map(Into::into)
    }
}
