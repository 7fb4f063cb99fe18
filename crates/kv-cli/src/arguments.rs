//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Inspect, verify and operate a kv database directory.
#[derive(Debug, Parser)]
#[command(name = "kv", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Print JSON instead of text: one object, or one line each for entries.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Keys and values are bytes: printable ones stand for themselves, all others are
written as \\xNN, and a backslash as \\\\. One that starts with a hyphen and is no
number stands behind --: kv get data -- -x. Behind --prefix, --from and --to any
may stand.
A directory that a server has open is refused; stop the server or send it the
command (KV.STATS, KV.FLUSH, ...).
JSON has keys and values in the same form, and identities in hexadecimal.

Exit codes: 0 done, 1 a check failed or the key is absent, 2 usage,
3 input or output, 4 corruption, 5 repaired with losses.

Examples:
  kv put data fruit:apple red
  kv scan data --prefix fruit: --limit 10
  kv verify data --deep --json
  kv dump-wal data
  kv repair data --to rescued";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the value of a key; exit code 1 if it is absent.
    Get {
        /// The database directory.
        dir: PathBuf,
        /// The key.
        #[arg(allow_negative_numbers = true)]
        key: String,
    },
    /// Set a key, durable when the command ends. Creates the database.
    Put {
        /// The database directory.
        dir: PathBuf,
        /// The key.
        #[arg(allow_negative_numbers = true)]
        key: String,
        /// The value.
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Remove a key, durable when the command ends.
    Del {
        /// The database directory.
        dir: PathBuf,
        /// The key.
        #[arg(allow_negative_numbers = true)]
        key: String,
    },
    /// Print entries in the order of their keys.
    Scan(ScanArguments),
    /// Print the figures of the database, and what opening it found.
    Stats {
        /// The database directory.
        dir: PathBuf,
    },
    /// Draw the levels of the tree and list its tables.
    Levels {
        /// The database directory.
        dir: PathBuf,
    },
    /// Check every file, changing nothing but the lock file; exit code 1 for problems.
    #[command(after_help = VERIFY_HELP)]
    Verify {
        /// The database directory.
        dir: PathBuf,
        /// Also check every entry against index and filter.
        #[arg(long)]
        deep: bool,
    },
    /// Salvage what can be proven of a damaged database into a new directory.
    #[command(after_help = REPAIR_HELP)]
    Repair {
        /// The damaged directory; nothing but its lock file is changed.
        dir: PathBuf,
        /// The new directory; it must not exist or be empty.
        #[arg(long)]
        to: PathBuf,
        /// What to keep of a log with lost records.
        #[arg(long, value_enum, default_value_t = KeepArgument::Proven)]
        keep: KeepArgument,
    },
    /// Print the records of a log segment, or of all segments of a directory.
    DumpWal {
        /// A segment file or a database directory.
        path: PathBuf,
    },
    /// Print the properties and the entries of a table file.
    DumpTable {
        /// The table file.
        file: PathBuf,
        /// Print the properties only.
        #[arg(long)]
        properties: bool,
    },
    /// Print the edits of a manifest, or of the one a directory uses.
    DumpManifest {
        /// A manifest file or a database directory.
        path: PathBuf,
    },
    /// Rewrite the whole tree into one level, without what is deleted.
    Compact {
        /// The database directory.
        dir: PathBuf,
    },
    /// Move everything from the log into tables.
    Flush {
        /// The database directory.
        dir: PathBuf,
    },
}

const VERIFY_HELP: &str = "\
Every damaged part of every file is a problem, with file, offset and length. A
damaged manifest ends nothing: tables and log are then judged by what is left of
it, or \"by the file alone\": by their own headers, checksums and counts. JSON
says so in manifest_state (whole, partial, lost) and judged_by (manifest,
file_alone).

Exit codes: 0 all is sound, 1 there are problems, others as of kv --help.

Example:
  kv verify data --deep";

const REPAIR_HELP: &str = "\
Every block of a table and every record of the log that passes its checksum is
kept, the newest write of each key wins, and deleted keys stay deleted as far as
the delete is known. Damaged bytes are copied to quarantine/ in the new
directory. The new database is checked as a whole before the command ends.

Exit codes: 0 all is kept, 5 the new database is sound but something was lost
(the last line says what, the lines before say where), others as of kv --help;
after those remove the new directory.

Example:
  kv repair data --to rescued && mv data damaged && mv rescued data";

/// What a repair keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeepArgument {
    /// Every write that is proven, also behind a gap: the most data.
    Proven,
    /// Of the log only what comes before its first lost record: a state that
    /// the database was in, if its tables are whole.
    Prefix,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ScanArguments {
    /// The database directory.
    pub(crate) dir: PathBuf,
    /// Only keys that start with this.
    #[arg(long, conflicts_with_all = ["from", "to"], allow_hyphen_values = true)]
    pub(crate) prefix: Option<String>,
    /// Only keys from this one on.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Only keys before this one.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// At most this many entries.
    #[arg(long)]
    pub(crate) limit: Option<u64>,
    /// From the last key to the first.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print keys only.
    #[arg(long)]
    pub(crate) keys: bool,
}
