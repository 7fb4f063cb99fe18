//! What commands may ask of the running server.

use super::clients::Stop;
use super::counters::add;
use super::info;
use super::server::Server;
use super::settings;
use crate::command::{
    ClientInfo, ConfigureError, InfoSection, LevelInfo, ScanCursors, ServerHandle,
};

/// The version of Redis whose commands are served: client libraries choose
/// features by it.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

impl ServerHandle for Server {
    fn redis_version(&self) -> &'static str {
        REDIS_VERSION
    }

    fn info_sections(&self) -> &'static [InfoSection] {
        &info::SECTIONS
    }

    fn info(&self, section: &str) -> String {
        info::section(self, section)
    }

    fn reset_statistics(&self) {
        self.counters.reset();
    }

    fn configuration(&self) -> Vec<(String, String)> {
        settings::parameters(self)
    }

    fn configure(&self, parameters: &[(String, String)]) -> Result<(), ConfigureError> {
        settings::configure(self, parameters)
    }

    fn rewrite_configuration(&self) -> Result<(), String> {
        Err("the server does not write its configuration file; edit it and restart".to_owned())
    }

    fn is_password_required(&self) -> bool {
        !self.config().password.is_empty()
    }

    fn is_password_right(&self, user: &[u8], password: &[u8]) -> bool {
        let is_right = user == b"default"
            && equal_in_constant_time(self.config().password.as_bytes(), password);
        if !is_right {
            add(&self.counters.auth_failures, 1);
        }
        is_right
    }

    fn clients(&self) -> Vec<ClientInfo> {
        let now_ms = self.clock.uptime_ms();
        self.clients.all().iter().map(|client| client.info(now_ms)).collect()
    }

    fn kill_client(&self, id: u64) -> bool {
        let client = self.clients.get(id);
        if let Some(client) = &client {
            client.stop(Stop::AfterRun);
        }
        client.is_some()
    }

    fn scan_cursors(&self) -> &ScanCursors {
        &self.scan_cursors
    }

    fn engine_statistics(&self) -> String {
        serde_json::to_string(&self.engine.stats()).expect("statistics are plain numbers")
    }

    fn levels(&self) -> Vec<LevelInfo> {
        let levels = self.engine.levels();
        let rows = levels.iter().map(|level| LevelInfo {
            level: level.level,
            tables: level.tables,
            bytes: level.bytes,
            entries: level.entries,
        });
        rows.collect()
    }
}

/// Compares secrets: the time depends on the length of `given` alone, so it
/// does not tell how much of a guess is right.
fn equal_in_constant_time(secret: &[u8], given: &[u8]) -> bool {
    let mut difference = secret.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        let expected = secret.get(index).copied().unwrap_or(0);
        // Without the barrier the compiler may stop at the first difference.
        difference |= std::hint::black_box(usize::from(expected ^ byte));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::equal_in_constant_time;

    #[test]
    fn passwords_are_equal_only_as_a_whole() {
        assert!(equal_in_constant_time(b"secret", b"secret"));
        for wrong in [&b""[..], b"s", b"secre", b"secret\0", b"secret1", b"Secret", b"secrez"] {
            assert!(!equal_in_constant_time(b"secret", wrong), "{wrong:?}");
        }
        assert!(!equal_in_constant_time(b"", b"\0"));
    }
}
