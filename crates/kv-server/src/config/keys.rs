//! The table of all keys.

use std::net::SocketAddr;
use std::path::PathBuf;

use kv_engine::{Durability, FlushSize, ReadMode};

use super::parse;
use super::{Config, Password, SandboxMode};

/// One key of the configuration.
pub(crate) struct Key {
    /// Its name in the file; upper-cased behind `KV_` in the environment.
    pub(crate) name: &'static str,
    /// The name of the same setting in Redis, for `CONFIG GET` and `SET`.
    pub(crate) redis_name: Option<&'static str>,
    /// What it is for, as one sentence for the README and the schema.
    pub(crate) summary: &'static str,
    /// True if `CONFIG SET` can change it while the server runs.
    pub(crate) is_live: bool,
    /// Its type, its range and the field it fills.
    pub(crate) field: Field,
}

/// The type of a key, with the way to its field.
pub(crate) enum Field {
    /// A whole number.
    Count { min: u64, max: u64, at: fn(&mut Config) -> &mut u64 },
    /// A number of bytes, or a text with a unit.
    Size { min: u64, max: u64, at: fn(&mut Config) -> &mut u64 },
    /// A number of entries, or a size as text.
    FlushSize { at: fn(&mut Config) -> &mut FlushSize },
    /// One of three words.
    Durability { at: fn(&mut Config) -> &mut Durability },
    /// One of two words.
    ReadMode { at: fn(&mut Config) -> &mut ReadMode },
    /// A number of bytes, a text with a unit, or `auto` for what fits the rest.
    AutoSize { max: u64, at: fn(&mut Config) -> &mut Option<u64> },
    /// A whole number, or `auto` for what fits the rest.
    AutoCount { min: u64, max: u64, at: fn(&mut Config) -> &mut Option<u64> },
    /// `ADDRESS:PORT`.
    Address { at: fn(&mut Config) -> &mut SocketAddr },
    /// A path.
    Directory { at: fn(&mut Config) -> &mut PathBuf },
    /// A path, or nothing.
    File { at: fn(&mut Config) -> &mut Option<PathBuf> },
    /// Yes or no.
    Switch { at: fn(&mut Config) -> &mut bool },
    /// One of three words.
    Sandbox { at: fn(&mut Config) -> &mut SandboxMode },
    /// A text that is never shown.
    Secret { at: fn(&mut Config) -> &mut Password },
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The most seconds or milliseconds a key may hold: a day in milliseconds.
const MAX_TIME: u64 = 86_400_000;

/// More connections than a process may have files.
const MAX_CLIENTS: u64 = 1_000_000;

/// All keys, in the order in which they are documented.
pub(crate) fn keys() -> &'static [Key] {
    &KEYS
}

