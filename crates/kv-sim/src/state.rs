//! What a database holds, as a map.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::keys;

/// Keys and values.
pub(crate) type State = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// The first difference between two states, as a sentence.
pub(crate) fn difference(expected: &State, found: &State) -> String {
    for (key, value) in expected {
        match found.get(key) {
            None => return format!("{} is missing", keys::describe(key)),
            Some(other) if other != value => {
                return format!(
                    "{} is {}, not {}",
                    keys::describe(key),
                    keys::describe_value(other),
                    keys::describe_value(value)
                );
            }
            Some(_) => {}
        }
    }
    match found.keys().find(|key| !expected.contains_key(*key)) {
        Some(key) => {
            format!("{} is {}", keys::describe(key), keys::describe_value(&found[key]))
        }
        None => "no difference".into(),
    }
}
