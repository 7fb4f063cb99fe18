//! One connection: bytes in, runs, bytes out.
//!
//! 1. Collect the complete requests of what has arrived; a bounded number of
//!    them is a run.
//! 2. Execute the run ([`super::run`]) and send its replies with one write.
//! 3. When no complete request is left, wait for more bytes.
//!
//! A client that does not take its replies is not read from, so what waits for
//! it is bounded by one run. Nothing is kept for a client beyond its buffers,
//! and those are reserved from the budget of all clients once they grow.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::clients::{Client, Phase, Stop};
use super::counters::add;
use super::memory::Held;
use super::output::Output;
use super::run::{Run, RunEnd};
use super::server::Server;
use super::wire::{ClientWire, Ended};
use crate::command::Session;
use crate::config::Config;
use crate::resp::{ProtocolError, Reply, RequestDecoder, RequestLimits};

/// Bytes of a fresh input buffer; it doubles while reads fill it.
const MIN_INPUT_BYTES: usize = 4 << 10;

/// Room below which the buffer grows: a read should be worth its call.
const MIN_SPARE_BYTES: usize = 1 << 10;

/// The input buffer of a busy client with small requests.
const MAX_IDLE_INPUT_BYTES: usize = 64 << 10;

/// Requests of one run: enough for any pipeline, little enough that others get
/// their turn within a millisecond.
const MAX_REQUESTS_PER_RUN: usize = 1024;

/// Redis's limit of arguments, a million and a little.
const MAX_ARGUMENTS: usize = 1 << 20;

/// What a client may send and be sent before it has authenticated, in all.
const MAX_UNAUTHENTICATED_BYTES: u64 = 1 << 20;

/// Progress within a request that restarts its timeout: a client on a slow
/// line may take its time for a large value, one that drips bytes may not.
const PROGRESS_BYTES: usize = 64 << 10;

/// How long a client that sent a wrong password waits for the answer.
const AUTH_FAILURE_DELAY: Duration = Duration::from_millis(250);

/// Serves one client until it or the server has enough.
pub(crate) async fn serve(
    stream: TcpStream,
    client: Arc<Client>,
    session: Session,
    server: Arc<Server>,
) {
    let limits = limits(&server.config(), session.authenticated);
    let mut connection = Connection {
        decoder: RequestDecoder::new(limits),
        wire: ClientWire::new(stream, client, server),
        session,
        input: Vec::new(),
        output: Output::new(),
        unauthenticated_bytes: 0,
        is_transfer_noted: false,
    };
    match connection.serve().await {
        Ok(never) => match never {},
        Err(ended) => connection.say_farewell(ended).await,
    }
}

enum Never {}

struct Connection {
    wire: ClientWire,
    decoder: RequestDecoder,
    session: Session,
    input: Vec<u8>,
    output: Output,
    unauthenticated_bytes: u64,
    /// The unfinished request in the buffer is known to the watchdog.
    is_transfer_noted: bool,
}

impl Connection {
    async fn serve(&mut self) -> Result<Never, Ended> {
        loop {
            let decoded = self.decoder.decode(&mut self.input);
            if self.decoder.requests(&self.input).is_empty() {
                decoded.map_err(Ended::Protocol)?;
                // Requests without arguments make no run and would pile up.
                if self.decoder.consume(&mut self.input) {
                    // What is unfinished behind them has begun just now.
                    self.is_transfer_noted = false;
                }
                self.receive().await?;
            } else {
                self.execute_run().await?;
                decoded.map_err(Ended::Protocol)?;
                self.decoder.consume(&mut self.input);
            }
        }
    }

    async fn execute_run(&mut self) -> Result<(), Ended> {
        let server = Arc::clone(&self.wire.server);
        self.wire.client.note(Phase::Execution, server.clock.uptime_ms());
        self.is_transfer_noted = false;
        let failures_before = self.session.auth_failures;
        let was_authenticated = self.session.authenticated;
        let run = Run::new(
            self.decoder.requests(&self.input),
            &mut self.session,
            &mut self.output,
            &mut self.wire,
        );
        let end = run.execute().await;
        let failures = self.session.auth_failures.saturating_sub(failures_before);
        if failures > 0 {
            self.answer_late(failures).await;
        }
        let end = end?;
        let replied = self.output.len() as u64;
        self.wire.send(&mut self.output).await?;
        if self.session.authenticated != was_authenticated {
            self.unauthenticated_bytes = 0;
        }
        self.note_unauthenticated(replied)?;
        self.decoder.set_limits(limits(&server.config(), self.session.authenticated));
        match end {
            RunEnd::GoOn => Ok(()),
            RunEnd::Close => Err(Ended::Closed),
        }
    }

    /// Tells of wrong passwords and makes their sender wait, for each of them.
    async fn answer_late(&mut self, failures: u32) {
        let ClientWire { client, server, .. } = &self.wire;
        add(&server.counters.auth_failures, u64::from(failures));
        let now_ms = server.clock.uptime_ms();
        if let Some(line) = server.auth_log.note(client.address, failures, now_ms) {
            server.log.tell(line);
        }
        tokio::select! {
            () = tokio::time::sleep(AUTH_FAILURE_DELAY * failures) => {}
            () = client.stopped(Stop::AfterRun) => {}
        }
    }

