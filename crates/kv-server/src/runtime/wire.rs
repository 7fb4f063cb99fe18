//! The socket of one connection, on its way out: replies, and the last word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::clients::{Client, Phase, Stop};
use super::counters::add;
use super::memory::{Held, Reservation};
use super::output::Output;
use super::server::Server;
use crate::resp::ProtocolError;

/// How long a connection is kept open behind its last error.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client or the server had it so, or the socket failed.
    Closed,
    /// The connection was told to end, between two runs.
    Stopped,
    /// The client broke the protocol; it has been told, if it could be.
    Protocol(ProtocolError),
    /// The replies are over their limit, or no memory is left for them.
    OutputLimit,
    /// No memory is left for clients.
    MemoryLimit,
}

/// A socket that fails is as good as closed: there is nobody to tell.
impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Ended {
        Ended::Closed
    }
}

/// The socket, with what others may know about it.
pub(crate) struct ClientWire {
    pub(crate) stream: TcpStream,
    pub(crate) client: Arc<Client>,
    pub(crate) server: Arc<Server>,
    reservation: Reservation,
    held: Held,
}

impl ClientWire {
    pub(crate) fn new(stream: TcpStream, client: Arc<Client>, server: Arc<Server>) -> ClientWire {
        let reservation = Reservation::new(Arc::clone(&server.memory));
        ClientWire { stream, client, server, reservation, held: Held::default() }
    }

    /// Sends all replies.
    pub(crate) async fn send(&mut self, output: &mut Output) -> Result<(), Ended> {
        if output.is_empty() {
            return Ok(());
        }
        let bytes = output.len();
        let held = Held { output: output.held_bytes(), ..self.held };
        if output.is_over_limit() || !self.hold(held) {
            return Err(Ended::OutputLimit);
        }
        let ClientWire { stream, client, server, .. } = self;
        client.output_bytes.store(bytes, Relaxed);
        let copied = output.copied_bytes();
        let on_progress = |sent: usize| {
            if sent < bytes {
                let now_ms = server.clock.uptime_ms();
                client.note(Phase::Transfer, now_ms);
                let copied_left = copied.min(bytes - sent) as u64;
                let soft_limit = server.config().client_output_soft_limit;
                client.note_soft_limit(copied_left > soft_limit, now_ms);
            }
        };
        on_progress(0);
        tokio::select! {
            biased;
            // First: a client that reads without a pause always takes something.
            () = client.stopped(Stop::Now) => return Err(Ended::Closed),
            sent = output.send(stream, on_progress) => sent?,
        }
        client.output_bytes.store(0, Relaxed);
        client.note_soft_limit(false, server.clock.uptime_ms());
        add(&server.counters.bytes_out, bytes as u64);
        Ok(())
    }

    /// Reserves what this connection holds; false if that is too much.
    pub(crate) fn hold(&mut self, held: Held) -> bool {
        self.held = held;
        self.reservation.adjust(held, self.server.config().client_memory_limit)
    }

    /// Reserves what a part of a run takes until it is committed: its replies, and
    /// what its batch is longer than the requests that made it. An `APPEND` of one
    /// byte writes the whole value. False if that is too much.
    pub(crate) fn hold_part(&mut self, batch_bytes: usize, replies: &Output) -> bool {
        let batch = batch_bytes.saturating_sub(self.held.input);
        self.hold(Held { batch, output: replies.held_bytes(), ..self.held })
    }

    /// True if the client has sent what nobody has read.
    pub(crate) fn has_unread(&self) -> bool {
        self.stream.try_read(&mut [0]).is_ok_and(|count| count > 0)
    }

    /// Takes what the client is still sending and throws it away, for a
    /// moment or until it is told to end at least as urgently as `least`: a
    /// socket closed with unread bytes would take the last reply back before
    /// the client has seen it.
    pub(crate) async fn linger(&mut self, least: Stop) {
        let stream = &mut self.stream;
        let mut scrap = [0; 4 << 10];
        let discard = async {
            stream.shutdown().await?;
            while stream.read(&mut scrap).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::select! {
            // However it ends, the connection is closed next.
            _ = tokio::time::timeout(LINGER, discard) => {}
            () = self.client.stopped(least) => {}
        }
    }
}
