//! Bugs around the sync of the log: acknowledged too early, errors swallowed,
//! the latch that does not hold.

use super::{Hunt, Mutant};

pub(super) const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "acknowledged-before-the-sync",
        hunt: Hunt::Simulation,
        bug: "a write is answered once the system has it (etcd #14370)",
        file: "kv-engine/src/sync.rs",
        original: "if group.needs_sync || !pending.groups.is_empty() {",
        code: "if !MUTANT && (group.needs_sync || !pending.groups.is_empty()) {",
    },
    Mutant {
        name: "sync-error-swallowed",
        hunt: Hunt::Simulation,
        bug: "the error of fdatasync is dropped (CockroachDB #32605)",
        file: "kv-engine/src/sync.rs",
        original: "let outcome = handle.sync();",
        code: "let outcome = match handle.sync() { Err(_) if MUTANT => Ok(()), it => it };",
    },
    Mutant {
        name: "sync-retried",
        hunt: Hunt::Simulation,
        bug: "fdatasync is called again after an error and believed (PostgreSQL 2018)",
        file: "kv-engine/src/sync.rs",
        original: "            Err(error) => {
                self.poison(format!(\"cannot sync the log: {error}\"));
                false
            }
            Ok(()) => {
                let pending",
        code: "            Err(error) if !MUTANT || handle.sync().is_err() => {
                self.poison(format!(\"cannot sync the log: {error}\"));
                false
            }
            _ => {
                let pending",
    },
    Mutant {
        name: "append-error-swallowed",
        hunt: Hunt::Simulation,
        bug: "a failed write of the log is dropped (RocksDB FlushWAL, ENOSPC)",
        file: "kv-wal/src/writer.rs",
        original: "        let result = self.file.append(&self.group);
        self.group.clear();",
        code: "        let result = match self.file.append(&self.group) {
            Err(_) if MUTANT => Ok(()),
            it => it,
        };
        self.group.clear();",
    },
    Mutant {
        name: "poison-without-effect",
        hunt: Hunt::Simulation,
        bug: "after a failed sync writing goes on (RocksDB #12995)",
        file: "kv-engine/src/poison.rs",
        original: "        let _ = self.cause.set(cause.into());",
        code: "        if !MUTANT {
            let _ = self.cause.set(cause.into());
        }",
    },
    Mutant {
        name: "segment-left-unsynced",
        hunt: Hunt::Simulation,
        bug: "the old log is not synced when a newer one is used (LevelDB #193)",
        file: "kv-engine/src/freeze.rs",
        original: "        let Ok(role) = self.sync_last(&mut writer.log) else { return };",
        code: "        let role = match MUTANT {
            true => writer.log.flush().map(|()| None),
            false => self.sync_last(&mut writer.log).map(Some),
        };
        let Ok(role) = role else { return };",
    },
    Mutant {
        name: "close-without-sync",
        hunt: Hunt::Simulation,
        bug: "a proper close leaves the end of the log to luck",
        file: "kv-engine/src/close.rs",
        original: "        let _role = self.sync_last(&mut writer.log)?;",
        code: "        if MUTANT {
            let _ = writer.log.flush();
            self.acknowledge_all();
            return Ok(());
        }
        let _role = self.sync_last(&mut writer.log)?;",
    },
    Mutant {
        name: "visible-before-durable",
        hunt: Hunt::Test("failing_disk::every_sync_may_fail"),
        bug: "a read returns what a power cut takes back",
        file: "kv-engine/src/sync.rs",
        original: "            pending.waiting += usize::from(group.needs_sync);",
        code: "            if MUTANT {
                self.publish(group.last_seqno);
            }
            pending.waiting += usize::from(group.needs_sync);",
    },
    Mutant {
        name: "log-header-unsynced",
        hunt: Hunt::Simulation,
        bug: "a segment takes records before its header is durable",
        file: "kv-wal/src/writer.rs",
        original: "            file.zero_fill(prewritten_bytes)?;
        }
        file.sync()?;",
        code: "            file.zero_fill(prewritten_bytes)?;
        }
        if !MUTANT {
            file.sync()?;
        }",
    },
    Mutant {
        name: "table-unsealed",
        hunt: Hunt::Simulation,
        bug: "the manifest names a table whose bytes are not durable (LevelDB #333)",
        file: "kv-sstable/src/output.rs",
        original: "        self.file.seal()",
        code: "        if MUTANT { Ok(()) } else { self.file.seal() }",
    },
];