    /// Waits until more bytes have come.
    async fn receive(&mut self) -> Result<(), Ended> {
        self.make_room()?;
        let ClientWire { stream, client, server, .. } = &mut self.wire;
        match self.decoder.is_inside_request(&self.input) {
            false => {
                client.note(Phase::Idle, server.clock.uptime_ms());
                self.is_transfer_noted = false;
            }
            true if !self.is_transfer_noted => {
                client.note(Phase::Transfer, server.clock.uptime_ms());
                self.is_transfer_noted = true;
            }
            true => {}
        }
        // Whoever sees them sees a client whose time has begun.
        client.input_bytes.store(self.input.len(), Relaxed);
        let progress = self.input.len() % PROGRESS_BYTES;
        let received = tokio::select! {
            biased;
            // First: a client that writes without a pause always has something.
            () = client.stopped(Stop::AfterRun) => return Err(Ended::Stopped),
            received = stream.read_buf(&mut self.input) => received?,
        };
        if received == 0 {
            return Err(Ended::Closed);
        }
        if progress + received >= PROGRESS_BYTES {
            client.note(Phase::Transfer, server.clock.uptime_ms());
        }
        add(&server.counters.bytes_in, received as u64);
        self.note_unauthenticated(received as u64)
    }

    /// Counts what goes to and fro before the client has authenticated.
    fn note_unauthenticated(&mut self, bytes: u64) -> Result<(), Ended> {
        if self.session.authenticated {
            return Ok(());
        }
        self.unauthenticated_bytes += bytes;
        match self.unauthenticated_bytes <= MAX_UNAUTHENTICATED_BYTES {
            true => Ok(()),
            false => Err(Ended::Protocol(ProtocolError::UnauthenticatedTooMuch)),
        }
    }

    /// Makes room for the next read: as much as is known to come, but never
    /// more than has come already; small again once a large request is over.
    fn make_room(&mut self) -> Result<(), Ended> {
        let len = self.input.len();
        if len == 0 {
            self.input.shrink_to(MAX_IDLE_INPUT_BYTES);
        }
        if self.input.capacity() - len < MIN_SPARE_BYTES {
            let missing = self.decoder.missing_bytes(&self.input);
            let more = match missing {
                0 => len,
                missing => missing.min(len),
            };
            self.input.reserve_exact(more.max(MIN_INPUT_BYTES));
        }
        let held = self.held();
        match self.wire.hold(held) {
            true => Ok(()),
            false => Err(Ended::MemoryLimit),
        }
    }

    /// What this connection holds between two runs.
    fn held(&self) -> Held {
        let session = self.session.held_bytes();
        Held {
            input: self.input.capacity() + self.decoder.held_bytes() + session,
            output: self.output.held_bytes(),
            batch: 0,
        }
    }

    /// Tells the client why, where that makes sense.
    async fn say_farewell(&mut self, ended: Ended) {
        // Nothing more is executed: others need the memory, and the last reply does.
        self.input = Vec::new();
        if matches!(ended, Ended::OutputLimit) {
            self.output.clear();
        }
        self.session.discard();
        self.decoder =
            RequestDecoder::new(limits(&self.wire.server.config(), self.session.authenticated));
        let held = self.held();
        self.wire.hold(held);
        let counters = &self.wire.server.counters;
        let text = match &ended {
            Ended::Protocol(ProtocolError::CrossProtocol) => None,
            Ended::Protocol(error) => Some(format!("ERR {error}")),
            Ended::MemoryLimit => Some(
                "ERR the memory for clients is used up (client_memory_limit); try again later"
                    .to_owned(),
            ),
            Ended::OutputLimit | Ended::Stopped | Ended::Closed => None,
        };
        match &ended {
            Ended::Protocol(_) => add(&counters.protocol_errors, 1),
            Ended::OutputLimit => add(&counters.output_limit_disconnections, 1),
            _ => {}
        }
        if let Some(text) = text {
            self.output.push(&Reply::error(text), self.session.protocol);
            if self.wire.send(&mut self.output).await.is_ok() {
                self.wire.linger(Stop::AfterRun).await;
            }
        } else if matches!(ended, Ended::Stopped) && self.wire.has_unread() {
            self.wire.linger(Stop::Now).await;
        }
    }
}

fn limits(config: &Config, is_authenticated: bool) -> RequestLimits {
    if !is_authenticated {
        return RequestLimits {
            arguments: 10,
            argument_bytes: 16 << 10,
            request_bytes: 256 << 10,
            requests_per_run: 1,
            unauthenticated: true,
        };
    }
    let request_bytes = usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX);
    RequestLimits {
        arguments: MAX_ARGUMENTS,
        argument_bytes: request_bytes.min(kv_core::MAX_VALUE_BYTES),
        request_bytes,
        requests_per_run: MAX_REQUESTS_PER_RUN,
        unauthenticated: false,
    }
}
