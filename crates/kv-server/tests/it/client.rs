//! A small blocking client, and a server to talk to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use kv_engine::Env;
use kv_server::{Config, RunningServer};
use tempfile::TempDir;

use crate::wire::{self, Wire, request};

/// A reply that takes this long will never come: the test fails, not hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, unread: Vec::new() }
    }

    /// The same connection for another thread, to send while this one reads.
    pub(crate) fn another_handle(&self) -> Client {
        Client { stream: self.stream.try_clone().unwrap(), unread: Vec::new() }
    }

    /// Where the server sees this client.
    pub(crate) fn local_address(&self) -> String {
        self.stream.local_addr().unwrap().to_string()
    }

    /// Sends one request, as words or as any list of bytes, and reads its reply.
    #[track_caller]
    pub(crate) fn call<I: AsRef<[u8]>>(&mut self, arguments: impl IntoIterator<Item = I>) -> Wire {
        self.send(&request(arguments));
        self.reply()
    }

    /// `call` with arguments separated by spaces.
    #[track_caller]
    pub(crate) fn say(&mut self, words: &str) -> Wire {
        self.call(words.split(' '))
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Like `send`, for a server that may have closed the connection already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    #[track_caller]
    pub(crate) fn reply(&mut self) -> Wire {
        self.next_reply().expect("the server closed the connection instead of answering")
    }

    #[track_caller]
    pub(crate) fn replies(&mut self, count: usize) -> Vec<Wire> {
        (0..count).map(|_| self.reply()).collect()
    }

    /// The next reply; `None` once the connection is closed.
    #[track_caller]
    pub(crate) fn next_reply(&mut self) -> Option<Wire> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            if let Some((reply, len)) = wire::decode(&self.unread) {
                self.unread.drain(..len);
                return Some(reply);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&chunk[..count]),
                // A read with a timeout is not restarted behind a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// True if nothing of a reply has arrived yet.
    #[track_caller]
    pub(crate) fn is_waiting(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        match peeked {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.unread.is_empty(),
            Ok(_) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// The length of all replies until the server closes the connection: for more
    /// than one wants to decode.
    #[track_caller]
    pub(crate) fn bytes_until_closed(&mut self) -> usize {
        let mut chunk = vec![0; 256 << 10];
        let mut bytes = std::mem::take(&mut self.unread).len();
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return bytes,
                Ok(count) => bytes += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// Tells the server that nothing more will come.
    pub(crate) fn finish_sending(&self) {
        // Fails where the server has closed the connection already.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// All replies until the server closes the connection.
    #[track_caller]
    pub(crate) fn replies_until_closed(&mut self) -> Vec<Wire> {
        std::iter::from_fn(|| self.next_reply()).collect()
    }
}

/// A server inside the test's process, on a port of its own.
pub(crate) struct TestServer {
    server: Option<RunningServer>,
    config: Config,
    /// Removed with the data in it when the server is dropped.
    _directory: TempDir,
}

impl TestServer {
    pub(crate) fn start() -> TestServer {
        TestServer::with(|_| {})
    }

    /// Starts with the default configuration changed by `change`.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> TestServer {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: directory.path().join("data"),
            // Most tests do not ask about power cuts and are faster so.
            durability: kv_engine::Durability::Os,
            ..Config::default()
        };
        change(&mut config);
        let server = Some(RunningServer::start(config.clone().into()).unwrap());
        TestServer { server, config, _directory: directory }
    }

    /// Starts with synced writes in the environment of a simulated disk.
    pub(crate) fn simulated(env: Env, change: impl FnOnce(&mut Config)) -> TestServer {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        change(&mut config);
        let server = Some(RunningServer::start_in(config.clone().into(), env).unwrap());
        TestServer { server, config, _directory: directory }
    }

    /// Stops, whatever becomes of the database.
    pub(crate) fn stop(mut self) -> kv_engine::Result<()> {
        self.server.take().unwrap().stop()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address()
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn running(&self) -> &RunningServer {
        self.server.as_ref().expect("it runs but for a moment in `restart`")
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Stops in order and starts again on the same directory.
    pub(crate) fn restart(&mut self) {
        self.server.take().unwrap().stop().unwrap();
        self.server = Some(RunningServer::start(self.config.clone().into()).unwrap());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // A test that fails already needs no second panic.
            let stopped = server.stop();
            assert!(stopped.is_ok() || std::thread::panicking(), "{stopped:?}");
        }
    }
}

/// The value of a field of `INFO`.
#[track_caller]
pub(crate) fn info(client: &mut Client, field: &str) -> String {
    let text = client.say("INFO everything").text();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {field}: {text}")).to_owned()
}

/// Asks `INFO` until a field has a value.
#[track_caller]
pub(crate) fn wait_for(client: &mut Client, field: &str, value: &str) {
    wait_until(client, &format!("{field} is {value}"), |client| info(client, field) == value);
}

/// Asks `INFO` for a counter until it is at least `least`.
#[track_caller]
pub(crate) fn wait_for_counter(client: &mut Client, field: &str, least: u64) {
    wait_until(client, &format!("{field} reaches {least}"), |client| {
        info(client, field).parse::<u64>().unwrap() >= least
    });
}

/// Asks until what goes on in the background has led to something: a wait that ends
/// as soon as that is there, and fails if it never comes.
#[track_caller]
pub(crate) fn wait_until(
    client: &mut Client,
    what: &str,
    mut is_there: impl FnMut(&mut Client) -> bool,
) {
    for _ in 0..2_000_000 {
        if is_there(client) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("it never came that {what}");
}
