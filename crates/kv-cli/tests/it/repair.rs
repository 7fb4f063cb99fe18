//! Salvage through the program: exit codes, what it prints, what it leaves.

use std::path::Path;

use expect_test::expect;
use kv_engine::{Engine, FlushSize, Options};
use serde_json::json;

use crate::tool::{Tool, kv};

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    // Sealed files are read-only; rot does not ask.
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn scan(directory: &str, tool: &Tool) -> String {
    tool.run(&["scan", directory]).done()
}

#[test]
fn a_sound_database_is_copied_and_nothing_is_lost() {
    let tool = Tool::with_fruit();
    let text = tool.run(&["repair", ".", "--to", "new"]).done();
    assert!(text.ends_with("kept 3 keys up to write 6; nothing was lost\n"), "{text}");
    assert_eq!(scan("new", &tool), "apple\tgreen\nbanana\tyellow\ndate\tbrown\n");
    assert!(tool.run(&["verify", "new", "--deep"]).done().ends_with("files are sound\n"));
    assert_eq!(scan(".", &tool), scan("new", &tool), "the old one still opens");
}

#[test]
fn losses_are_listed_and_are_exit_code_5() {
    let tool = Tool::with_fruit();
    flip(&tool.files("sst_", ".db").remove(0), 100);
    let run = tool.run(&["repair", ".", "--to", "new"]);
    assert_eq!((run.code, run.err.as_str()), (5, ""), "{}", run.out);
    let is_shown = |line: &&str| !line.contains("wal") && !line.starts_with("foreign");
    let lines: Vec<&str> = run.out.lines().filter(is_shown).collect();
    expect![[r#"
        kept MANIFEST_000007: 1 tables in 3 edits
        DAMAGED sst_000001.db: 0 entries in 0 blocks, 4 lost
          at offset 80, 76 bytes: the block fails its checksum; keys apple to date; bytes kept as quarantine/sst_000001.db.80
        kept 1 keys up to write 6; NOT ALL: 1 damaged ranges, 0 files missing"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(scan("new", &tool), "apple\tgreen\n", "cherry stays deleted");
    assert!(tool.path().join("new/quarantine/sst_000001.db.80").is_file());
    let report = &tool.run(&["--json", "repair", ".", "--to", "other"]).json()[0];
    let file = report["files"].as_array().unwrap().iter().find(|file| file["kind"] == "table");
    let damage = &file.unwrap()["damage"][0];
    assert_eq!((&damage["offset"], &damage["from_key"]), (&json!(80), &json!("apple")));
    assert_eq!(report["manifest"], json!("whole"));
}

#[test]
fn a_prefix_leaves_out_what_stands_behind_a_gap() {
    let tool = Tool::new();
    let options = Options { memtable_flush_size: FlushSize::Bytes(1 << 20), ..Options::default() };
    let engine = Engine::open(tool.path(), options).unwrap();
    for key in ["one", "two", "three"] {
        engine.put(key.as_bytes(), b"value").unwrap();
    }
    engine.close().unwrap();
    let second = tool.json(&["dump-wal", "wal.log"])[1]["offset"].as_u64().unwrap();
    flip(&tool.path().join("wal.log"), second as usize + 30);
    for (keep, kept) in [("proven", "one\tvalue\nthree\tvalue\n"), ("prefix", "one\tvalue\n")] {
        let run = tool.run(&["repair", ".", "--to", keep, "--keep", keep]);
        assert_eq!(run.code, 5, "{}", run.out);
        assert!(run.out.contains("LOST writes 2 to 2"), "{}", run.out);
        assert_eq!(scan(keep, &tool), kept, "{}", run.out);
    }
}

#[test]
fn a_database_without_a_manifest_is_put_together_again() {
    let tool = Tool::with_fruit();
    std::fs::remove_file(tool.files("MANIFEST_", "").remove(0)).unwrap();
    assert!(tool.run(&["scan", "."]).failed(4).contains("kv repair"));
    let run = tool.run(&["repair", ".", "--to", "new", "--keep", "prefix"]);
    assert_eq!(run.code, 5, "nobody can prove that nothing is missing: {}", run.out);
    assert!(run.out.contains("MISSING MANIFEST_"), "{}", run.out);
    assert!(run.out.ends_with("0 damaged ranges, 1 files missing, no manifest\n"), "{}", run.out);
    assert_eq!(scan("new", &tool), "apple\tgreen\nbanana\tyellow\ndate\tbrown\n");
}

#[test]
fn wrong_directories_are_refused_and_left_alone() {
    let tool = Tool::with_fruit();
    let complaint = tool.run(&["repair", ".", "--to", "."]).failed(2);
    assert!(complaint.contains("is not empty"), "{complaint}");
    let empty = Tool::new();
    let complaint = empty.run(&["repair", ".", "--to", "new"]).failed(3);
    assert!(complaint.contains("there is no database here"), "{complaint}");
    assert!(!empty.path().join("new").exists(), "a refused repair leaves no directory behind");
    let complaint = empty.run(&["repair", "/nowhere/at/all", "--to", "never"]).failed(3);
    assert!(complaint.contains("/nowhere/at/all"), "{complaint}");
    assert!(!empty.path().join("never").exists());
    let help = kv(&["repair", "--help"]).done();
    for part in ["--to <TO>", "--keep <KEEP>", "5 the new database is sound", "proven", "prefix"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}
