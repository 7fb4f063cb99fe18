//! The bytes of a tiny table. If this test fails the format has changed:
//! tables written before cannot be read any more.

use expect_test::expect;
use kv_sstable::{Compression, TableOptions};

use crate::forge::Parts;
use crate::support::{accounts, delete, put, table_bytes};

fn hex(bytes: &[u8]) -> String {
    let mut lines = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        lines.push_str(&format!("{:04x}", 16 * number));
        for byte in line {
            lines.push_str(&format!(" {byte:02x}"));
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn a_plain_table() {
    let options = TableOptions { block_bytes: 64, restart_interval: 2, ..TableOptions::default() };
    let entries = [
        put("apple", 300, "red"),
        put("applesauce", 2, ""),
        delete("banana", 70_000),
        put("cherry", 1, "a value too long for the block of its neighbours"),
    ];
    expect![[r#"
        0000 6b 76 2e 73 73 74 0d 0a 01 00 01 00 00 00 00 00
        0010 00 00 00 00 00 00 00 00 0d 0d 0d 0d 0d 0d 0d 0d
        0020 0d 0d 0d 0d 0d 0d 0d 0d 07 00 00 00 00 00 00 00
        0030 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07 07
        0040 00 00 00 00 00 00 00 00 00 00 00 00 9c d6 b1 57
        0050 00 05 19 ac 02 61 70 70 6c 65 72 65 64 05 05 01
        0060 02 73 61 75 63 65 00 06 00 f0 a2 04 62 61 6e 61
        0070 6e 61 00 00 0d 00 16 00 18 8b 56 03 00 02 01 00
        0080 18 4e 7b 55 00 06 81 03 01 63 68 65 72 72 79 61
        0090 20 76 61 6c 75 65 20 74 6f 6f 20 6c 6f 6e 67 20
        00a0 66 6f 72 20 74 68 65 20 62 6c 6f 63 6b 20 6f 66
        00b0 20 69 74 73 20 6e 65 69 67 68 62 6f 75 72 73 00
        00c0 00 f9 01 00 02 01 00 3c 46 a7 b8 01 00 00 00 06
        00d0 01 00 00 07 07 07 07 07 07 07 07 00 00 00 00 00
        00e0 00 20 00 00 00 04 00 00 04 20 00 00 00 00 00 10
        00f0 00 04 20 00 80 00 88 00 00 08 00 00 00 01 00 00
        0100 00 00 20 00 20 00 00 00 00 00 00 02 00 a1 08 00
        0110 00 00 00 02 00 00 00 00 00 80 0a 02 00 00 00 06
        0120 00 00 00 2f 00 00 00 42 00 00 00 18 4e 7b 55 3c
        0130 46 a7 b8 05 00 00 00 06 00 00 00 61 70 70 6c 65
        0140 63 01 1e 00 00 00 04 01 05 61 70 70 6c 65 06 63
        0150 68 65 72 72 79 01 fc 70 11 01 00 1b 33 71 02 00
        0160 40 02 0a 00 ea ec 66 47 cb 00 00 00 00 00 00 00
        0170 50 00 00 00 5b c6 c3 db 1b 01 00 00 00 00 00 00
        0180 26 00 00 00 f3 83 a9 6a 41 01 00 00 00 00 00 00
        0190 27 00 00 00 c7 4b 67 48 01 00 00 00 e2 75 ed d6
        01a0 6b 76 2e 73 73 74 2e 66
    "#]]
    .assert_eq(&hex(&table_bytes(&options, &entries)));
}

#[test]
fn a_compressed_block() {
    let options = TableOptions { compression: Compression::Lz4, ..TableOptions::default() };
    let entries = [put("key", 1, [b'v'; 64])];
    let parts = Parts::of(&table_bytes(&options, &entries));
    expect![[r#"
        0000 4f 00 00 00 9f 00 03 81 04 01 6b 65 79 76 01 00
        0010 2c 70 00 00 11 01 00 10 01 01
    "#]]
    .assert_eq(&hex(&parts.blocks[0]));
}

#[test]
fn the_parts_of_a_table_make_the_same_table() {
    for compression in [Compression::None, Compression::Lz4] {
        let options = TableOptions { block_bytes: 512, compression, ..TableOptions::default() };
        let bytes = table_bytes(&options, &accounts(300));
        assert!(Parts::of(&bytes).seal() == bytes);
    }
}
