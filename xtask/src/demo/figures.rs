//! The server's own figures, as KV.STATS and KV.LEVELS give them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::shape::Level;
use crate::failure::{Context, Failure, Outcome};
use crate::resp::{Client, Reply};

/// The part of the statistics that the demo shows.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Figures {
    /// `fdatasync` calls on the log.
    pub(crate) wal_syncs: u64,
    pub(crate) flushes: u64,
    pub(crate) compactions: u64,
    pub(crate) stalls: u64,
}

impl Figures {
    /// Asks the server.
    pub(crate) fn read(client: &mut Client) -> Outcome<Figures> {
        ask(client, "KV.STATS")
    }
}

/// Asks the server for the levels of the tree.
pub(crate) fn levels(client: &mut Client) -> Outcome<Vec<Level>> {
    ask(client, "KV.LEVELS")
}

fn ask<T: DeserializeOwned>(client: &mut Client, command: &str) -> Outcome<T> {
    let reply = client.call(&[command.as_bytes()]).context(command)?;
    serde_json::from_value(as_json(&reply)).map_err(|error| {
        Failure::check(format!("{command} answered {reply:?}, which is not as documented: {error}"))
    })
}

/// A text that is JSON counts as that; a list of names and values is a map, as
/// RESP2 writes maps.
fn as_json(reply: &Reply) -> Value {
    match reply {
        Reply::Integer(number) => Value::from(*number),
        Reply::Nil | Reply::Error(_) => Value::Null,
        Reply::Simple(_) | Reply::Bulk(_) => {
            let text = reply.text().unwrap_or_default();
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        Reply::Array(items) => {
            let names = items.iter().step_by(2).map(Reply::text).collect::<Option<Vec<_>>>();
            match names.filter(|names| !names.is_empty() && items.len() % 2 == 0) {
                Some(names) => {
                    let values = items.iter().skip(1).step_by(2).map(as_json);
                    Value::Object(names.into_iter().zip(values).collect::<Map<_, _>>())
                }
                None => items.iter().map(as_json).collect(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::as_json;
    use crate::resp::Reply;

    #[test]
    fn flat_lists_of_names_and_values_are_maps() {
        let text = |text: &str| Reply::Bulk(text.into());
        let map = Reply::Array(vec![text("a"), Reply::Integer(1), text("b"), text("2")]);
        let list = Reply::Array(vec![map, Reply::Array(vec![])]);
        assert_eq!(as_json(&list).to_string(), r#"[{"a":1,"b":2},[]]"#);
    }
}
