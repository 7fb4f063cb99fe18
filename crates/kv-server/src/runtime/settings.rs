//! `CONFIG GET` and `CONFIG SET`: our keys, Redis's names for them, and
//! parameters of Redis that clients set and we have no use for.

use std::collections::BTreeSet;

use kv_engine::Durability;

use super::server::Server;
use crate::command::ConfigureError;
use crate::config::{Config, ConfigError, Key, Origin, Raw, keys};

/// Parameters of Redis that are accepted and remembered, with their defaults:
/// client libraries, benchmarks and test suites read or set them.
const FOREIGN: [(&str, &str); 24] = [
    ("appendonly", "yes"),
    ("databases", "16"),
    ("hash-max-listpack-entries", "128"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "128"),
    ("hash-max-ziplist-value", "64"),
    ("latency-monitor-threshold", "0"),
    ("lazyfree-lazy-eviction", "no"),
    ("lazyfree-lazy-expire", "no"),
    ("lazyfree-lazy-server-del", "no"),
    ("lazyfree-lazy-user-del", "no"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("notify-keyspace-events", ""),
    ("proto-max-bulk-len", "536870912"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("slowlog-log-slower-than", "10000"),
    ("slowlog-max-len", "128"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
];

/// The longest value that is remembered for one of them, in bytes.
const MAX_FOREIGN_BYTES: usize = 1024;

/// Every parameter with its value, by name.
pub(crate) fn parameters(server: &Server) -> Vec<(String, String)> {
    let config = server.config();
    let mut all: Vec<(String, String)> = Vec::new();
    for key in keys() {
        all.push((key.name.to_owned(), key.show(&config)));
        if let Some(name) = key.redis_name {
            all.push((name.to_owned(), show_as_redis(key, &config)));
        }
    }
    all.push(("bind".to_owned(), server.address.ip().to_string()));
    all.push(("port".to_owned(), server.address.port().to_string()));
    let set = server.foreign_parameters.lock();
    for (name, default) in FOREIGN {
        let value = set.get(name).map_or(default, String::as_str);
        all.push((name.to_owned(), value.to_owned()));
    }
    all.sort();
    all
}

fn show_as_redis(key: &Key, config: &Config) -> String {
    if key.redis_name != Some("appendfsync") {
        return key.show(config);
    }
    let word = match config.durability {
        Durability::Sync => "always",
        Durability::Interval => "everysec",
        Durability::Os => "no",
    };
    word.to_owned()
}

/// Sets all of the parameters or none.
pub(crate) fn configure(
    server: &Server,
    parameters: &[(String, String)],
) -> Result<(), ConfigureError> {
    // Held to the end: of two clients that change the settings at once, neither
    // must take back what the other has set.
    let mut remembered = server.foreign_parameters.lock();
    let mut config = Config::clone(&server.config());
    let mut foreign = Vec::new();
    let mut assigned_keys = BTreeSet::new();
    for (name, value) in parameters {
        if let Some((known, _)) = FOREIGN.iter().find(|(known, _)| known == name) {
            if value.len() > MAX_FOREIGN_BYTES {
                let reason = format!("the value is longer than {MAX_FOREIGN_BYTES} bytes");
                return Err(ConfigureError::Refused { name: name.clone(), reason });
            }
            foreign.push((*known, value));
            continue;
        }
        let key = keys()
            .iter()
            .find(|key| key.name == name || key.redis_name == Some(name))
            .ok_or_else(|| ConfigureError::Unknown { name: name.clone() })?;
        // By our name and by Redis's: the last would win, and nobody would be told.
        if !assigned_keys.insert(key.name) {
            let reason = "duplicate parameter".to_owned();
            return Err(ConfigureError::Refused { name: name.clone(), reason });
        }
        let assigned = match key.is_live {
            true => key.assign(&mut config, Raw::Text(value), &Origin::Command),
            false => Err(ConfigError::NotLive { key: key.name }),
        };
        assigned.and_then(|()| config.validate()).map_err(|error| ConfigureError::Refused {
            name: name.clone(),
            reason: error.to_string(),
        })?;
    }
    for (name, value) in foreign {
        remembered.insert(name.to_owned(), value.clone());
    }
    server.set_config(config);
    Ok(())
}
