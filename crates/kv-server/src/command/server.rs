//! What commands ask of the running server beyond data.

use super::scan_cursor::ScanCursors;

/// The server as commands see it. Calls may be repeated when a run is executed
/// again after a conflict: each leaves the same state however often it comes.
pub(crate) trait ServerHandle {
    /// The version of Redis that clients may take this server for.
    fn redis_version(&self) -> &'static str;

    /// Sections of `INFO` in order: name and whether plain `INFO` shows it.
    fn info_sections(&self) -> &'static [InfoSection];

    /// The lines of one section, without its heading, each ending in CR LF.
    fn info(&self, section: &str) -> String;

    /// Zeroes the counters of `INFO`.
    fn reset_statistics(&self);

    /// All parameters of `CONFIG`, names in lower case.
    fn configuration(&self) -> Vec<(String, String)>;

    /// Sets all of the parameters (names in lower case) or none.
    fn configure(&self, parameters: &[(String, String)]) -> Result<(), ConfigureError>;

    /// Writes the configuration file anew.
    ///
    /// # Errors
    /// A sentence that says why it cannot.
    fn rewrite_configuration(&self) -> Result<(), String>;

    /// True if connections must authenticate.
    fn is_password_required(&self) -> bool;

    /// Whether `password` opens the server to `user`, where one is required.
    fn is_password_right(&self, user: &[u8], password: &[u8]) -> bool;

    /// All connections, by rising number.
    fn clients(&self) -> Vec<ClientInfo>;

    /// Closes another connection once its current reply has left; false if it
    /// is gone already.
    fn kill_client(&self, id: u64) -> bool;

    /// Where `SCAN` remembers its positions.
    fn scan_cursors(&self) -> &ScanCursors;

    /// The engine's statistics as one JSON object.
    fn engine_statistics(&self) -> String;

    /// The shape of the engine's tree, one row per level.
    fn levels(&self) -> Vec<LevelInfo>;
}

/// A section of `INFO`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InfoSection {
    /// In lower case.
    pub(crate) name: &'static str,
    /// As the heading spells it.
    pub(crate) title: &'static str,
    /// Whether plain `INFO` shows it.
    pub(crate) is_default: bool,
}

/// Why parameters were not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigureError {
    /// There is no such parameter.
    Unknown {
        /// Its name as the client spelled it.
        name: String,
    },
    /// The parameter does not take this value, or not while running.
    Refused {
        /// The parameter.
        name: String,
        /// Why, for people.
        reason: String,
    },
}

/// A connection as `CLIENT LIST` shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientInfo {
    pub(crate) id: u64,
    /// Address and port of the client.
    pub(crate) address: String,
    /// Address and port it connected to.
    pub(crate) local_address: String,
    pub(crate) name: String,
    /// Seconds since it connected.
    pub(crate) age_s: u64,
    /// Seconds since its last command.
    pub(crate) idle_s: u64,
    pub(crate) database: u8,
    /// Commands queued by `MULTI`; `None` outside a transaction.
    pub(crate) queued: Option<usize>,
    /// Bytes read that are no complete command yet.
    pub(crate) input_bytes: usize,
    /// Bytes of replies that wait for the client.
    pub(crate) output_bytes: usize,
    /// The last command, as the table spells it.
    pub(crate) last_command: String,
    pub(crate) protocol_number: i64,
    pub(crate) library_name: String,
    pub(crate) library_version: String,
}

/// One level of the engine's tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LevelInfo {
    pub(crate) level: u32,
    pub(crate) tables: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}
