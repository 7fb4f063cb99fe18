//! Errors of the operating system: their kind, and what they say to do.

use std::io;

use kv_core::Error;

/// Number, what passes by itself (space, resources), and a part of the advice.
const CASES: [(i32, bool, bool, &str); 10] = [
    (12, false, true, "free some memory"),
    (13, false, false, "permissions"),
    (23, false, true, "ulimit -n"),
    (24, false, true, "ulimit -n"),
    (27, false, false, "ulimit -f"),
    (28, true, false, "No space left"),
    (30, false, false, "mount it for writing"),
    (116, false, false, "mount it again"),
    (122, true, false, "quota"),
    (5, false, false, "Input/output error"),
];

#[test]
fn each_says_what_to_do_and_whether_it_passes() {
    for (number, is_space, are_resources, advice) in CASES {
        let error = Error::io("append to", "wal.log", io::Error::from_raw_os_error(number));
        let sentence = error.to_string();
        assert!(sentence.starts_with("append to wal.log: "), "{sentence}");
        assert!(sentence.contains(advice), "{sentence}");
        assert!(sentence.contains(&format!("(os error {number})")), "{sentence}");
        assert_eq!(error.is_out_of_space(), is_space, "{sentence}");
        assert_eq!(error.is_out_of_resources(), are_resources, "{sentence}");
    }
}

#[test]
fn an_error_of_ours_says_itself_what_to_do() {
    let source = io::Error::new(io::ErrorKind::PermissionDenied, "others can write to it, chmod");
    let error = Error::io("open directory", "data", source);
    assert_eq!(error.to_string(), "open directory data: others can write to it, chmod");
}
