//! Defaults, then the file, then the environment, then the flags.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::error::{ConfigError, Origin};
use super::keys::{find, key_names, keys};
use super::parse::Raw;
use super::suggest::closest;
use super::{Config, DEFAULT_CONFIG_FILE, file};

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
    /// What the operator is to be told: the server hands it to its log.
    pub notices: Vec<String>,
}

impl From<Config> for LoadedConfig {
    fn from(config: Config) -> LoadedConfig {
        let source = "given by the program".to_owned();
        LoadedConfig { config, source, notices: Vec::new() }
    }
}

/// Puts the configuration together and checks it.
///
/// # Errors
/// [`ConfigError`] names the source, the key and the way out.
pub fn load<N: Into<OsString>, V: Into<OsString>>(
    overrides: &Overrides,
    environment: impl Iterator<Item = (N, V)>,
) -> Result<LoadedConfig, ConfigError> {
    let mut config = Config::default();
    let path = overrides.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG_FILE));
    let notices = file::apply(&mut config, &path, overrides.file.is_some())?;
    let mut sources = vec![match &notices {
        Some(_) => path.display().to_string(),
        None => "built-in defaults".to_owned(),
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
    let source = sources.join(" + ");
    Ok(LoadedConfig { config, source, notices: notices.unwrap_or_default() })
}

/// Variables in the order of their names, so that the first error and the
/// start line are the same at every start.
fn sorted<N: Into<OsString>, V: Into<OsString>>(
    environment: impl Iterator<Item = (N, V)>,
) -> Vec<(String, OsString)> {
    // Our names are text; one that is not belongs to somebody else.
    let text = |(name, value): (N, V)| Some((name.into().into_string().ok()?, value.into()));
    let mut variables: Vec<_> = environment
        .filter_map(text)
        .filter(|(name, _)| name.starts_with("KV_") && name != FILE_VARIABLE)
        .collect();
    variables.sort();
    variables
}

fn apply_variable(config: &mut Config, name: &str, value: &OsStr) -> Result<bool, ConfigError> {
    let origin = Origin::Environment(name.to_owned());
    if let Some(key) = keys().iter().find(|key| key.environment_name() == name) {
        // To pass over it would be to start without a password, say.
        let text = value.to_str().ok_or(ConfigError::NotText { name: name.to_owned() })?;
        key.assign(config, Raw::Text(text), &origin)?;
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