static KEYS: [Key; 27] = [
    Key {
        name: "listen",
        redis_name: None,
        summary: "Address and port to listen on. Other than loopback only with a password.",
        is_live: false,
        field: Field::Address { at: |config| &mut config.listen },
    },
    Key {
        name: "data_dir",
        redis_name: Some("dir"),
        summary: "Directory of the database; created if it is not there.",
        is_live: false,
        field: Field::Directory { at: |config| &mut config.data_dir },
    },
    Key {
        name: "durability",
        redis_name: Some("appendfsync"),
        summary: "When a write is acknowledged: `sync` after fdatasync (survives a power cut), \
                  `interval` once the operating system has it, synced within \
                  wal_flush_interval_ms, `os` synced when a memory table is full.",
        is_live: true,
        field: Field::Durability { at: |config| &mut config.durability },
    },
    Key {
        name: "memtable_flush_size",
        redis_name: None,
        summary: "When a memory table is flushed to a table file: a number counts entries, a \
                  text counts bytes.",
        is_live: false,
        field: Field::FlushSize { at: |config| &mut config.memtable_flush_size },
    },
    Key {
        name: "wal_batch_size",
        redis_name: None,
        summary: "The most writes that one commit group may hold.",
        is_live: false,
        field: Field::Count { min: 1, max: 1_000_000, at: |config| &mut config.wal_batch_size },
    },
    Key {
        name: "wal_flush_interval_ms",
        redis_name: None,
        summary: "The longest an `interval` write stays unsynced, in milliseconds.",
        is_live: false,
        field: Field::Count {
            min: 1,
            max: MAX_TIME,
            at: |config| &mut config.wal_flush_interval_ms,
        },
    },
    Key {
        name: "compaction_sstable_threshold",
        redis_name: None,
        summary: "Flushed tables that start a compaction.",
        is_live: false,
        field: Field::Count {
            min: 2,
            max: 1_000,
            at: |config| &mut config.compaction_sstable_threshold,
        },
    },
    Key {
        name: "block_cache_size",
        redis_name: None,
        summary: "Memory for decompressed blocks of tables.",
        is_live: false,
        field: Field::Size { min: 0, max: 1 << 44, at: |config| &mut config.block_cache_size },
    },
    Key {
        name: "read_mode",
        redis_name: None,
        summary: "How tables are read: `map` through memory maps, `pread` by calls. A device that \
                  cannot read a block ends the process in the first mode (SIGBUS) and is an \
                  error of that key in the second: restart with `pread` then.",
        is_live: false,
        field: Field::ReadMode { at: |config| &mut config.read_mode },
    },
    Key {
        name: "max_open_files",
        redis_name: None,
        summary: "The most files of tables that are kept open for reading. A table that is \
                  mapped needs none; others are opened again when they are read.",
        is_live: false,
        field: Field::Count { min: 1, max: 1_000_000, at: |config| &mut config.max_open_files },
    },
    Key {
        name: "disk_reserve_size",
        redis_name: None,
        summary: "Disk space held back in the file RESERVE, so that flushes, deletes and the next \
                  start succeed on a full disk; `auto` is what these need, 0 holds nothing back.",
        is_live: false,
        field: Field::AutoSize { max: 1 << 44, at: |config| &mut config.disk_reserve_size },
    },
    Key {
        name: "scrub_bytes_per_second",
        redis_name: None,
        summary: "How fast tables are read from the disk and checked for rot while nobody asks \
                  for them; 0 for never. INFO lists what is found, and the log tells it.",
        is_live: false,
        field: Field::Size {
            min: 0,
            max: 1 << 40,
            at: |config| &mut config.scrub_bytes_per_second,
        },
    },
    Key {
        name: "scrub_interval_secs",
        redis_name: None,
        summary: "The least time from the start of one check of all tables to the start of the \
                  next, in seconds; 0 for no checks.",
        is_live: false,
        field: Field::Count { min: 0, max: MAX_TIME, at: |config| &mut config.scrub_interval_secs },
    },
    Key {
        name: "allow_root",
        redis_name: None,
        summary: "Whether root may serve an address that other machines can reach. Without it \
                  such a start is refused: run the server as a user of its own.",
        is_live: false,
        field: Field::Switch { at: |config| &mut config.allow_root },
    },
    Key {
        name: "sandbox",
        redis_name: None,
        summary: "Whether the process shuts itself out of all files but those in data_dir, by \
                  Landlock (Linux 5.13), and out of system calls that no store needs, by seccomp \
                  (x86_64 and aarch64): `best_effort` where the system has them, `required` or \
                  not at all.",
        is_live: false,
        field: Field::Sandbox { at: |config| &mut config.sandbox },
    },
    Key {
        name: "password",
        redis_name: Some("requirepass"),
        summary: "What clients must send with AUTH, or its digest as `kv-server --hash-password` \
                  prints it; empty for no password.",
        is_live: true,
        field: Field::Secret { at: |config| &mut config.password },
    },
    Key {
        name: "password_file",
        redis_name: None,
        summary: "File that holds the password or its digest in one line, instead of password; \
                  for its owner alone, and his group to read.",
        is_live: false,
        field: Field::File { at: |config| &mut config.password_file },
    },
    Key {
        name: "max_clients",
        redis_name: Some("maxclients"),
        summary: "The most connections at a time; one more is refused with an error.",
        is_live: true,
        field: Field::Count { min: 1, max: MAX_CLIENTS, at: |config| &mut config.max_clients },
    },
    Key {
        name: "max_clients_per_address",
        redis_name: None,
        summary: "The most connections at a time from one address, or from one /64 network of \
                  IPv6; `auto` is half of max_clients, and no limit for loopback.",
        is_live: true,
        field: Field::AutoCount {
            min: 1,
            max: MAX_CLIENTS,
            at: |config| &mut config.max_clients_per_address,
        },
    },
    Key {
        name: "max_request_bytes",
        redis_name: None,
        summary: "The longest request. A longer one ends its connection.",
        is_live: true,
        field: Field::Size { min: 64 * KIB, max: GIB, at: |config| &mut config.max_request_bytes },
    },
    Key {
        name: "client_output_limit",
        redis_name: None,
        summary: "The most bytes of replies that wait for one client. A request that needs more \
                  ends its connection; values of 64 KiB and more are sent from where they lie \
                  and count little, but with `read_mode` pread.",
        is_live: true,
        field: Field::Size {
            min: MIB,
            max: 16 * GIB,
            at: |config| &mut config.client_output_limit,
        },
    },
    Key {
        name: "client_output_soft_limit",
        redis_name: None,
        summary: "Bytes of replies that may wait for one client for client_output_soft_limit_s \
                  and no longer; values that are sent from where they lie do not count.",
        is_live: true,
        field: Field::Size {
            min: MIB,
            max: 16 * GIB,
            at: |config| &mut config.client_output_soft_limit,
        },
    },
    Key {
        name: "client_output_soft_limit_s",
        redis_name: None,
        summary: "Seconds after which a client that has had more waiting all the time is closed; \
                  0 for never.",
        is_live: true,
        field: Field::Count {
            min: 0,
            max: MAX_TIME,
            at: |config| &mut config.client_output_soft_limit_s,
        },
    },
    Key {
        name: "client_memory_limit",
        redis_name: None,
        summary: "The most memory for requests and replies of all clients together, beside what \
                  the commands under way are just making.",
        is_live: true,
        field: Field::Size {
            min: 16 * MIB,
            max: 1 << 44,
            at: |config| &mut config.client_memory_limit,
        },
    },
    Key {
        name: "idle_timeout_s",
        redis_name: Some("timeout"),
        summary: "Seconds after which a silent connection is closed; 0 for never.",
        is_live: true,
        field: Field::Count { min: 0, max: MAX_TIME, at: |config| &mut config.idle_timeout_s },
    },
    Key {
        name: "request_timeout_s",
        redis_name: None,
        summary: "Seconds within which a begun request must arrive, and a reply must be read, or \
                  make progress by 64 KiB; 0 for any time.",
        is_live: true,
        field: Field::Count { min: 0, max: MAX_TIME, at: |config| &mut config.request_timeout_s },
    },
    Key {
        name: "auth_timeout_s",
        redis_name: None,
        summary: "Seconds a client has for AUTH where there is a password; 0 for any time.",
        is_live: true,
        field: Field::Count { min: 0, max: MAX_TIME, at: |config| &mut config.auth_timeout_s },
    },
];

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The names of all keys.
pub(crate) fn key_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name)
}

