//! What commands may ask of the running server.

use super::clients::Stop;
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
        self.config().password.is_set()
    }

    fn is_password_right(&self, user: &[u8], password: &[u8]) -> bool {
        user == b"default" && self.config().password.is(password)
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
