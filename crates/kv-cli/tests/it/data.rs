//! Reading and writing entries, and the work that operators ask for.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use kv_engine::{Engine, Options};
use serde_json::json;

use crate::tool::{Run, Tool, command};

#[test]
fn what_was_put_is_got_and_scanned() {
    let tool = Tool::with_fruit();
    assert_eq!(tool.run(&["get", ".", "apple"]).done(), "green\n");
    assert_eq!(tool.run(&["get", ".", "cherry"]).failed(1), "", "absent is no complaint");
    assert_eq!(tool.run(&["scan", "."]).done(), "apple\tgreen\nbanana\tyellow\ndate\tbrown\n");
    assert_eq!(tool.run(&["scan", ".", "--keys", "--reverse"]).done(), "date\nbanana\napple\n");
    assert_eq!(tool.run(&["scan", ".", "--prefix", "b"]).done(), "banana\tyellow\n");
    let between = ["scan", ".", "--from", "b", "--to", "date", "--keys"];
    assert_eq!(tool.run(&between).done(), "banana\n");
    assert_eq!(tool.run(&["scan", ".", "--limit", "1"]).done(), "apple\tgreen\n");
    assert_eq!(tool.run(&["scan", ".", "--limit", "0"]).done(), "");
}

/// A hyphen in front of a number does not make an option of it, and behind `--`
/// none does.
#[test]
fn keys_and_values_may_start_with_a_hyphen() {
    let tool = Tool::new();
    tool.run(&["put", ".", "-1", "-2.5"]).done();
    assert_eq!(tool.run(&["get", ".", "-1"]).done(), "-2.5\n");
    tool.run(&["del", ".", "-1"]).done();
    assert_eq!(tool.run(&["get", ".", "-1"]).failed(1), "");
    tool.run(&["put", ".", "--", "-x", "--json"]).done();
    assert_eq!(tool.run(&["get", ".", "--", "-x"]).done(), "--json\n");
    for key in ["-1", "--keys", "apple"] {
        tool.run(&["put", ".", "--", key, "1"]).done();
    }
    assert_eq!(tool.run(&["scan", ".", "--keys", "--from", "-1"]).done(), "-1\n-x\napple\n");
    assert_eq!(tool.run(&["scan", ".", "--keys", "--to", "-x"]).done(), "--keys\n-1\n");
    assert_eq!(tool.run(&["scan", ".", "--prefix", "--k", "--keys"]).done(), "--keys\n");
    assert_eq!(tool.run(&["scan", ".", "--prefix=-x", "--keys"]).done(), "-x\n");
}

/// The exit code says what the words cannot.
#[test]
fn output_that_cannot_be_written_is_no_panic() {
    let tool = Tool::with_fruit();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for json in [&[][..], &["--json"]] {
        let with = |arguments: &[&str]| {
            let mut command = command();
            command.current_dir(tool.path()).args(json).args(arguments);
            command
        };
        let mut scan = with(&["scan", "."]);
        let run: Run = scan.stdout(full()).output().unwrap().into();
        assert!(run.failed(3).contains("cannot write the output"));
        let mut absent = with(&["dump-table", "no-such-file"]);
        assert_eq!(absent.stderr(full()).status().unwrap().code(), Some(3));
    }
}

#[test]
fn programs_get_objects() {
    let tool = Tool::new();
    assert_eq!(tool.json(&["put", ".", "a", "1"]), [json!({ "seqno": 1 })]);
    assert_eq!(tool.json(&["put", ".", "b", ""]), [json!({ "seqno": 2 })]);
    assert_eq!(tool.json(&["del", ".", "c"]), [json!({ "seqno": 3 })]);
    assert_eq!(tool.json(&["get", ".", "a"]), [json!({ "key": "a", "value": "1" })]);
    let entries = [json!({ "key": "a", "value": "1" }), json!({ "key": "b", "value": "" })];
    assert_eq!(tool.json(&["scan", "."]), entries);
    assert_eq!(tool.json(&["scan", ".", "--keys", "--limit", "1"]), [json!({ "key": "a" })]);
    let absent = tool.run(&["--json", "get", ".", "c"]);
    assert_eq!((absent.code, absent.json()), (1, vec![json!({ "key": "c" })]));
}

