//! One connection to a server whose database is a map.

#[path = "../../../crates/kv-server/src/command/tests/driver.rs"]
mod driver;
#[path = "../../../crates/kv-server/src/command/tests/store.rs"]
mod store;
#[path = "../../../crates/kv-server/src/command/tests/test_server.rs"]
mod test_server;

use std::collections::BTreeMap;

use driver::{Driver, START_MS};
use store::Store;
use test_server::TestServer;

use crate::command::Session;
use crate::resp::{OwnedArgs, Protocol, Reply};

/// A connection, its server and all data.
pub struct Connection {
    store: Store,
    server: TestServer,
    session: Session,
}

/// The answers to one run of commands.
pub struct Answers {
    /// Each with the protocol to encode it in.
    pub replies: Vec<(Reply, Protocol)>,
    /// True if the connection is closed behind them.
    pub is_closed: bool,
}

impl Default for Connection {
    fn default() -> Connection {
        let session = Session::new(1, true);
        Connection { store: Store::default(), server: TestServer::new(), session }
    }
}

impl Connection {
    /// Executes commands as one run, always at the same time and with the same
    /// seed.
    pub fn run(&mut self, commands: &[OwnedArgs]) -> Answers {
        let Connection { store, server, session } = self;
        let mut driver = Driver { store, server, session, now_ms: START_MS, seed: 1 };
        let result = driver.run(commands);
        Answers { replies: result.replies, is_closed: result.is_closed }
    }

    /// All keys and values as they are stored.
    pub fn contents(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let contents = self.store.contents().into_iter();
        contents.map(|(key, value)| (key, value.to_vec())).collect()
    }
}
