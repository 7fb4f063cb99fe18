//! The scrub of a running server: what it finds is told.

use std::os::unix::fs::PermissionsExt;

use crate::client::{info, wait_for_counter};
use crate::process::{Program, command};
use crate::wire::Wire;

#[test]
fn rot_is_found_and_told_while_nobody_asks_for_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let mut quick = command(directory.path());
    quick.env("KV_SCRUB_BYTES_PER_SECOND", "64MiB").env("KV_SCRUB_INTERVAL_SECS", "1");
    let mut program = Program::spawn(quick);
    let mut client = program.connect();
    assert_eq!(client.say("CONFIG GET scrub_bytes_per_second").items()[1], Wire::bulk("64MiB"));
    assert_eq!(client.call([&b"SET"[..], b"a", &vec![b'v'; 20_000]]), Wire::ok());
    assert_eq!(client.say("KV.FLUSH"), Wire::ok());
    assert_eq!(info(&mut client, "scrub_findings"), "0");
    let names = std::fs::read_dir(directory.path().join("data")).unwrap();
    let mut paths = names.map(|entry| entry.unwrap().path());
    let table = paths.find(|path| path.to_str().unwrap().contains("/sst_")).unwrap();
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    // Inside the first block, which starts behind the header.
    bytes[5000] ^= 1;
    std::fs::write(&table, &bytes).unwrap();

    wait_for_counter(&mut client, "scrub_findings", 1);
    assert_ne!(info(&mut client, "scrubbed_bytes"), "0");
    let name = table.file_name().unwrap().to_str().unwrap();
    let finding = info(&mut client, "scrub_finding_0");
    assert!(finding.starts_with(&format!("file={name},offset=")), "{finding}");
    let line = program.error_line("scrub");
    assert!(line.contains(&format!("{name} is damaged at offset ")), "{line}");
    assert_eq!(info(&mut client, "health"), "ok", "other keys can be read and written");
}
