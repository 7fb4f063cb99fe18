//! Who is connected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::per_address::PerAddress;
use crate::command::{ClientInfo, Session};
use crate::config::Config;
use crate::resp::Protocol;

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// For a request to begin.
    Idle = 0,
    /// For the rest of a request, or for the client to take its replies.
    Transfer = 1,
    /// For the engine. No timeout: an answer that comes late is still right.
    Execution = 2,
}

/// How a connection was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stop {
    /// Go on.
    No = 0,
    /// Close once the replies of the current run have left.
    AfterRun = 1,
    /// Close at once.
    Now = 2,
}

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// One connection, as everyone but its own task sees it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    local_address: SocketAddr,
    connected_at_ms: u64,
    phase: AtomicU8,
    progress_at_ms: AtomicU64,
    /// Since when the client has owed its `AUTH`; [`NEVER`] if it owes none.
    unauthenticated_since_ms: AtomicU64,
    pub(crate) input_bytes: AtomicUsize,
    pub(crate) output_bytes: AtomicUsize,
    /// Since when more copies of replies wait than the soft limit; [`NEVER`]
    /// if they do not.
    over_soft_limit_since_ms: AtomicU64,
    stop: AtomicU8,
    stop_signal: Notify,
    details: Mutex<Details>,
}

/// What `CLIENT LIST` shows of the session, as of the last run.
#[derive(Debug)]
struct Details {
    name: Arc<str>,
    library_name: Arc<str>,
    library_version: Arc<str>,
    database: u8,
    queued: Option<usize>,
    protocol: Protocol,
    last_command: &'static str,
}

impl Details {
    fn of(session: &Session) -> Details {
        Details {
            name: Arc::clone(&session.name),
            library_name: Arc::clone(&session.library_name),
            library_version: Arc::clone(&session.library_version),
            database: session.database,
            queued: session.queued_commands(),
            protocol: session.protocol,
            last_command: "",
        }
    }
}

impl Client {
    /// Notes that the connection has come to `phase`, or made progress in it,
    /// at `now_ms` of the server's uptime.
    pub(crate) fn note(&self, phase: Phase, now_ms: u64) {
        self.phase.store(phase as u8, Relaxed);
        self.progress_at_ms.store(now_ms, Relaxed);
    }

    /// The phase, and for how many milliseconds there was no progress in it.
    pub(crate) fn waiting(&self, now_ms: u64) -> (Phase, u64) {
        let phase = match self.phase.load(Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Transfer,
            _ => Phase::Execution,
        };
        (phase, now_ms.saturating_sub(self.progress_at_ms.load(Relaxed)))
    }

    /// Notes whether more waits for the client at `now_ms` than the soft limit.
    pub(crate) fn note_soft_limit(&self, is_over: bool, now_ms: u64) {
        let since_ms = match is_over {
            true => now_ms.min(self.over_soft_limit_since_ms.load(Relaxed)),
            false => NEVER,
        };
        self.over_soft_limit_since_ms.store(since_ms, Relaxed);
    }

