//! Key specifications, the part of `COMMAND INFO` that cluster clients read.

use super::spec::Keys;
use crate::resp::Reply;

/// One specification for all keys that are treated alike.
pub(crate) fn key_specs(keys: &Keys) -> Vec<Reply> {
    if keys.access.len() == 1 {
        let last = if keys.last < 0 { keys.last } else { keys.last - keys.first };
        return vec![key_spec(keys.first, last, keys.step, keys.access[0])];
    }
    let specs = keys.access.iter().zip(keys.first..);
    specs.map(|(access, index)| key_spec(index, 0, 1, access)).collect()
}

/// `last` counts from the first key, or from the end where it is negative.
fn key_spec(index: i32, last: i32, step: i32, access: &'static str) -> Reply {
    let bulk_pair = |name: &str, value: Reply| (Reply::bulk(name), value);
    let number = |number: i32| Reply::Integer(i64::from(number));
    let begin_search = Reply::Map(vec![
        bulk_pair("type", Reply::bulk("index")),
        bulk_pair("spec", Reply::Map(vec![bulk_pair("index", number(index))])),
    ]);
    let range = Reply::Map(vec![
        bulk_pair("lastkey", number(last)),
        bulk_pair("keystep", number(step)),
        bulk_pair("limit", number(0)),
    ]);
    let find_keys =
        Reply::Map(vec![bulk_pair("type", Reply::bulk("range")), bulk_pair("spec", range)]);
    let flags = access.split(' ').map(|flag| Reply::Simple(flag.into())).collect();
    Reply::Map(vec![
        bulk_pair("flags", Reply::Set(flags)),
        bulk_pair("begin_search", begin_search),
        bulk_pair("find_keys", find_keys),
    ])
}
