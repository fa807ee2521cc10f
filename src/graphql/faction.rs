//! Factions.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::context::request;
use super::enums::{FactionKey, Locale};
use super::id::GlobalId;
use super::voice::Voice;
use crate::domain::faction;

/// Fields of the query type that answer factions.
#[derive(Default)]
pub struct FactionQuery;

#[Object]
impl FactionQuery {
    /// The nine factions.
    async fn factions(&self, context: &Context<'_>) -> Vec<Faction> {
        request(context).catalogue.factions().iter().map(Faction::of).collect()
    }
}

/// An allegiance of users, and a filter of voices.
#[derive(Clone)]
pub struct Faction(Arc<faction::Faction>);

impl Faction {
    /// The faction as clients see it.
    #[must_use]
    pub fn of(faction: &Arc<faction::Faction>) -> Self {
        Self(Arc::clone(faction))
    }
}

/// An allegiance of users, and a filter of voices.
#[Object]
impl Faction {
    /// The faction's id, for `node`.
    pub async fn id(&self) -> ID {
        GlobalId::Faction(self.0.key).encode()
    }

    /// Which faction.
    async fn key(&self) -> FactionKey {
        self.0.key.into()
    }

    /// What people call it.
    async fn name(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.names.get(locale.into())
    }

    /// Where it stands, in English: `lawful neutral`.
    async fn alignment(&self) -> &str {
        &self.0.alignment
    }

    /// The voices that suit its people, the first one foremost. At most 14.
    async fn voices(&self, context: &Context<'_>) -> Vec<Voice> {
        let catalogue = &request(context).catalogue;
        self.0.voices.iter().filter_map(|key| catalogue.voice(*key)).map(Voice::of).collect()
    }
}
