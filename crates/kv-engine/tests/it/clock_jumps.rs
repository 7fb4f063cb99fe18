//! Clocks that jump: the engine orders by sequence numbers alone.

use std::time::Duration;

use kv_engine::{Durability, Engine, WriteBatch};
use kv_env::{CrashChoice, SimDisk};

use crate::support::{contents, open, settle, tiny};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes the same keys over and over; before each write the clock does what
/// `jump` says.
fn run(jump: impl Fn(&SimDisk, u64)) -> (SimDisk, Entries) {
    let disk = SimDisk::new(1);
    let mut engine: Engine = open(&disk, tiny());
    for number in 0..60u64 {
        jump(&disk, number);
        let mut batch = WriteBatch::new();
        batch.put(&[number as u8 % 5], &number.to_be_bytes()).unwrap();
        let durability =
            [Durability::Sync, Durability::Interval, Durability::Os][number as usize % 3];
        engine.write(batch, durability).unwrap();
        match number % 20 {
            9 => settle(&engine),
            15 => engine.compact().unwrap(),
            19 => {
                engine.close().unwrap();
                engine = open(&disk, tiny());
            }
            _ => {}
        }
    }
    let found = contents(&engine);
    engine.close().unwrap();
    (disk, found)
}

#[test]
fn no_jump_of_a_clock_changes_what_is_stored() {
    let (_, truth) = run(|_, _| {});
    let start = 1_700_000_000_000;
    let jumps: [fn(&SimDisk, u64); 5] = [
        // Backwards with every write.
        |disk, number| disk.clock().set_wall_ms(1_700_000_000_000 - number * 86_400_000),
        // To the beginning and the end of time, to and fro.
        |disk, number| disk.clock().set_wall_ms(if number % 2 == 0 { 0 } else { u64::MAX }),
        // The monotonic clock leaps ahead.
        |disk, _| disk.clock().advance(Duration::from_secs(1 << 40)),
        // Stuck: neither moves.
        |disk, _| disk.clock().set_wall_ms(1_700_000_000_000),
        |disk, number| disk.clock().advance(Duration::from_nanos(number)),
    ];
    for (index, jump) in jumps.into_iter().enumerate() {
        let (disk, found) = run(|disk, number| {
            if number == 0 {
                disk.clock().set_wall_ms(start);
            }
            jump(disk, number);
        });
        assert_eq!(found, truth, "jump {index}");
        let reopened = contents(&open(&disk.crash(CrashChoice::None), tiny()));
        assert_eq!(reopened, truth, "jump {index}, after a power cut");
    }
}
