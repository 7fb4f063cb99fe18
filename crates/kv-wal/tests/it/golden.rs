//! The format, byte by byte: a change here is a change of the format.

use std::fmt::Write;

use expect_test::expect;

use crate::support::{log_bytes, text};

/// Rows of 16 bytes; rows like the one before are left out.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut before: Option<&[u8]> = None;
    for (index, row) in bytes.chunks(16).enumerate() {
        if before != Some(row) {
            write!(out, "{:05x}", index * 16).unwrap();
            row.iter().for_each(|byte| write!(out, " {byte:02x}").unwrap());
            out.push('\n');
        }
        before = Some(row);
    }
    writeln!(out, "{:05x}", bytes.len()).unwrap();
    out
}

#[test]
fn a_small_log() {
    let bytes = log_bytes(16 << 10, |mut log| {
        log.append(b"first").unwrap();
        log.sync().unwrap();
        log.append(b"").unwrap();
        log.append(&text(1, 20)).unwrap();
        log.flush().unwrap();
        // Over a frame boundary, and its successor over the next: the last
        // header is cut in two.
        log.append(&vec![b'x'; 4060]).unwrap();
        log.append(&vec![b'y'; 3970]).unwrap();
        log.append(b"last").unwrap();
        log.finish().unwrap();
    });
    expect![[r#"
        00000 6b 76 2e 77 61 6c 0d 0a 01 00 01 00 00 00 00 00
        00010 00 00 00 00 00 00 00 00 61 20 74 65 73 74 20 64
        00020 61 74 61 62 61 73 65 2e 07 00 00 00 00 00 00 00
        00030 6f 6e 65 20 72 61 6e 64 6f 6d 20 66 69 6c 65 2e
        00040 00 00 00 00 00 00 00 00 00 00 00 00 f3 7d 15 b3
        00050 00 40 00 00 00 00 00 00 00 00 00 00 f5 85 7b 0a
        00060 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        01000 75 f1 fe 5c 00 00 00 00 00 00 00 00 00 00 00 00
        01010 23 55 bb 31 05 00 00 00 00 00 00 00 01 00 00 00
        01020 d1 9e f3 88 66 69 72 73 74 20 96 b9 3d 00 00 00
        01030 00 00 00 00 00 01 00 00 00 ab ea 46 8d b1 6d cc
        01040 9b 14 00 00 00 14 00 00 00 01 00 00 00 e1 79 c6
        01050 c5 40 47 4e 55 5c 63 6a 71 78 25 2c 33 3a 41 48
        01060 4f 56 5d 64 6b f8 7f aa b7 dc 0f 00 00 3c 00 00
        01070 00 01 00 00 00 60 92 7a aa 78 78 78 78 78 78 78
        01080 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78
        02000 5f ec 7f 88 55 00 00 00 19 00 00 00 00 00 00 00
        02010 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78 78
        02060 78 78 78 78 78 1e ea 83 86 82 0f 00 00 2c 10 00
        02070 00 01 00 00 00 8e 48 31 3e 79 79 79 79 79 79 79
        02080 79 79 79 79 79 79 79 79 79 79 79 79 79 79 79 79
        02ff0 79 79 79 79 79 79 79 79 79 79 79 b8 c1 32 e7 04
        03000 58 96 1f f9 13 00 00 00 19 00 00 00 00 00 00 00
        03010 00 00 00 c2 1f 00 00 01 00 00 00 f4 3f 46 b3 6c
        03020 61 73 74 3b 35 b8 be 00 00 00 00 00 00 00 00 02
        03030 00 00 00 8c 9b 97 b1
        03037
    "#]]
    .assert_eq(&dump(&bytes));
}
