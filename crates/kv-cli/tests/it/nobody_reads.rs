//! Runs whose output nobody reads: what they found is in the exit code.

use std::process::Stdio;

use crate::damage::flip;
use crate::tool::{Tool, command};

/// The exit code of a run whose reader has gone before it says anything.
fn code_without_reader(tool: &Tool, arguments: &[&str]) -> i32 {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command();
    command.current_dir(tool.path()).args(arguments).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    output.status.code().unwrap()
}

#[test]
fn a_failed_check_stays_failed() {
    let tool = Tool::with_fruit();
    assert_eq!(code_without_reader(&tool, &["verify", "."]), 0);
    assert_eq!(code_without_reader(&tool, &["get", ".", "cherry"]), 1);
    assert_eq!(code_without_reader(&tool, &["--json", "get", ".", "cherry"]), 1);
    flip(&tool.files("sst_", ".db")[0], 100);
    for format in [&[][..], &["--json"]] {
        for depth in [&["verify", "."][..], &["verify", ".", "--deep"]] {
            assert_eq!(code_without_reader(&tool, &[format, depth].concat()), 1);
        }
    }
    assert_eq!(code_without_reader(&tool, &["repair", ".", "--to", "new"]), 5);
    assert_eq!(code_without_reader(&tool, &["--json", "repair", ".", "--to", "newer"]), 5);
    assert_eq!(code_without_reader(&tool, &["verify", "new"]), 0);
}

/// The report of many problems is longer than what is buffered.
#[test]
fn a_long_report_does_not_hide_what_it_says() {
    let tool = Tool::with_fruit();
    for number in 100..300 {
        let name = format!("sst_{number:06}.db");
        std::fs::write(tool.path().join(name), b"no table").unwrap();
    }
    std::fs::remove_file(tool.files("MANIFEST_", "").remove(0)).unwrap();
    let run = tool.run(&["verify", "."]);
    assert_eq!(run.code, 1);
    assert!(run.out.len() > 8 << 10, "longer than a buffer: {}", run.out.len());
    assert_eq!(code_without_reader(&tool, &["verify", "."]), 1);
}

/// `kv scan | head` is no failure of the scan.
#[test]
fn who_has_seen_enough_of_a_scan_or_dump_may_go() {
    let tool = Tool::with_fruit();
    for arguments in [&["scan", "."][..], &["dump-wal", "."], &["dump-manifest", "."]] {
        assert_eq!(code_without_reader(&tool, arguments), 0, "{arguments:?}");
    }
}