#[test]
fn every_byte_goes_in_and_comes_out() {
    let tool = Tool::new();
    let all: String = (0..=255).map(|byte| format!("\\x{byte:02x}")).collect();
    tool.run(&["put", ".", &all, &all]).done();
    let printed = tool.run(&["get", ".", &all]).done();
    // What is printed can be given back.
    let printed = printed.strip_suffix('\n').unwrap();
    assert!(printed.contains("ABC") && printed.contains("\\\\") && printed.ends_with("\\xff"));
    assert!(printed.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{printed:?}");
    assert_eq!(tool.run(&["get", ".", printed]).done(), format!("{printed}\n"));
    let engine = Engine::open(tool.path(), Options::default()).unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(engine.get(&bytes).unwrap().unwrap(), bytes);
}

#[test]
fn empty_and_blank_keys_and_values_can_be_told_apart() {
    let tool = Tool::new();
    for (key, value) in [("", "of the empty key"), ("blank", "  "), ("empty", ""), (" ", "\\x0a")] {
        tool.run(&["put", ".", key, value]).done();
    }
    assert_eq!(tool.run(&["get", ".", "empty"]).done(), "\n");
    assert_eq!(tool.run(&["get", ".", "blank"]).done(), "  \n");
    assert_eq!(tool.run(&["get", ".", " "]).done(), "\\x0a\n");
    let expected = "\tof the empty key\n \t\\x0a\nblank\t  \nempty\t\n";
    assert_eq!(tool.run(&["scan", "."]).done(), expected);
    assert_eq!(tool.run(&["scan", ".", "--keys"]).done(), "\n \nblank\nempty\n");
}

#[test]
fn figures_levels_flush_and_compact_show_the_tree() {
    let tool = Tool::with_fruit();
    let stats = tool.run(&["stats", "."]).done();
    assert!(stats.starts_with("recovered after a clean shutdown: 1 tables, 2 writes"), "{stats}");
    assert!(stats.lines().any(|line| line.starts_with("table_bytes ")), "{stats}");
    let stats = &tool.json(&["stats", "."])[0];
    assert_eq!((&stats["stats"]["tables"], &stats["recovery"]["tables"]), (&json!(1), &json!(1)));

    let levels = tool.run(&["levels", "."]).done();
    assert!(levels.contains("4 entries (0 deletes), apple to date"), "{levels}");
    let flushed = tool.run(&["flush", "."]).done();
    assert!(flushed.starts_with("L0      2 tables"), "{flushed}");
    let flushed = &tool.json(&["flush", "."])[0]["levels"];
    assert_eq!((&flushed[0]["tables"], &flushed[0]["deletes"]), (&json!(2), &json!(1)));

    tool.run(&["compact", "."]).done();
    let levels = &tool.json(&["levels", "."])[0];
    let table = &levels["tables"][0];
    assert_eq!((&table["entries"], &table["deletes"]), (&json!(3), &json!(0)), "{levels}");
    assert_eq!((&table["smallest_key"], &table["largest_key"]), (&json!("apple"), &json!("date")));
    let compacted = &tool.json(&["compact", "."])[0]["levels"];
    assert_eq!(compacted[0]["tables"], json!(0), "{compacted}");
    assert_eq!(tool.run(&["scan", ".", "--keys"]).done(), "apple\nbanana\ndate\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let tool = Tool::new();
    let engine = Engine::open(tool.path(), Options::default()).unwrap();
    let mut batch = kv_engine::WriteBatch::new();
    for number in 0..20_000u32 {
        batch.put(&number.to_be_bytes(), &[b'v'; 100]).unwrap();
    }
    engine.write(batch, kv_engine::Durability::Sync).unwrap();
    engine.close().unwrap();
    for arguments in [&["scan", "."][..], &["--json", "scan", "."]] {
        let mut child = command()
            .current_dir(tool.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains("x00"), "{line}");
        drop(lines);
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        assert_eq!((child.wait().unwrap().code(), complaint.as_str()), (Some(0), ""));
    }
    tool.run(&["verify", "."]).done();
}
