//! Shared by the suites: servers and databases of a test's own, and rows to fill them with.

pub mod app;
pub mod fixtures;
pub mod load;
pub mod mutations;
pub mod page_walks;
pub mod postgres_cluster;
pub mod program;
pub mod redis_server;
pub mod small_disk;
pub mod tables;
pub mod world;
