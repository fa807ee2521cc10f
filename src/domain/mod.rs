//! Domain types and business rules. No I/O, and independent of the database and of GraphQL.

pub mod card;
pub mod card_list;
pub mod counted;
pub mod enums;
pub mod error_code;
pub mod faction;
pub mod interpretation;
pub mod locale;
pub mod lock;
pub mod page;
pub mod popular_spreads;
pub mod public_counts;
pub mod range;
pub mod reading;
pub mod reading_list;
pub mod recommendation;
pub mod search;
pub mod spread;
pub mod spread_list;
pub mod statistics;
pub mod truncated;
pub mod user;
pub mod user_error;
pub mod viewer;
pub mod voice;
pub mod web_origin;