    /// For how many milliseconds more has been waiting than the soft limit.
    pub(crate) fn over_soft_limit_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.over_soft_limit_since_ms.load(Relaxed))
    }

    /// For how many milliseconds the client has owed its `AUTH`.
    pub(crate) fn unauthenticated_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.unauthenticated_since_ms.load(Relaxed))
    }

    /// Notes the state of the session after a run.
    pub(crate) fn note_session(&self, session: &Session, last_command: &'static str) {
        let since_ms = match session.authenticated {
            true => NEVER,
            // Behind `RESET` from this run on.
            false => {
                let run_ms = self.progress_at_ms.load(Relaxed);
                run_ms.min(self.unauthenticated_since_ms.load(Relaxed))
            }
        };
        self.unauthenticated_since_ms.store(since_ms, Relaxed);
        let mut details = self.details.lock();
        details.last_command = last_command;
        details.database = session.database;
        details.queued = session.queued_commands();
        details.protocol = session.protocol;
        refresh(&mut details.name, &session.name);
        refresh(&mut details.library_name, &session.library_name);
        refresh(&mut details.library_version, &session.library_version);
    }

    /// Tells the connection to end. A stronger word stands.
    pub(crate) fn stop(&self, stop: Stop) {
        self.stop.fetch_max(stop as u8, Relaxed);
        self.stop_signal.notify_one();
    }

    /// Resolves once the connection was told to end at least as urgently as
    /// `least`. Only the connection's own task may wait here.
    pub(crate) async fn stopped(&self, least: Stop) {
        while self.stop.load(Relaxed) < least as u8 {
            self.stop_signal.notified().await;
        }
    }

    pub(crate) fn info(&self, now_ms: u64) -> ClientInfo {
        let details = self.details.lock();
        let (_, idle_ms) = self.waiting(now_ms);
        ClientInfo {
            id: self.id,
            address: self.address.to_string(),
            local_address: self.local_address.to_string(),
            name: details.name.to_string(),
            age_s: now_ms.saturating_sub(self.connected_at_ms) / 1000,
            idle_s: idle_ms / 1000,
            database: details.database,
            queued: details.queued,
            input_bytes: self.input_bytes.load(Relaxed),
            output_bytes: self.output_bytes.load(Relaxed),
            last_command: details.last_command.to_owned(),
            protocol_number: details.protocol.number(),
            library_name: details.library_name.to_string(),
            library_version: details.library_version.to_string(),
        }
    }
}

/// Takes over a shared text if it is another one.
fn refresh(held: &mut Arc<str>, current: &Arc<str>) {
    if !Arc::ptr_eq(held, current) {
        *held = Arc::clone(current);
    }
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooManyClients,
    TooManyFromAddress,
    Stopping,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    inner: Mutex<Inner>,
    /// Told whenever the last connection has gone.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    is_closed: bool,
    clients: BTreeMap<u64, Arc<Client>>,
    per_address: PerAddress,
}

impl Clients {
    /// Takes a connection in, with the session it starts with.
    pub(crate) fn admit(
        &self,
        address: SocketAddr,
        local_address: SocketAddr,
        now_ms: u64,
        config: &Config,
    ) -> Result<(Arc<Client>, Session), Refused> {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            return Err(Refused::Stopping);
        }
        if inner.clients.len() as u64 >= config.max_clients {
            return Err(Refused::TooManyClients);
        }
        if !inner.per_address.take(address.ip(), config) {
            return Err(Refused::TooManyFromAddress);
        }
        inner.last_id += 1;
        let session = Session::new(inner.last_id, !config.password.is_set());
        let client = Arc::new(Client {
            id: inner.last_id,
            address,
            local_address,
            connected_at_ms: now_ms,
            phase: AtomicU8::new(Phase::Idle as u8),
            progress_at_ms: AtomicU64::new(now_ms),
            unauthenticated_since_ms: AtomicU64::new(match session.authenticated {
                true => NEVER,
                false => now_ms,
            }),
            input_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            over_soft_limit_since_ms: AtomicU64::new(NEVER),
            stop: AtomicU8::new(Stop::No as u8),
            stop_signal: Notify::new(),
            details: Mutex::new(Details::of(&session)),
        });
        inner.clients.insert(client.id, Arc::clone(&client));
        Ok((client, session))
    }

    /// Forgets a connection that has ended.
    pub(crate) fn remove(&self, client: &Client) {
        let mut inner = self.inner.lock();
        inner.clients.remove(&client.id);
        inner.per_address.give_back(client.address.ip());
        if inner.clients.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// All connections, by rising number.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.inner.lock().clients.values().cloned().collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.inner.lock().clients.get(&id).cloned()
    }

    /// Takes no new connections and tells all present ones to end.
    pub(crate) fn close(&self, stop: Stop) {
        let clients = {
            let mut inner = self.inner.lock();
            inner.is_closed = true;
            inner.clients.values().cloned().collect::<Vec<_>>()
        };
        for client in clients {
            client.stop(stop);
        }
    }

    /// Resolves when no connection is left.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.inner.lock().clients.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}
