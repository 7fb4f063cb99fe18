//! The dumps: records as they stand, from a directory or a single file.

use expect_test::expect;
use serde_json::json;

use crate::tool::{Tool, kv};

#[test]
fn a_log_is_printed_segment_by_segment() {
    let tool = Tool::new();
    tool.run(&["put", ".", "apple", "red"]).done();
    tool.run(&["put", ".", "a\\x00b", ""]).done();
    tool.run(&["del", ".", "apple"]).done();
    expect![[r#"
        wal_000001.log @4112 seqno 1: put apple = red
        wal_000001.log: segment 1, 1 records, end closed
        wal_000002.log @4112 seqno 2: put a\x00b = 
        wal_000002.log: segment 2, 1 records, end closed
        wal.log @4112 seqno 3: delete apple
        wal.log: segment 3, 1 records, end closed
    "#]]
    .assert_eq(&tool.run(&["dump-wal", "."]).done());
    let whole = tool.json(&["dump-wal", "."]);
    assert_eq!(
        whole[0],
        json!({
            "segment": "wal_000001.log",
            "offset": 4112,
            "first_seqno": 1,
            "writes": [{ "kind": "put", "key": "apple", "value": "red" }],
        })
    );
    let one = tool.run(&["dump-wal", "wal_000001.log"]).done();
    assert_eq!(one.lines().count(), 2, "{one}");
    let path = tool.path().join("wal_000001.log");
    assert_eq!(kv(&["dump-wal", path.to_str().unwrap()]).done(), one, "from anywhere");
}

#[test]
fn a_table_is_printed_with_its_properties() {
    let tool = Tool::with_fruit();
    tool.run(&["flush", "."]).done();
    let tables = tool.files("sst_", ".db");
    assert_eq!(tables.len(), 2);
    let newest = tables[1].to_str().unwrap();
    expect![[r#"
        2 entries (1 deletes) in 1 blocks, apple to cherry, seqno 5 to 6
               5 put apple = green
               6 delete cherry
    "#]]
    .assert_eq(&shorten(&kv(&["dump-table", newest]).done()));
    let properties = kv(&["dump-table", newest, "--properties"]).done();
    assert_eq!(properties.lines().count(), 1, "{properties}");
    let lines = kv(&["--json", "dump-table", newest]).json();
    assert_eq!((&lines[0]["entries"], &lines[0]["deletes"]), (&json!(2), &json!(1)));
    assert_eq!(lines[0]["smallest_key"], json!("apple"), "a key is text, not numbers");
    assert_eq!(lines[1], json!({ "seqno": 5, "kind": "put", "key": "apple", "value": "green" }));
    assert_eq!(lines[2], json!({ "seqno": 6, "kind": "delete", "key": "cherry" }));
}

/// Without the name of the file, which depends on how ids were handed out.
fn shorten(text: &str) -> String {
    let (_, rest) = text.split_once(": ").expect("a name comes first");
    rest.to_owned()
}

#[test]
fn a_manifest_is_printed_edit_by_edit() {
    let tool = Tool::with_fruit();
    let manifest = tool.files("MANIFEST_", "").remove(0);
    let text = tool.run(&["dump-manifest", "."]).done();
    assert_eq!(kv(&["dump-manifest", manifest.to_str().unwrap()]).done(), text);
    let first = text.lines().next().unwrap();
    for part in [" edit 0:", " add L0 sst_000001.db", " flushed through 4"] {
        assert!(first.contains(part), "{part}: {text}");
    }
    let edits = tool.json(&["dump-manifest", "."]);
    assert_eq!(edits.len(), text.lines().count());
    assert_eq!(edits[0]["flushed_through"], json!(4));
    let table = &edits[0]["added"][0][1];
    assert_eq!((&table["smallest_key"], &table["largest_key"]), (&json!("apple"), &json!("date")));
    assert_eq!(table["file_uid"].as_str().unwrap().len(), 32, "{table}");
    tool.run(&["compact", "."]).done();
    let text = tool.run(&["dump-manifest", "."]).done();
    assert!(text.contains(" remove L0 1"), "{text}");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let tool = Tool::with_fruit();
    let table = tool.files("sst_", ".db").remove(0);
    let manifest = tool.files("MANIFEST_", "").remove(0);
    let (table, manifest) = (table.to_str().unwrap(), manifest.to_str().unwrap());
    for (command, file) in [
        ("dump-wal", table),
        ("dump-wal", manifest),
        ("dump-table", manifest),
        ("dump-manifest", table),
    ] {
        let complaint = kv(&[command, file]).failed(4);
        assert!(complaint.contains("another kind"), "{command} {file}: {complaint}");
    }
    let complaint = tool.run(&["dump-table", "sst_999999.db"]).failed(3);
    assert!(complaint.contains("sst_999999.db: No such file"), "{complaint}");
}
