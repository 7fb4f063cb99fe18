//! Takes connections in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::clients::{Client, Refused};
use super::connection;
use super::counters::add;
use super::server::Server;

/// Pause behind a failed accept: the usual cause is that files have run out,
/// and the connection stays in line until one is free.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The least time between two lines of the log about failed accepts, in
/// milliseconds.
const TELL_PERIOD_MS: u64 = 60_000;

/// Accepts connections; ends only by being dropped.
pub(crate) async fn run(listener: TcpListener, server: Arc<Server>) {
    let mut told_at_ms = None;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A client that is gone already is no trouble of ours.
                let _ = take_in(stream, &server).await;
            }
            Err(error) => {
                let now_ms = server.clock.uptime_ms();
                if told_at_ms.is_none_or(|at_ms| now_ms.saturating_sub(at_ms) >= TELL_PERIOD_MS) {
                    server.log.tell(format!(
                        "connections wait in line: {error}; if it is for want of descriptors, \
                         raise the limit of open files (ulimit -n) or lower max_clients"
                    ));
                    told_at_ms = Some(now_ms);
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn take_in(mut stream: TcpStream, server: &Arc<Server>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (address, local_address) = (stream.peer_addr()?, stream.local_addr()?);
    let now_ms = server.clock.uptime_ms();
    let admitted = server.clients.admit(address, local_address, now_ms, &server.config());
    let (client, session) = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => {
            add(&server.counters.connections_refused, 1);
            return stream.write_all(describe(refused)).await;
        }
    };
    add(&server.counters.connections, 1);
    let membership = Membership { server: Arc::clone(server), client: Arc::clone(&client) };
    let server = Arc::clone(server);
    tokio::spawn(async move {
        // Also if the task panics: the place becomes free.
        let _membership = membership;
        connection::serve(stream, client, session, server).await;
    });
    Ok(())
}

fn describe(refused: Refused) -> &'static [u8] {
    match refused {
        Refused::TooManyClients => b"-ERR max number of clients reached\r\n",
        Refused::TooManyFromAddress => b"-ERR max number of clients from this address reached\r\n",
        Refused::Stopping => b"-SHUTDOWN the server is stopping; connect again later\r\n",
    }
}

/// The place of a connection among the clients.
struct Membership {
    server: Arc<Server>,
    client: Arc<Client>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.server.clients.remove(&self.client);
    }
}
