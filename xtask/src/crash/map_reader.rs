//! The reader that `crash map` hurts: a process of its own, for a mapped read
//! that fails ends the whole process.
//!
//! ```text
//! > ready                     the database is open, its tables are mapped
//! < a line                    now something may have happened to a table
//! > 0:17 right                one line for each key: table, number, and what
//! > 0:18 error Corruption …   a read of it came to
//! > 0:19 wrong …
//! > end
//! ```

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kv_engine::{Engine, Error, FlushSize, Options, ReadMode};

use super::value::{state_of, value_of};
use crate::failure::{Context, Failure, Outcome};

/// Tables of the database, each with keys that no other has.
pub(crate) const TABLES: u64 = 3;
/// Keys of a table: some 700 KiB.
pub(crate) const KEYS: u64 = 2500;

/// Options of `cargo xtask map-reader`.
#[derive(Debug, Args)]
pub(crate) struct MapReaderOptions {
    /// The database
    directory: PathBuf,
    /// How its tables are read
    #[arg(value_enum)]
    mode: Mode,
}

/// [`ReadMode`] on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Map,
    Pread,
}

impl Mode {
    /// Its word on a command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Map => "map",
            Mode::Pread => "pread",
        }
    }
}

/// Opens the database, waits for a line, and reads everything. A database that
/// does not open is an error that begins with its type.
pub(crate) fn run(options: &MapReaderOptions) -> Outcome {
    let engine = Engine::open(&options.directory, engine_options(options.mode));
    let engine = engine.map_err(|error| Failure::check(describe(&error)))?;
    let mut output = io::stdout().lock();
    writeln!(output, "ready").and_then(|()| output.flush()).context("no reader")?;
    io::stdin().read_line(&mut String::new()).context("no writer")?;
    for table in 0..TABLES {
        for number in 0..KEYS {
            let found = check(&engine, &key_of(table, number), number_of(table, number));
            // Each line at once: the next read may be the last.
            writeln!(output, "{table}:{number} {found}")
                .and_then(|()| output.flush())
                .context("no reader")?;
        }
    }
    writeln!(output, "end").context("no reader")
}

/// Nothing in the background that would touch a table, nothing cached.
pub(crate) fn engine_options(mode: Mode) -> Options {
    Options {
        read_mode: match mode {
            Mode::Map => ReadMode::Map,
            Mode::Pread => ReadMode::Pread,
        },
        block_cache_bytes: 0,
        compaction_sstable_threshold: 100,
        // Small segments of the log, for a small disk; never full.
        memtable_flush_size: FlushSize::Bytes(2 << 20),
        ..Options::default()
    }
}

/// A key; those of a table are together, in order.
pub(crate) fn key_of(table: u64, number: u64) -> String {
    format!("t{table}:r:{number:06}")
}

/// The value of a key of [`key_of`].
pub(crate) fn value_at(table: u64, number: u64) -> Vec<u8> {
    value_of(&key_of(table, number), number_of(table, number))
}

fn number_of(table: u64, number: u64) -> i64 {
    (table * KEYS + number + 1) as i64
}

fn check(engine: &Engine, key: &str, number: i64) -> String {
    let value = match engine.get(key.as_bytes()) {
        Ok(value) => value,
        Err(error) => return format!("error {}", describe(&error)),
    };
    match state_of(key, value.as_deref()) {
        Ok(Some(found)) if found == number => "right".into(),
        Ok(found) => format!("wrong {found:?}"),
        Err(sentence) => format!("wrong {sentence}"),
    }
}

/// An error with its type in front.
fn describe(error: &Error) -> String {
    let kind = match error {
        Error::Corruption { .. } => "Corruption",
        Error::Io { .. } => "Io",
        _ => "other",
    };
    format!("{kind} {error}").replace('\n', " ")
}
