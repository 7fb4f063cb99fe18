//! What goes wrong, as exit codes and sentences: damage, locks, missing files.

use std::path::Path;

use kv_engine::{Engine, Options};
use serde_json::{Value, json};

use crate::tool::{Tool, kv};

pub(crate) fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    // Sealed files are read-only; rot does not ask.
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_sound_database_passes() {
    let tool = Tool::with_fruit();
    std::fs::write(tool.path().join("notes.txt"), "mine").unwrap();
    let text = tool.run(&["verify", ".", "--deep"]).done();
    assert!(text.contains("ok sst_000001.db: 4 items"), "{text}");
    assert!(text.contains("foreign notes.txt: left alone"), "{text}");
    assert!(text.ends_with(" files are sound\n"), "{text}");
    let report = &tool.json(&["verify", "."])[0];
    assert_eq!((&report["problems"], &report["foreign"]), (&json!([]), &json!(["notes.txt"])));
}

#[test]
fn a_damaged_table_is_named_with_the_offset() {
    let tool = Tool::with_fruit();
    let table = tool.files("sst_", ".db").remove(0);
    flip(&table, 100);
    for arguments in [&["verify", "."][..], &["verify", ".", "--deep"]] {
        let run = tool.run(arguments);
        assert_eq!((run.code, run.err.as_str()), (1, ""), "{}", run.out);
        assert!(run.out.contains("PROBLEM sst_000001.db: corruption in"), "{}", run.out);
        assert!(run.out.contains("at offset 80"), "{}", run.out);
        assert!(run.out.contains("1 problem; restore the files"), "{}", run.out);
    }
    let run = tool.run(&["--json", "verify", "."]);
    let problem = &run.json()[0]["problems"][0];
    assert_eq!((run.code, &problem["file"]), (1, &json!("sst_000001.db")));
    assert_eq!((&problem["offset"], &problem["bytes"]), (&json!(80), &json!(76)));
    assert!(problem["advice"].as_str().unwrap().contains("kv repair"), "{problem}");
    assert!(problem["what"].as_str().unwrap().contains("at offset 80"), "{problem}");
    // Reads of the damaged block say so, those of memory go on.
    let complaint = tool.run(&["get", ".", "banana"]).failed(4);
    assert!(complaint.starts_with("kv: corruption in sst_000001.db at offset 80"), "{complaint}");
    assert_eq!(tool.run(&["get", ".", "apple"]).done(), "green\n");
    assert_eq!(tool.run(&["dump-table", "sst_000001.db"]).code, 4);
    let said = tool.said(&["dump-table", "sst_000001.db"]);
    let place = |part: &str| said.find(part).expect(part);
    assert!(place("4 entries") < place("corruption"), "what is intact comes first: {said}");
}

#[test]
fn every_damaged_part_is_listed() {
    let tool = Tool::with_fruit();
    let table = tool.files("sst_", ".db").remove(0);
    let len = std::fs::metadata(&table).unwrap().len() as usize;
    for offset in [20, 100, len - 1] {
        flip(&table, offset);
    }
    // A number that was given, and one that was not.
    std::fs::write(tool.path().join("compacted_000001.db"), "a leftover").unwrap();
    std::fs::write(tool.path().join("sst_000002.db"), "of somebody else").unwrap();
    let run = tool.run(&["verify", ".", "--deep"]);
    assert_eq!(run.code, 1, "{run:?}");
    for part in ["at offset 0:", "at offset 80:", &format!("at offset {}:", len - 64)] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    assert!(run.out.contains("unused compacted_000001.db: an open removes it"), "{}", run.out);
    assert!(run.out.contains("foreign sst_000002.db: left alone"), "{}", run.out);
    assert!(run.out.contains("kv repair . --to NEW"), "{}", run.out);
}

#[test]
fn damage_that_prevents_opening_is_exit_code_4_everywhere() {
    let tool = Tool::with_fruit();
    flip(&tool.files("MANIFEST_", "").remove(0), 4096 + 40);
    for command in ["scan", "stats", "levels", "flush", "compact", "dump-manifest"] {
        let run = tool.run(&[command, "."]);
        assert_eq!((run.code, run.out.as_str()), (4, ""), "{command}: {}", run.err);
        assert!(run.err.contains("corruption in MANIFEST_"), "{command}: {}", run.err);
    }
    for arguments in [&["get", ".", "a"][..], &["put", ".", "a", "b"], &["del", ".", "a"]] {
        assert!(tool.run(arguments).failed(4).contains("MANIFEST_"), "{arguments:?}");
    }
    let complaint = tool.run(&["--json", "scan", "."]).failed(4);
    let report: Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(report["error"], json!("corruption"));
    assert!(report["message"].as_str().unwrap().contains("at offset 4112"), "{report}");
}

#[test]
fn a_damaged_manifest_is_a_problem_and_no_end_of_the_check() {
    let tool = Tool::with_fruit();
    let manifest = tool.files("MANIFEST_", "").remove(0);
    flip(&manifest, 4096 + 40);
    flip(&tool.files("sst_", ".db").remove(0), 100);
    let run = tool.run(&["verify", "."]);
    assert_eq!((run.code, run.err.as_str()), (1, ""), "{}", run.out);
    let manifest = name(&manifest);
    for part in [
        format!("manifest {manifest} is DAMAGED"),
        format!("PROBLEM {manifest}: corruption in {manifest} at offset 4096"),
        "PROBLEM sst_000001.db: corruption in sst_000001.db at offset 80".into(),
        "1 items, by the file alone".into(),
        "2 problems; ".into(),
    ] {
        assert!(run.out.contains(&part), "{part}: {}", run.out);
    }
    let report = &tool.run(&["--json", "verify", "."]).json()[0];
    assert_eq!(report["manifest_state"], json!("partial"));
    assert_eq!(report["files"][0]["judged_by"], json!("file_alone"));
    std::fs::remove_file(tool.path().join(&manifest)).unwrap();
    let run = tool.run(&["verify", "."]);
    assert_eq!(run.code, 1, "{}", run.out);
    assert!(run.out.starts_with("NO MANIFEST can be read"), "{}", run.out);
    assert!(run.out.contains("there is no manifest, but log segments or tables"), "{}", run.out);
}

