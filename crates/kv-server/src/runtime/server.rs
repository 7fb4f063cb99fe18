//! What all connections share.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::{ArcSwap, Guard};
use kv_engine::Engine;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::auth_log::AuthLog;
use super::clients::Clients;
use super::clock::ServerClock;
use super::counters::Counters;
use super::log::Log;
use super::memory::MemoryBudget;
use super::stall::StallWatch;
use super::sweep::SweepState;
use crate::command::ScanCursors;
use crate::config::Config;

/// One running server.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    config: ArcSwap<Config>,
    pub(crate) config_source: String,
    pub(crate) address: SocketAddr,
    pub(crate) clients: Clients,
    pub(crate) counters: Counters,
    pub(crate) memory: Arc<MemoryBudget>,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) log: Log,
    pub(crate) auth_log: AuthLog,
    pub(crate) stall: StallWatch,
    pub(crate) scan_cursors: ScanCursors,
    pub(crate) sweep: SweepState,
    /// Parameters of Redis that are accepted, remembered and without effect.
    pub(crate) foreign_parameters: Mutex<BTreeMap<String, String>>,
    /// Told when a client has asked for `SHUTDOWN`.
    pub(crate) shutdown_requested: Notify,
    seeds: Seeds,
}

impl Server {
    pub(crate) fn new(
        engine: Engine,
        config: Config,
        config_source: String,
        address: SocketAddr,
        clock: Arc<ServerClock>,
        log: Log,
    ) -> Server {
        let seeds = Seeds::new();
        Server {
            engine,
            config: ArcSwap::from_pointee(config),
            config_source,
            address,
            clients: Clients::default(),
            counters: Counters::default(),
            memory: Arc::default(),
            clock,
            log,
            auth_log: AuthLog::default(),
            stall: StallWatch::default(),
            scan_cursors: ScanCursors::new(seeds.next() as u32),
            sweep: SweepState::default(),
            foreign_parameters: Mutex::default(),
            shutdown_requested: Notify::new(),
            seeds,
        }
    }

    /// The settings as of now. Cheap, and not to be held for long.
    pub(crate) fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    pub(crate) fn set_config(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// What the random choices of the next run start from.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.next()
    }
}

/// Numbers that nobody outside can foresee, one per run.
#[derive(Debug)]
struct Seeds {
    secret: RandomState,
    count: AtomicU64,
}

impl Seeds {
    fn new() -> Seeds {
        Seeds { secret: RandomState::new(), count: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.secret.hash_one(self.count.fetch_add(1, Relaxed))
    }
}
