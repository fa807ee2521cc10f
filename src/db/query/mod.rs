//! Pieces that statements are built of, generic over entities.

pub mod keyset;
pub mod membership;
