//! `kill -9` of the server under load: no acknowledged write is lost, none is doubled, and it starts again.

use crate::support::app::{Content, TestApp, TestDatabase, on_both_databases};
use crate::support::fixtures::{rows, user};
use crate::support::load::Load;
use crate::support::program::{Program, insert};
use crate::transactions::assert_counters_agree;

const KILLS: usize = 4;
const WRITERS: usize = 8;
const READERS: usize = 4;
/// Acknowledged writes before each kill.
const WRITES: usize = 30;

on_both_databases! {
    async fn a_server_killed_under_load_loses_and_doubles_nothing(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let writers: Vec<String> = (0..WRITERS).map(|number| format!("writer{number}")).collect();
        let users = writers.iter().map(|name| user(name)).collect();
        insert(&database.url, rows(users, Vec::new())).await;
        let flags = ["--daily-readings=65535", "--database-pool-size=4"];
        let server = Program::start(&database.url, &flags).await;
        let load = Load::new(&server, writers, READERS).await;
        let kills = async {
            let mut recoveries = Vec::new();
            for _ in 0..KILLS {
                load.wait_for_writes(WRITES).await;
                server.kill();
                load.wait_for_failure().await;
                server.start_again().await;
                recoveries.push(load.recovery().await);
            }
            recoveries
        };
        let recoveries = load.run(kills).await;
        println!("{engine:?}: {:?}, recovered in {recoveries:?}", load.requests());
        load.assert_nothing_is_lost_or_doubled(&database).await;
        assert_eq!(server.stop().await, Some(0));
        // The counters that the last server had not folded are in the database.
        assert_counters_agree(&TestApp::start_on(database, &[]).await).await;
    }
}
