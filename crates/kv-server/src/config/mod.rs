//! What the server is told: keys, their defaults, and where values come from.
//!
//! One table ([`keys`]) describes every key; the file, the environment, the
//! flags, `CONFIG GET` and `CONFIG SET`, the JSON schema and the table of the
//! README are all read off it. Flags win over the environment, the
//! environment over the file, the file over the defaults.

mod error;
mod file;
mod keys;
mod layers;
mod parse;
mod password;
mod password_file;
mod sandbox_mode;
mod schema;
mod suggest;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kv_engine::{Durability, FlushSize, ReadMode};

pub use error::{ConfigError, Origin};
pub use keys::show_all;
pub use layers::{LoadedConfig, Overrides, load};
pub use password::Password;
pub use sandbox_mode::SandboxMode;
pub use schema::{json_schema, markdown_table};

pub(crate) use keys::{Key, keys};
pub(crate) use parse::{Raw, durability_name};

/// Where the server looks for its configuration unless told otherwise.
pub const DEFAULT_CONFIG_FILE: &str = "config/config.json";

/// Every setting of the server, checked. The keys of the file have the names
/// of the fields; the README says what each is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the key table documents each field once")]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub memtable_flush_size: FlushSize,
    pub wal_batch_size: u64,
    pub wal_flush_interval_ms: u64,
    pub compaction_sstable_threshold: u64,
    pub block_cache_size: u64,
    pub read_mode: ReadMode,
    pub max_open_files: u64,
    pub disk_reserve_size: Option<u64>,
    pub scrub_bytes_per_second: u64,
    pub scrub_interval_secs: u64,
    pub allow_root: bool,
    pub sandbox: SandboxMode,
    pub password: Password,
    pub password_file: Option<PathBuf>,
    pub max_clients: u64,
    pub max_clients_per_address: Option<u64>,
    pub max_request_bytes: u64,
    pub client_output_limit: u64,
    pub client_output_soft_limit: u64,
    pub client_output_soft_limit_s: u64,
    pub client_memory_limit: u64,
    pub idle_timeout_s: u64,
    pub request_timeout_s: u64,
    pub auth_timeout_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 6380)),
            data_dir: PathBuf::from("data"),
            durability: Durability::Sync,
            memtable_flush_size: FlushSize::Bytes(64 << 20),
            wal_batch_size: 1024,
            wal_flush_interval_ms: 10,
            compaction_sstable_threshold: 4,
            block_cache_size: 256 << 20,
            read_mode: ReadMode::Map,
            max_open_files: 256,
            disk_reserve_size: None,
            scrub_bytes_per_second: 4 << 20,
            scrub_interval_secs: 7 * 24 * 60 * 60,
            allow_root: false,
            sandbox: SandboxMode::Off,
            password: Password::default(),
            password_file: None,
            max_clients: 10_000,
            max_clients_per_address: None,
            max_request_bytes: 1 << 30,
            client_output_limit: 64 << 20,
            client_output_soft_limit: 16 << 20,
            client_output_soft_limit_s: 10,
            client_memory_limit: 2 << 30,
            idle_timeout_s: 300,
            request_timeout_s: 30,
            auth_timeout_s: 10,
        }
    }
}

impl Config {
    /// Takes the password from its file, if there is one and it has not been
    /// taken yet.
    ///
    /// # Errors
    /// As of [`load`].
    pub(crate) fn read_password_file(&mut self) -> Result<(), ConfigError> {
        if let (Some(file), false) = (&self.password_file, self.password.is_set()) {
            self.password = password_file::read(file)?;
        }
        Ok(())
    }

    /// Fails if settings that are fine each on their own do not fit together.
    ///
    /// # Errors
    /// [`ConfigError::NeedsPassword`] for an address that other machines
    /// reach without a password.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && !self.password.is_set() {
            return Err(ConfigError::NeedsPassword { listen: self.listen });
        }
        Ok(())
    }

    /// The options that the engine is opened with.
    pub fn engine_options(&self) -> kv_engine::Options {
        kv_engine::Options {
            durability: self.durability,
            memtable_flush_size: self.memtable_flush_size,
            wal_batch_size: usize::try_from(self.wal_batch_size).unwrap_or(usize::MAX),
            wal_flush_interval_ms: self.wal_flush_interval_ms,
            compaction_sstable_threshold: usize::try_from(self.compaction_sstable_threshold)
                .unwrap_or(usize::MAX),
            block_cache_bytes: self.block_cache_size,
            read_mode: self.read_mode,
            max_open_files: usize::try_from(self.max_open_files).unwrap_or(usize::MAX),
            reserve_bytes: self.disk_reserve_size,
            // No interval is no scrub; the engine knows a rate of 0 for that.
            scrub_bytes_per_second: match self.scrub_interval_secs {
                0 => 0,
                _ => self.scrub_bytes_per_second,
            },
            scrub_interval_secs: self.scrub_interval_secs.max(1),
            ..kv_engine::Options::default()
        }
    }
}
