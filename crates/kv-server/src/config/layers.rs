//! Defaults, then the file, then the environment, then the flags.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::error::{ConfigError, Origin, describe};
use super::keys::{find, key_names, keys};
use super::parse::Raw;
use super::suggest::closest;
use super::{Config, DEFAULT_CONFIG_FILE};

/// A key of the file that editors know and the server ignores.
const SCHEMA_KEY: &str = "$schema";

/// A variable of the environment that names the file instead of a key.
const FILE_VARIABLE: &str = "KV_CONFIG";

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file, if one was named: it must exist then.
    pub file: Option<PathBuf>,
    /// Flag, key and value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// The settings.
    pub config: Config,
    /// The sources in words, for the start line.
    pub source: String,
}

impl From<Config> for LoadedConfig {
    fn from(config: Config) -> LoadedConfig {
        LoadedConfig { config, source: "given by the program".to_owned() }
    }
}

/// Puts the configuration together and checks it.
///
/// # Errors
/// [`ConfigError`] names the source, the key and the way out.
#[allow(clippy::disallowed_methods, reason = "the edge reads its own configuration file")]
pub fn load(
    overrides: &Overrides,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<LoadedConfig, ConfigError> {
    let mut config = Config::default();
    let path = overrides.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG_FILE));
    let mut sources = vec![match std::fs::read_to_string(&path) {
        Ok(text) => {
            apply_file(&mut config, &path, &text)?;
            path.display().to_string()
        }
        Err(error) if error.kind() == ErrorKind::NotFound && overrides.file.is_none() => {
            "built-in defaults".to_owned()
        }
        Err(error) => {
            return Err(ConfigError::Unreadable { file: path, reason: describe(&error) });
        }
    }];
    for (name, value) in sorted(environment) {
        if apply_variable(&mut config, &name, &value)? {
            sources.push(name);
        }
    }
    for (flag, key, value) in &overrides.flags {
        let key = find(key).expect("flags are named after keys");
        key.assign(&mut config, Raw::Text(value), &Origin::Flag(flag))?;
        sources.push((*flag).to_owned());
    }
    if let (Some(file), true) = (&config.password_file, config.password.is_set()) {
        return Err(ConfigError::TwoPasswords { file: file.clone() });
    }
    config.read_password_file()?;
    config.validate()?;
    Ok(LoadedConfig { config, source: sources.join(" + ") })
}

/// Variables in the order of their names, so that the first error and the
/// start line are the same at every start.
fn sorted(environment: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut variables: Vec<_> =
        environment.filter(|(name, _)| name.starts_with("KV_") && name != FILE_VARIABLE).collect();
    variables.sort();
    variables
}

fn apply_variable(config: &mut Config, name: &str, value: &str) -> Result<bool, ConfigError> {
    let origin = Origin::Environment(name.to_owned());
    if let Some(key) = keys().iter().find(|key| key.environment_name() == name) {
        key.assign(config, Raw::Text(value), &origin)?;
        return Ok(true);
    }
    // Other programs have variables with this prefix too: only what looks like
    // a misspelt key is an error.
    let key = name.trim_start_matches("KV_").to_lowercase();
    match closest(&key, key_names()) {
        Some(known) => Err(ConfigError::UnknownKey { origin, key, suggestion: Some(known) }),
        None => Ok(false),
    }
}

fn apply_file(config: &mut Config, path: &Path, text: &str) -> Result<(), ConfigError> {
    let origin = Origin::File(path.to_path_buf());
    let malformed = |error: serde_json::Error| ConfigError::Malformed {
        file: path.to_path_buf(),
        what: error.to_string(),
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let entries = json.deserialize_map(ObjectVisitor).map_err(malformed)?;
    json.end().map_err(malformed)?;
    for (name, value) in entries {
        if name == SCHEMA_KEY {
            continue;
        }
        let Some(key) = find(&name) else {
            let suggestion = closest(&name, key_names());
            return Err(ConfigError::UnknownKey { origin, key: name, suggestion });
        };
        key.assign(config, Raw::Json(&value), &origin)?;
    }
    Ok(())
}

/// Reads the object of the file in order and refuses a key that comes twice:
/// one of the two values would be ignored in silence.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with the configuration keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(serde::de::Error::custom(format_args!("key {name:?} is given twice")));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(entries)
    }
}
