//! The workloads reach every path that writes: which ops are seen on which
//! kinds of files is a committed list, and each verb of the engine was used.

use std::collections::BTreeSet;

use kv_sim::{Tally, run_with_log, workloads};

/// Every op on every kind of file that the engine makes.
const OPS: &[&str] = &[
    "create LOCK",
    "create MANIFEST",
    "create MANIFEST, while open",
    "create RESERVE",
    "create compacted",
    "create directory quarantine",
    "create quarantine",
    "create sst",
    "create wal.log",
    "create wal_next",
    "drop the cache of wal.log",
    "drop the cache of wal_next",
    "remove MANIFEST",
    "remove MANIFEST, while open",
    "remove RESERVE",
    "remove compacted",
    "remove sst",
    "remove wal",
    "rename wal.log to wal",
    "rename wal_next to wal",
    "rename wal_next to wal.log",
    "seal MANIFEST",
    "seal compacted",
    "seal sst",
    "seal wal.log",
    "seal wal_next",
    "set the length of LOCK to N",
    "set the length of MANIFEST to N",
    "set the length of compacted to N",
    "set the length of sst to N",
    "set the length of wal to N",
    "set the length of wal.log to N",
    "set the length of wal_next to N",
    "sync MANIFEST",
    "sync compacted",
    "sync quarantine",
    "sync sst",
    "sync the directory",
    "sync wal",
    "sync wal.log",
    "sync wal.log (Failed): failed",
    "sync wal.log (Reverted { seed: N }): failed",
    "sync wal_next",
    "sync wal_next (Failed): failed",
    "write N bytes at N of LOCK",
    "write N bytes at N of MANIFEST",
    "write N bytes at N of compacted",
    "write N bytes at N of quarantine",
    "write N bytes at N of sst",
    "write N bytes at N of sst failed",
    "write N bytes at N of wal.log",
    "write N bytes at N of wal_next",
    "write zeros from N to N of MANIFEST",
    "write zeros from N to N of RESERVE",
    "write zeros from N to N of wal.log",
    "write zeros from N to N of wal_next",
];

/// The op of a log line and the kind of its file, without names and numbers.
fn kind_of(line: &str) -> Option<String> {
    let op = line.strip_prefix("    ")?.split_once(": ")?.1;
    let words = op.split(' ').map(|word| {
        let name = word.trim_end_matches([':', ',']);
        let kinds = ["MANIFEST", "quarantine/", "sst_", "compacted_", "wal_next", "wal_"];
        match kinds.iter().find(|kind| name.starts_with(**kind)) {
            Some(&kind) => kind.trim_end_matches(['_', '/']).to_owned(),
            None if name.parse::<u64>().is_ok() => "N".to_owned(),
            None => word.to_owned(),
        }
    });
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Manifests that come and go while the database is open: each open makes a new
/// one and removes the old one too, which says nothing of a switch.
fn switches(log: &[String]) -> BTreeSet<String> {
    let mut is_open = false;
    let mut seen = BTreeSet::new();
    for line in log {
        if line.starts_with("step ") {
            let opens = ["\"reopen\"", "{\"kill\"", "{\"cut\""];
            is_open = !opens.iter().any(|step| line.contains(step));
        } else if is_open
            && let Some(op) = kind_of(line)
            && ["create MANIFEST", "remove MANIFEST"].contains(&op.as_str())
        {
            seen.insert(format!("{op}, while open"));
        }
    }
    seen
}

#[test]
fn the_workloads_do_every_op_on_every_kind_of_file() {
    let mut seen = BTreeSet::new();
    let mut tally = Tally::default();
    for script in workloads() {
        let run = run_with_log(&script).unwrap();
        seen.extend(run.log.iter().filter_map(|line| kind_of(line)));
        seen.extend(switches(&run.log));
        tally.add(&run.tally);
    }
    let committed: BTreeSet<String> = OPS.iter().map(|op| (*op).to_owned()).collect();
    let list: String = seen.iter().map(|op| format!("    {op:?},\n")).collect();
    assert_eq!(seen, committed, "the committed list should be\n{list}");
    let counts = [
        tally.flushes,
        tally.compactions,
        tally.trivial_moves,
        tally.conflicts,
        tally.opens_of_several_segments,
        tally.torn_tails,
        tally.clean_opens,
        tally.opens_with_leftovers,
        tally.batches - tally.groups,
    ];
    assert!(counts.iter().all(|&count| count > 0), "{tally:?}");
}
