//! The key table as a JSON schema and as the table of the README.

use serde_json::{Value, json};

use super::keys::{Field, Key, keys};
use super::parse::{AUTO, MIN_FLUSH_BYTES, show_size};
use super::{Config, SandboxMode};

const SIZE_PATTERN: &str = "^[0-9]+ *(B|KiB|MiB|GiB)$";

/// The schema that `config/config.schema.json` holds: editors complete and
/// check configuration files with it.
pub fn json_schema() -> Value {
    let defaults = Config::default();
    let mut properties = serde_json::Map::new();
    properties.insert("$schema".to_owned(), json!({ "type": "string" }));
    for key in keys() {
        let mut property = shape(&key.field);
        let object = property.as_object_mut().expect("every shape is an object");
        object.insert("description".to_owned(), Value::from(key.summary));
        if !matches!(key.field, Field::Secret { .. }) {
            object.insert("default".to_owned(), default_value(key, &defaults));
        }
        properties.insert(key.name.to_owned(), property);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of kv-server",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn default_value(key: &Key, defaults: &Config) -> Value {
    let shown = key.show(defaults);
    match (&key.field, shown.parse::<u64>()) {
        (Field::Count { .. } | Field::FlushSize { .. }, Ok(number)) => Value::from(number),
        (Field::Switch { .. }, _) => Value::from(shown == "true"),
        _ => Value::from(shown),
    }
}

fn shape(field: &Field) -> Value {
    match field {
        Field::Count { min, max, .. } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Field::Size { min, max, .. } => json!({ "oneOf": [
            { "type": "integer", "minimum": min, "maximum": max },
            { "type": "string", "pattern": SIZE_PATTERN },
        ] }),
        Field::FlushSize { .. } => json!({ "oneOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": SIZE_PATTERN,
              "$comment": format!("at least {}", show_size(MIN_FLUSH_BYTES)) },
        ] }),
        Field::Durability { .. } => json!({ "enum": ["sync", "interval", "os"] }),
        Field::ReadMode { .. } => json!({ "enum": ["map", "pread"] }),
        Field::AutoSize { max, .. } => json!({ "oneOf": [
            { "const": AUTO },
            { "type": "integer", "minimum": 0, "maximum": max },
            { "type": "string", "pattern": SIZE_PATTERN },
        ] }),
        Field::AutoCount { min, max, .. } => json!({ "oneOf": [
            { "const": AUTO },
            { "type": "integer", "minimum": min, "maximum": max },
        ] }),
        Field::Switch { .. } => json!({ "type": "boolean" }),
        Field::Sandbox { .. } => json!({ "enum": SandboxMode::ALL.map(SandboxMode::name) }),
        Field::Address { .. }
        | Field::Directory { .. }
        | Field::File { .. }
        | Field::Secret { .. } => json!({ "type": "string" }),
    }
}

/// All keys as a Markdown table.
pub fn markdown_table() -> String {
    let defaults = Config::default();
    let mut table =
        String::from("| key | default | while running | meaning |\n| --- | --- | --- | --- |\n");
    for key in keys() {
        let default = match key.show(&defaults) {
            empty if empty.is_empty() => "none".to_owned(),
            shown => format!("`{shown}`"),
        };
        let live = if key.is_live { "`CONFIG SET`" } else { "restart" };
        table.push_str(&format!("| `{}` | {default} | {live} | {} |\n", key.name, key.summary));
    }
    table
}