/// A database as a power cut leaves it, in the middle of a write.
fn with_a_torn_log() -> Tool {
    let tool = Tool::new();
    let live = Tool::with_fruit();
    let engine = Engine::open(live.path(), Options::default()).unwrap();
    engine.put(b"whole", b"value").unwrap();
    engine.put(b"torn", b"value").unwrap();
    for path in live.files("", "") {
        let mut bytes = std::fs::read(&path).unwrap_or_default();
        if name(&path) == "wal.log" {
            let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
            bytes[last - 2..=last].fill(0);
        }
        std::fs::write(tool.path().join(name(&path)), bytes).unwrap();
    }
    tool
}

/// The command is asked for something else.
#[test]
fn what_an_open_cuts_off_is_told_beside_the_result() {
    let tool = with_a_torn_log();
    let dump = tool.run(&["dump-wal", "wal.log"]).done();
    assert!(dump.contains(", end torn, ") && dump.ends_with(" bytes torn\n"), "{dump}");
    let run = tool.run(&["get", ".", "whole"]);
    assert_eq!((run.code, run.out.as_str()), (0, "value\n"), "{}", run.err);
    assert!(run.err.starts_with("kv: note: cut "), "{}", run.err);
    for part in [" bytes of an incomplete write from wal.log at offset ", "kept as quarantine/wal_"]
    {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert_eq!(tool.run(&["get", ".", "torn"]).code, 1, "it was told once");

    let run = with_a_torn_log().run(&["--json", "get", ".", "whole"]);
    assert_eq!(run.json(), [json!({ "key": "whole", "value": "value" })], "{}", run.err);
    let note: Value = serde_json::from_str(&run.err).expect("a program reads this as well");
    assert!(note["note"].as_str().unwrap().starts_with("cut "), "{note}");
}

#[test]
fn a_missing_table_and_a_damaged_log_are_problems() {
    let tool = Tool::with_fruit();
    std::fs::remove_file(tool.files("sst_", ".db").remove(0)).unwrap();
    let log = tool
        .files("wal", ".log")
        .into_iter()
        .find(|path| tool.run(&["dump-wal", &name(path)]).done().contains("apple"));
    let log = log.expect("a segment has the change");
    flip(&log, 4096 + 30);
    let run = tool.run(&["verify", "."]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("PROBLEM sst_000001.db"), "{}", run.out);
    assert!(run.out.contains(&format!("corruption in {} at offset 4096", name(&log))), "{run:?}");
    assert!(run.out.contains("2 problems"), "{}", run.out);
    let dump = tool.run(&["dump-wal", &name(&log)]);
    assert_eq!(dump.code, 4, "{dump:?}");
}

#[test]
fn an_open_database_is_refused_with_the_holder() {
    let tool = Tool::with_fruit();
    let engine = Engine::open(tool.path(), Options::default()).unwrap();
    let holder = format!("is already open in process {}", std::process::id());
    for command in ["scan", "stats", "levels", "flush", "compact", "verify"] {
        let complaint = tool.run(&[command, "."]).failed(3);
        assert!(complaint.contains(&holder), "{command}: {complaint}");
    }
    let complaint = tool.run(&["--json", "put", ".", "a", "b"]).failed(3);
    let report: Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(report["error"], json!("input_output"));
    assert!(report["message"].as_str().unwrap().contains(&holder), "{report}");
    engine.put(b"still", b"writable").unwrap();
}

#[test]
fn a_directory_without_a_database_stays_empty() {
    let tool = Tool::new();
    for command in
        ["scan", "stats", "levels", "flush", "compact", "verify", "dump-manifest", "dump-wal"]
    {
        let complaint = tool.run(&[command, "."]).failed(3);
        assert!(complaint.contains("there is no database here"), "{command}: {complaint}");
    }
    tool.run(&["get", ".", "a"]).failed(3);
    tool.run(&["del", ".", "a"]).failed(3);
    assert_eq!(tool.files("", ""), Vec::<std::path::PathBuf>::new());
    let complaint = kv(&["scan", "/nowhere/at/all"]).failed(3);
    assert!(complaint.contains("/nowhere/at/all: No such file"), "{complaint}");
}

#[test]
fn usage_is_exit_code_2() {
    let tool = Tool::with_fruit();
    for arguments in [
        &[][..],
        &["unknown"],
        &["get", "."],
        &["get", ".", "a\\x0"],
        &["put", ".", "a", "\\"],
        &["scan", ".", "--prefix", "a", "--from", "b"],
        &["scan", ".", "--limit", "many"],
        &["dump-table", "."],
    ] {
        assert!(!tool.run(arguments).failed(2).is_empty(), "{arguments:?}");
    }
    let long = "k".repeat(65_537);
    let complaint = tool.run(&["put", ".", &long, "v"]).failed(2);
    assert!(complaint.contains("over the limit"), "{complaint}");
    let empty = Tool::new();
    empty.run(&["put", ".", &long, "v"]).failed(2);
    assert_eq!(empty.files("", "").len(), 0, "no database is made for it");
}
