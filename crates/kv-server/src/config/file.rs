//! The configuration file: one JSON object, whose keys are those of the table.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::error::{ConfigError, Origin, describe};
use super::keys::{Field, find, key_names};
use super::parse::Raw;
use super::suggest::closest;
use super::{Config, Password};

/// A key of the file that editors know and the server ignores.
const SCHEMA_KEY: &str = "$schema";

/// Set where group or others may read.
const READABLE_MODE: u32 = 0o044;

/// Puts the values of the file at `path` into `config`. Returns what the operator
/// is to be told, or nothing if there is no such file and `is_required` is false.
///
/// # Errors
/// [`ConfigError`] names the file, the key and the way out.
#[allow(clippy::disallowed_methods, reason = "the edge reads its own configuration file")]
pub(super) fn apply(
    config: &mut Config,
    path: &Path,
    is_required: bool,
) -> Result<Option<Vec<String>>, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::Unreadable {
        file: path.to_path_buf(),
        reason: describe(&error),
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !is_required => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    let holds_password = apply_bytes(config, path, &bytes)?;
    let is_exposed = holds_password && mode & READABLE_MODE != 0;
    Ok(Some(is_exposed.then(|| exposed(path, mode)).into_iter().collect()))
}

/// What the operator is told of a password that others can read.
fn exposed(path: &Path, mode: u32) -> String {
    let path = path.display();
    format!(
        "{path} holds the password as it is, and others than its owner can read it (mode \
         {mode:04o}): chmod 600 {path}, or let password be the digest that kv-server \
         --hash-password prints, or name a file with password_file"
    )
}

/// True if the file holds a password as it is, and not its digest.
fn apply_bytes(config: &mut Config, path: &Path, bytes: &[u8]) -> Result<bool, ConfigError> {
    let origin = Origin::File(path.to_path_buf());
    let malformed = |error: serde_json::Error| ConfigError::Malformed {
        file: path.to_path_buf(),
        what: error.to_string(),
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let entries = json.deserialize_map(ObjectVisitor).map_err(malformed)?;
    json.end().map_err(malformed)?;
    let mut holds_password = false;
    for (name, value) in entries {
        if name == SCHEMA_KEY {
            continue;
        }
        let Some(key) = find(&name) else {
            let suggestion = closest(&name, key_names());
            return Err(ConfigError::UnknownKey { origin, key: name, suggestion });
        };
        key.assign(config, Raw::Json(&value), &origin)?;
        let text = value.as_str().unwrap_or_default();
        holds_password |= matches!(key.field, Field::Secret { .. }) && Password::is_plain(text);
    }
    Ok(holds_password)
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
