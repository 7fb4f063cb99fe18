//! `docs/COMMANDS.md` is written from the command table.
//!
//! `UPDATE_DOCS=1 cargo test -p kv-server` writes it anew.

use std::fmt::Write;
use std::path::Path;

use crate::command::scan_cursor::SLOTS;
use crate::command::spec::{CommandSpec, Flags, Group};
use crate::command::table;
use crate::command::value::{MAX_STRING_BYTES, MAX_USER_KEY_BYTES};

/// What is unlike Redis 7.0 on purpose: where, and what.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "all writes",
        "A reply leaves when the write is as durable as configured; by default that is after `fdatasync`.",
    ),
    ("all keys", "A key has at most {longest key} bytes, a string at most {longest string}."),
    (
        "`COMMAND DOCS`",
        "Summaries and complexities are our own; histories are left out, and a command that is named twice is there once.",
    ),
    ("`COMMAND INFO`", "Tips are left out."),
    (
        "`CONFIG SET`",
        "Changes the running server, never the file, which `CONFIG REWRITE` refuses to write. Parameters of Redis that clients set and this server has no use for, `maxmemory`, `maxmemory-policy`, `appendonly`, `save` and such, are accepted, remembered and without effect: nothing is evicted, and `durability` says when a write is safe.",
    ),
    (
        "`DBSIZE`, `KEYS`, `LCS`",
        "They look at many keys or bytes and run aside, so that other clients are not held up.",
    ),
    ("`DBSIZE`", "Counts no key that has expired."),
    (
        "`EXEC`",
        "One atomic batch, which may hold 1 GiB. What a transaction reads is still so when it commits; keys that a `KEYS`, `SCAN`, `DBSIZE` or `FLUSHDB` inside it did not meet may be created meanwhile.",
    ),
    (
        "`FLUSHDB`, `FLUSHALL`",
        "Outside of a transaction they delete in many batches: others can see a part deleted, and keys set meanwhile may stay. `ASYNC` and `SYNC` are the same.",
    ),
    ("`INCRBYFLOAT`", "Computes and prints as Redis does on x86; hexadecimal numbers are refused."),
    (
        "`KEYS`, `SCAN`",
        "Keys come in order. A pattern that takes too many steps to match is an error, and so is a reply to `KEYS` of more than 512 MiB. `SCAN` may end a call before `COUNT`, at 16 MiB of keys.",
    ),
    ("`LCS`", "The product of the lengths is limited to 16 million."),
    (
        "`OBJECT`, `TOUCH`",
        "Accesses are not recorded: no key is idle, `TOUCH` only counts, encodings are those that Redis would choose.",
    ),
    ("`RANDOMKEY`", "Keys behind wide gaps come more often than others."),
    (
        "`SCAN`",
        "A cursor goes on exactly behind the last key while it is among the last {cursors} handed out, and else a little before it: also after a restart each key that was there all the time is returned at least once.",
    ),
    ("`SHUTDOWN`", "Never loses an acknowledged write: `SAVE` and `NOSAVE` are the same."),
    ("`TIME`", "Whole milliseconds."),
    ("`WAIT`", "Answers 0 at once: there are no replicas."),
    (
        "`WATCH`",
        "A key that was written by a batch too old to compare counts as changed: `EXEC` answers nil, and a retry succeeds.",
    ),
];

const GROUPS: [Group; 7] = [
    Group::Connection,
    Group::Server,
    Group::Generic,
    Group::String,
    Group::Transactions,
    Group::Scripting,
    Group::Engine,
];

fn page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         <!-- Written from the command table; UPDATE_DOCS=1 cargo test -p kv-server renews it. -->\n\n\
         The server speaks RESP2 and RESP3 and follows Redis 7.0 in replies and error texts.\n\
         `[a]` may be left out, `a | b` is a choice, `...` repeats.\n",
    );
    for group in GROUPS {
        let commands: Vec<_> = table::all().filter(|spec| spec.group == group).collect();
        writeln!(page, "\n## {}\n", title(group)).unwrap();
        page.push_str("| command | what it does | cost | since | keys |\n|---|---|---|---|---|\n");
        for spec in commands {
            let rows = if spec.is_container() && spec.name != "command" {
                spec.subcommands.iter().collect()
            } else {
                std::iter::once(spec).chain(spec.subcommands).collect::<Vec<_>>()
            };
            rows.into_iter().for_each(|spec| page.push_str(&row(spec)));
        }
    }
    let shown = GROUPS.iter().map(|group| table::all().filter(|spec| spec.group == *group).count());
    assert_eq!(shown.sum::<usize>(), table::all().count(), "every group is on the page");
    page.push_str("\n## Differences from Redis 7.0\n\n| where | what |\n|---|---|\n");
    for (place, what) in DIFFERENCES {
        let what = what
            .replace("{longest key}", &MAX_USER_KEY_BYTES.to_string())
            .replace("{longest string}", &MAX_STRING_BYTES.to_string())
            .replace("{cursors}", &SLOTS.to_string());
        writeln!(page, "| {place} | {what} |").unwrap();
    }
    page
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Connection => "Connection",
        Group::Server => "Server",
        Group::Generic => "Keys",
        Group::String => "Strings",
        Group::Transactions => "Transactions",
        Group::Scripting => "Scripting",
        Group::Engine => "Engine (not in Redis)",
    }
}

fn row(spec: &CommandSpec) -> String {
    let name = spec.name.replace('|', " ").to_ascii_uppercase();
    let usage = format!("{name} {}", spec.syntax);
    let keys = match (spec.keys.first, spec.flags) {
        (0, _) => "",
        (_, flags) if flags.contains(Flags::WRITE) => "writes",
        _ => "reads",
    };
    format!(
        "| `{}` | {} | {} | {} | {keys} |\n",
        usage.trim_end().replace('|', "\\|"),
        spec.summary,
        spec.complexity,
        spec.since
    )
}

#[test]
fn the_page_of_commands_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMMANDS.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/COMMANDS.md is not what the command table says; renew it with \
         UPDATE_DOCS=1 cargo test -p kv-server"
    );
}
