//! Voices.

use std::sync::Arc;

use async_graphql::{Context, Object};
use object_macro::object;

use super::context::request;
use super::enums::{FactionKey, Locale, VoiceKey};
use super::fast_json::Direct;
use super::id::GlobalId;
use crate::domain::voice;

/// Query fields that return voices.
#[derive(Default)]
pub struct VoiceQuery;

#[Object]
impl VoiceQuery {
    /// The fourteen voices, always the same.
    async fn voices(&self, context: &Context<'_>) -> Direct<Vec<Voice>> {
        Direct(request(context).catalogue.voices().iter().map(Voice::of).collect())
    }
}

/// A character who phrases interpretations in a style of their own.
#[derive(Clone)]
pub struct Voice(Arc<voice::Voice>);

impl Voice {
    /// The GraphQL type of a voice.
    #[must_use]
    pub fn of(voice: &Arc<voice::Voice>) -> Self {
        Self(Arc::clone(voice))
    }
}

/// A character who phrases interpretations in a style of their own.
#[object]
impl Voice {
    /// Id of the voice, for `node`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Voice(self.0.key)
    }

    /// The voice as an enum value.
    fn key(&self) -> VoiceKey {
        self.0.key.into()
    }

    /// Name of the voice.
    fn display_name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        &self.0.texts.get(locale.into()).display_name
    }

    /// Tone in one word, in English, such as `analytical`.
    fn tone(&self) -> &str {
        &self.0.tone
    }

    /// Style of the vocabulary, in English, such as `technical`.
    fn vocabulary_style(&self) -> &str {
        &self.0.vocabulary_style
    }

    /// Faction of the voice; null if it has none.
    fn faction(&self) -> Option<FactionKey> {
        self.0.faction.map(Into::into)
    }
}
