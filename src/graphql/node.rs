//! Any object by its id.

#![expect(
    missing_docs,
    reason = "the derive of an interface writes a method without a description"
)]

use async_graphql::{Context, ID, Interface, Object};

use super::card::Card;
use super::category::Category;
use super::context::{RequestContext, request};
use super::errors::ApiError;
use super::faction::Faction;
use super::id::GlobalId;
use super::list::List;
use super::reading::Reading;
use super::share::ShareLink;
use super::spread::Spread;
use super::user::User;
use super::voice::Voice;
use crate::db::query::columns::ReadingColumns;
use crate::db::shares::ShareRow;
use crate::domain::counted::counted;
use crate::loaders::ReadingOfId;

/// An object that `node` returns by its id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The object's id, unique over all types."))]
pub enum Node {
    /// One of the 78 cards.
    Card(Card),
    /// A folder for readings, visible to its owner alone.
    Category(Category),
    /// A faction, the allegiance of a user.
    Faction(Faction),
    /// A question and the cards drawn for it.
    Reading(Reading),
    /// A secret link to one reading, visible to its owner alone.
    ShareLink(ShareLink),
    /// A layout of positions.
    Spread(Spread),
    /// A registered user.
    User(User),
    /// A character that phrases interpretations.
    Voice(Voice),
}

/// Query fields that return any object.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id; null if it does not exist or the viewer may not see it.
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of any object that implements `Node`.")] id: ID,
    ) -> Option<Result<Node, ApiError>> {
        match parse_node("id", &id) {
            Ok(id) => find(request(context), "Query.node", id).await.transpose(),
            Err(error) => Some(Err(error)),
        }
    }

    /// The objects with these ids, in the same order; null for each one that does not exist or that
    /// the viewer may not see.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<List<Option<Node>>, ApiError> {
        let request = request(context);
        let maximum = request.limits.ids;
        if ids.len() > maximum {
            return Err(ApiError::BadInput {
                argument: "ids",
                message: format!(
                    "`ids` has {}; it must have at most {maximum}",
                    counted(ids.len(), "id")
                ),
            });
        }
        let parse =
            |(index, id): (usize, &ID)| parse_node("ids", id).map_err(|error| error.of_item(index));
        let ids = ids.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        futures_util::future::try_join_all(
            ids.into_iter().map(|id| find(request, "Query.nodes", id)),
        )
        .await
        .map(List)
    }
}

fn parse_node(argument: &'static str, id: &str) -> Result<GlobalId, ApiError> {
    match GlobalId::parse(argument, id)? {
        other
        @ (GlobalId::DrawnCard(..) | GlobalId::SpreadPosition(..) | GlobalId::SuitInfo(_)) => {
            Err(other.refuse(argument, "node"))
        }
        node => Ok(node),
    }
}

async fn find(
    request: &RequestContext,
    field: &'static str,
    id: GlobalId,
) -> Result<Option<Node>, ApiError> {
    let (catalogue, loaders) = (&request.catalogue, &request.loaders);
    Ok(match id {
        GlobalId::Card(id) => catalogue.card(id).map(Card::of).map(Node::Card),
        GlobalId::Category(id) => {
            let row = loaders.category_by_id.load_one_for(field, id).await?;
            row.map(|row| Node::Category(Category(row)))
        }
        GlobalId::Faction(key) => catalogue.faction(key).map(Faction::of).map(Node::Faction),
        GlobalId::Reading(id) => {
            let key = ReadingOfId { id, columns: ReadingColumns::WithTexts };
            let row = loaders.reading_by_id.load_one_for(field, key).await?;
            row.map(|row| Node::Reading(Reading(row)))
        }
        GlobalId::ShareLink(id) => {
            let share = loaders.share_by_id.load_one_for(field, id).await?;
            share.map(|row| Node::ShareLink(ShareLink(ShareRow::clone(&row))))
        }
        GlobalId::Spread(id) => catalogue.spread(id).map(Spread::of).map(Node::Spread),
        GlobalId::User(id) => {
            let row = loaders.user_by_id.load_one_for(field, id).await?;
            row.filter(|row| row.is_active).map(|row| Node::User(User(row)))
        }
        GlobalId::Voice(key) => catalogue.voice(key).map(Voice::of).map(Node::Voice),
        GlobalId::DrawnCard(..) | GlobalId::SpreadPosition(..) | GlobalId::SuitInfo(_) => None,
    })
}
