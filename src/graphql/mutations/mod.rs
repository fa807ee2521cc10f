//! Mutations, one file for each noun. A mutation parses its input, calls a service, which writes in one
//! transaction, and returns a payload: the changed objects, or `userErrors`.

pub mod account;
pub mod admin;
pub mod category;
pub mod moderation;
pub mod reading;
pub mod share;
pub mod tag;

use async_graphql::{ID, MergedObject};
use uuid::Uuid;

use super::errors::ApiError;
use super::id::GlobalId;

/// Root of all mutations. They run one after another.
#[derive(MergedObject, Default)]
pub struct Mutation(
    account::AccountMutation,
    reading::ReadingMutation,
    tag::TagMutation,
    category::CategoryMutation,
    share::ShareMutation,
    admin::AdminMutation,
    moderation::ModerationMutation,
);

/// Function that returns the key of an id of that type.
macro_rules! key_of {
    ($name:ident, $kind:ident) => {
        fn $name(argument: &'static str, id: &ID) -> Result<Uuid, ApiError> {
            match GlobalId::parse(argument, id)? {
                GlobalId::$kind(id) => Ok(id),
                other => Err(other.refuse(argument, stringify!($kind))),
            }
        }
    };
}

key_of!(card_key, Card);
key_of!(category_key, Category);
key_of!(reading_key, Reading);
key_of!(share_link_key, ShareLink);
key_of!(spread_key, Spread);
key_of!(user_key, User);
