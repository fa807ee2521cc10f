//! Factions.

use std::sync::Arc;

use async_graphql::{Context, Object};
use object_macro::object;

use super::context::{RequestContext, request};
use super::enums::{FactionKey, Locale};
use super::fast_json::Direct;
use super::id::GlobalId;
use super::voice::Voice;
use crate::domain::faction;

/// Query fields that return factions.
#[derive(Default)]
pub struct FactionQuery;

#[Object]
impl FactionQuery {
    /// The nine factions, always the same.
    async fn factions(&self, context: &Context<'_>) -> Direct<Vec<Faction>> {
        Direct(request(context).catalogue.factions().iter().map(Faction::of).collect())
    }
}

/// A faction: the allegiance of a user, with the voices that suit it.
#[derive(Clone)]
pub struct Faction(Arc<faction::Faction>);

impl Faction {
    /// The GraphQL type of a faction.
    #[must_use]
    pub fn of(faction: &Arc<faction::Faction>) -> Self {
        Self(Arc::clone(faction))
    }
}

/// A faction: the allegiance of a user, with the voices that suit it.
#[object]
impl Faction {
    /// Id of the faction, for `node`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Faction(self.0.key)
    }

    /// The faction as an enum value.
    fn key(&self) -> FactionKey {
        self.0.key.into()
    }

    /// Name of the faction.
    fn name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.names.get(locale.into())
    }

    /// Alignment, in English, such as `lawful neutral`.
    fn alignment(&self) -> &str {
        &self.0.alignment
    }

    /// Voices that suit the faction, the best match first. At most 14.
    fn voices(&self, request: &RequestContext) -> Vec<Voice> {
        let catalogue = &request.catalogue;
        self.0.voices.iter().filter_map(|key| catalogue.voice(*key)).map(Voice::of).collect()
    }
}
