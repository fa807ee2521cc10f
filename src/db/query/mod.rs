//! Pieces that statements are built of, generic over entities.

pub mod columns;
pub mod keyset;
pub mod membership;
