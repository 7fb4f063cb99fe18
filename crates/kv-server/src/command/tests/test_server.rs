//! A server that is nothing but its answers.

use parking_lot::Mutex;

use crate::command::{
    ClientInfo, ConfigureError, InfoSection, LevelInfo, ScanCursors, ServerHandle,
};

/// The password of servers that ask for one.
pub(super) const PASSWORD: &str = "secret";

#[derive(Debug)]
pub(super) struct TestServer {
    pub(super) password_required: bool,
    pub(super) killed: Mutex<Vec<u64>>,
    parameters: Mutex<Vec<(String, String)>>,
    scan_cursors: ScanCursors,
}

impl TestServer {
    pub(super) fn new() -> TestServer {
        let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        TestServer {
            password_required: false,
            killed: Mutex::default(),
            parameters: Mutex::new(vec![
                parameter("appendonly", "yes"),
                parameter("databases", "16"),
                parameter("maxclients", "10000"),
                parameter("maxmemory", "0"),
                parameter("timeout", "0"),
            ]),
            scan_cursors: ScanCursors::new(7),
        }
    }
}

impl ServerHandle for TestServer {
    fn redis_version(&self) -> &'static str {
        "7.0.15"
    }

    fn info_sections(&self) -> &'static [InfoSection] {
        &[
            InfoSection { name: "server", title: "Server", is_default: true },
            InfoSection { name: "clients", title: "Clients", is_default: true },
            InfoSection { name: "commandstats", title: "Commandstats", is_default: false },
        ]
    }

    fn info(&self, section: &str) -> String {
        format!("this_is:{section}\r\n")
    }

    fn reset_statistics(&self) {}

    fn configuration(&self) -> Vec<(String, String)> {
        self.parameters.lock().clone()
    }

    fn configure(&self, parameters: &[(String, String)]) -> Result<(), ConfigureError> {
        let mut own = self.parameters.lock();
        let mut changed = own.clone();
        for (name, value) in parameters {
            let place = changed.iter_mut().find(|(own, _)| own == name);
            let Some((_, place)) = place else {
                return Err(ConfigureError::Unknown { name: name.clone() });
            };
            if name == "databases" {
                let reason = "can't set immutable config".to_owned();
                return Err(ConfigureError::Refused { name: name.clone(), reason });
            }
            place.clone_from(value);
        }
        *own = changed;
        Ok(())
    }

    fn rewrite_configuration(&self) -> Result<(), String> {
        Err("The server is running without a config file".to_owned())
    }

    fn is_password_required(&self) -> bool {
        self.password_required
    }

    fn is_password_right(&self, user: &[u8], password: &[u8]) -> bool {
        self.password_required && user == b"default" && password == PASSWORD.as_bytes()
    }

    fn clients(&self) -> Vec<ClientInfo> {
        let client = |id: u64| ClientInfo {
            id,
            address: format!("127.0.0.1:{}", 50_000 + id),
            local_address: "127.0.0.1:6380".to_owned(),
            ..ClientInfo::default()
        };
        (1..=3).map(client).collect()
    }

    fn kill_client(&self, id: u64) -> bool {
        self.killed.lock().push(id);
        true
    }

    fn scan_cursors(&self) -> &ScanCursors {
        &self.scan_cursors
    }

    fn engine_statistics(&self) -> String {
        "{\"writes\":1}".to_owned()
    }

    fn levels(&self) -> Vec<LevelInfo> {
        vec![LevelInfo { level: 0, tables: 2, bytes: 4096, entries: 10 }]
    }
}
