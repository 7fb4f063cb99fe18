//! How the server is, in one word for monitoring and in one line for the log
//! whenever that changes.

use kv_core::Error;

use super::server::Server;
use super::stall::STALL_MS;

/// A condition that comes and goes faster than this is told about once, in
/// milliseconds: a disk at its edge must not fill the log as well.
const QUIET_MS: u64 = 10_000;

/// What keeps writes from being served, the worst of it.
#[derive(Debug, Clone)]
pub(crate) enum Health {
    /// Nothing.
    Well,
    /// The disk does not answer.
    Stalled,
    /// The engine is in trouble that it can tell.
    Troubled(Error),
}

impl Health {
    pub(crate) fn of(server: &Server) -> Health {
        match server.engine.trouble() {
            Some(error) => Health::Troubled(error),
            None if server.stall.stalled_ms(server.clock.uptime_ms()).is_some() => Health::Stalled,
            None => Health::Well,
        }
    }

    /// The word for it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Health::Well => "ok",
            Health::Stalled => "stalled",
            Health::Troubled(Error::Poisoned { .. }) => "poisoned",
            Health::Troubled(Error::NoSpace { .. }) => "disk_full",
            Health::Troubled(_) => "waiting",
        }
    }

    /// The cause as a sentence; empty if there is nothing to explain.
    pub(crate) fn cause(&self) -> String {
        match self {
            Health::Well => String::new(),
            Health::Stalled => {
                let seconds = STALL_MS / 1000;
                format!(
                    "the disk has not finished any write for more than {seconds} seconds; new \
                     writes are refused, reads go on, and so do writes once it answers"
                )
            }
            Health::Troubled(error @ Error::Poisoned { .. } | error @ Error::NoSpace { .. }) => {
                error.to_string()
            }
            Health::Troubled(error) => {
                format!("memory cannot be flushed, which is tried again every second: {error}")
            }
        }
    }
}

/// Tells the log when the health changes.
#[derive(Debug)]
pub(crate) struct HealthLog {
    told: &'static str,
    told_at_ms: Option<u64>,
}

impl HealthLog {
    pub(crate) fn new() -> HealthLog {
        HealthLog { told: Health::Well.word(), told_at_ms: None }
    }

    /// The line for the log, if there is something new.
    pub(crate) fn look(&mut self, health: &Health, now_ms: u64) -> Option<String> {
        let word = health.word();
        let is_quiet = self.told_at_ms.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < QUIET_MS);
        // The end of all writing is never passed over.
        if word == self.told || (is_quiet && word != "poisoned") {
            return None;
        }
        let line = match health {
            Health::Well => format!("health: ok; writes go on, it was {}", self.told),
            other => format!("health: {word}; {}", other.cause()),
        };
        (self.told, self.told_at_ms) = (word, Some(now_ms));
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_change_is_told_once_and_flutter_is_not() {
        let full = Health::Troubled(Error::NoSpace { directory: "data".to_owned() });
        let poisoned = Health::Troubled(Error::Poisoned { cause: "sync wal.log: EIO".to_owned() });
        let waiting = Health::Troubled(Error::io(
            "open",
            "sst_000001.db",
            std::io::Error::other("too many open files"),
        ));
        let mut log = HealthLog::new();
        let mut lines = Vec::new();
        for (now_s, health) in [
            (1, &Health::Well),
            (2, &full),
            (3, &full),
            (4, &Health::Well),
            (5, &full),
            (12, &Health::Well),
            (13, &Health::Well),
            (30, &waiting),
            (40, &Health::Stalled),
            (41, &poisoned),
            (60, &poisoned),
        ] {
            lines.extend(log.look(health, now_s * 1000).map(|line| format!("{now_s}: {line}")));
        }
        expect![[r#"
            2: health: disk_full; no space left on the disk of data: nothing was written; reads and deletes go on, free some space and writing goes on by itself
            12: health: ok; writes go on, it was disk_full
            30: health: waiting; memory cannot be flushed, which is tried again every second: open sst_000001.db: too many open files
            40: health: stalled; the disk has not finished any write for more than 10 seconds; new writes are refused, reads go on, and so do writes once it answers
            41: health: poisoned; the engine stopped accepting writes after a failure (sync wal.log: EIO); the outcome of writes in flight is unknown, close the database and open it again
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }
}