/// Every key with its value as `config.json` would spell it.
pub fn show_all(config: &Config) -> Vec<(&'static str, String)> {
    KEYS.iter().map(|key| (key.name, key.show(config))).collect()
}

impl Key {
    /// The value that `config` has for this key, as text. Never a secret.
    pub(crate) fn show(&self, config: &Config) -> String {
        // The fields are reached through `&mut`; one way to each is enough.
        let mut copy = config.clone();
        match &self.field {
            Field::Count { at, .. } => at(&mut copy).to_string(),
            Field::Size { at, .. } => parse::show_size(*at(&mut copy)),
            Field::FlushSize { at } => match at(&mut copy) {
                FlushSize::Entries(entries) => entries.to_string(),
                FlushSize::Bytes(bytes) => parse::show_size(*bytes),
            },
            Field::Durability { at } => parse::durability_name(*at(&mut copy)).to_owned(),
            Field::ReadMode { at } => parse::read_mode_name(*at(&mut copy)).to_owned(),
            Field::AutoSize { at, .. } => {
                at(&mut copy).map_or_else(|| parse::AUTO.to_owned(), parse::show_size)
            }
            Field::AutoCount { at, .. } => {
                at(&mut copy).map_or_else(|| parse::AUTO.to_owned(), |count| count.to_string())
            }
            Field::Address { at } => at(&mut copy).to_string(),
            Field::Directory { at } => at(&mut copy).display().to_string(),
            Field::File { at } => {
                at(&mut copy).as_ref().map_or_else(String::new, |path| path.display().to_string())
            }
            Field::Switch { at } => at(&mut copy).to_string(),
            Field::Sandbox { at } => at(&mut copy).name().to_owned(),
            Field::Secret { at } => match at(&mut copy).is_set() {
                true => "(hidden)".to_owned(),
                false => String::new(),
            },
        }
    }

    /// The environment variable that sets this key.
    pub(crate) fn environment_name(&self) -> String {
        format!("KV_{}", self.name.to_uppercase())
    }
}
