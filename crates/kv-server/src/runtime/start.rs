//! From a configuration to a running server, and back.
//!
//! Start: bind the port, open the database, then accept. A port in use is
//! found out before a directory is created; a client that connects early waits
//! in line until recovery is done.
//!
//! Stop: accept no more, let every connection finish its run, close the
//! database. Connections that do not come to an end in time are cut; what they
//! were told is durable all the same.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kv_engine::{Engine, Env, RetentionRule};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::clients::Stop;
use super::clock::ServerClock;
use super::error::StartError;
use super::log::Log;
use super::server::Server;
use super::{listener, sweep, watchdog};
use crate::command::is_expired_entry;
use crate::config::{Config, LoadedConfig, durability_name};

/// Threads that serve connections: one per core, but two where there is one,
/// so that a long command does not hold up the rest, and no more than are of
/// use in front of one log.
const WORKER_THREADS: RangeInclusive<usize> = 2..=8;

/// How long a stop waits for connections to finish their runs.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it waits for those that were cut then.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it waits for the database to be closed: a disk that hangs must not
/// keep the process for ever.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Signal of a file over the process's size limit. Its default action kills;
/// with a handler the write fails with an error that the engine reports.
#[cfg(target_os = "linux")]
const SIGXFSZ: i32 = 25;

/// Exit code after a second signal: stopped without waiting for connections.
const EXIT_IMPATIENT: i32 = 1;

/// A server that accepts connections until it is stopped.
pub struct RunningServer {
    runtime: Runtime,
    server: Arc<Server>,
    accepting: tokio::task::JoinHandle<()>,
}

impl RunningServer {
    /// Opens the database and begins to listen.
    ///
    /// # Errors
    /// [`StartError`]; nothing was created if the configuration is wrong or
    /// the port is in use.
    pub fn start(loaded: LoadedConfig) -> Result<RunningServer, StartError> {
        RunningServer::launch(loaded, |config| Env::real(&config.data_dir, true))
    }

    /// The same in the directory and by the clock of `env`, for simulations:
    /// `data_dir` is a name only.
    ///
    /// # Errors
    /// As of [`start`](RunningServer::start).
    pub fn start_in(loaded: LoadedConfig, env: Env) -> Result<RunningServer, StartError> {
        RunningServer::launch(loaded, |_| Ok(env))
    }

    fn launch(
        loaded: LoadedConfig,
        make_env: impl FnOnce(&Config) -> kv_engine::Result<Env>,
    ) -> Result<RunningServer, StartError> {
        let LoadedConfig { mut config, source, notices } = loaded;
        config.read_password_file()?;
        config.validate()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.clamp(*WORKER_THREADS.start(), *WORKER_THREADS.end()))
            .thread_name("kv-connections")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        // From the first write on: recovery writes as well.
        #[cfg(target_os = "linux")]
        let _handler = runtime
            .block_on(async { signal(SignalKind::from_raw(SIGXFSZ)) })
            .map_err(StartError::Runtime)?;
        let refused = |reason| StartError::Listen { address: config.listen, reason };
        let listener = runtime.block_on(TcpListener::bind(config.listen)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let mut options = config.engine_options();
        options.validate()?;
        let env = make_env(&config)?;
        let clock = Arc::new(ServerClock::start(Arc::clone(&env.clock)));
        options.retention = Some(Arc::new(ExpiryRule { clock: Arc::clone(&clock) }));
        let engine = Engine::open_in(env, options)?;
        let log = Log::start().map_err(StartError::Runtime)?;
        notices.into_iter().for_each(|notice| log.tell(notice));
        let server = Arc::new(Server::new(engine, config, source, address, clock, log));
        let accepting = runtime.spawn(listener::run(listener, Arc::clone(&server)));
        runtime.spawn(watchdog::run(Arc::clone(&server)));
        runtime.spawn(sweep::run(Arc::clone(&server)));
        Ok(RunningServer { runtime, server, accepting })
    }

    /// Where the server listens; names the port that was chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Version, address, source of the configuration, directory, and what
    /// recovery did, in one line.
    pub fn start_line(&self) -> String {
        let config = self.server.config();
        format!(
            "kv-server {} listening on {}; configuration: {}; data: {}; durability: {}; {}",
            env!("CARGO_PKG_VERSION"),
            self.server.address,
            self.server.config_source,
            config.data_dir.display(),
            durability_name(config.durability),
            self.server.engine.recovery_report(),
        )
    }

    /// Serves until SIGTERM, SIGINT or a client's `SHUTDOWN`, then stops. A
    /// second signal ends the process at once.
    ///
    /// # Errors
    /// Those of [`stop`](RunningServer::stop); signals that cannot be handled.
    pub fn run(self) -> Result<(), StartError> {
        self.runtime
            .block_on(async {
                let mut terminate = signal(SignalKind::terminate())?;
                let mut interrupt = signal(SignalKind::interrupt())?;
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = self.server.shutdown_requested.notified() => {}
                }
                tokio::spawn(async move {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    std::process::exit(EXIT_IMPATIENT);
                });
                Ok(())
            })
            .map_err(StartError::Runtime)?;
        self.stop().map_err(StartError::Engine)
    }

    /// Finishes the runs of all connections, closes the database and returns
    /// when its directory is free again.
    ///
    /// # Errors
    /// If the log could not be synced: the outcome of writes that were
    /// acknowledged with less than `sync` durability is unknown then.
    pub fn stop(self) -> kv_engine::Result<()> {
        let RunningServer { runtime, server, accepting } = self;
        accepting.abort();
        runtime.block_on(async {
            for (stop, timeout) in [(Stop::AfterRun, DRAIN_TIMEOUT), (Stop::Now, CUT_TIMEOUT)] {
                server.clients.close(stop);
                if tokio::time::timeout(timeout, server.clients.wait_until_empty()).await.is_ok() {
                    break;
                }
            }
        });
        let closed = within(CLOSE_TIMEOUT, move || server.engine.close());
        runtime.shutdown_timeout(CUT_TIMEOUT);
        closed
    }
}

/// Carries out `close`, but waits no longer than `limit` for it.
fn within(
    limit: Duration,
    close: impl FnOnce() -> kv_engine::Result<()> + Send + 'static,
) -> kv_engine::Result<()> {
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = done.send(close());
    });
    outcome.recv_timeout(limit).unwrap_or_else(|_| {
        let what = format!(
            "the database could not be closed within {} seconds; everything acknowledged as \
             durable is, and the next start recovers it",
            limit.as_secs()
        );
        Err(kv_engine::Error::Busy(what))
    })
}

/// What compactions may drop.
struct ExpiryRule {
    clock: Arc<ServerClock>,
}

impl RetentionRule for ExpiryRule {
    fn is_expired(&self, key: &[u8], value: &[u8]) -> bool {
        is_expired_entry(key, value, self.clock.wall_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_that_hangs_is_given_up() {
        let (let_go, gate) = mpsc::channel::<()>();
        let closed = within(Duration::ZERO, move || {
            let _ = gate.recv();
            Ok(())
        });
        assert!(closed.unwrap_err().to_string().contains("could not be closed within"));
        drop(let_go);
        assert!(within(CLOSE_TIMEOUT, || Ok(())).is_ok());
    }
}
