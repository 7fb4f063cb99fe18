//! Wrong passwords, told to the log: with the address they came from, and so
//! seldom that a flood of them fills no disk.

use std::net::SocketAddr;

use parking_lot::Mutex;

/// Lines of one stretch of time; what comes beyond them is only counted.
const MAX_LINES: u32 = 10;

/// The stretch, in milliseconds: with its lines and their sum no more than
/// about two megabytes a day.
const STRETCH_MS: u64 = 60_000;

/// What has been told about the current stretch of time.
#[derive(Debug, Default)]
pub(crate) struct AuthLog {
    stretch: Mutex<Option<Stretch>>,
}

#[derive(Debug)]
struct Stretch {
    started_ms: u64,
    lines: u32,
    untold: u64,
}

impl AuthLog {
    /// Notes a client that sent `count` wrong passwords; the line for the log,
    /// if there is room for one.
    pub(crate) fn note(&self, address: SocketAddr, count: u32, now_ms: u64) -> Option<String> {
        let mut stretch = self.stretch.lock();
        let stretch = stretch.get_or_insert(Stretch { started_ms: now_ms, lines: 0, untold: 0 });
        if stretch.lines == MAX_LINES {
            stretch.untold += u64::from(count);
            return None;
        }
        stretch.lines += 1;
        Some(match count {
            1 => format!("auth: wrong password from {address}"),
            _ => format!("auth: {count} wrong passwords from {address}"),
        })
    }

    /// Ends a stretch that is over; the line for the log, if something has not
    /// been told. To be called every second or so.
    pub(crate) fn look(&self, now_ms: u64) -> Option<String> {
        let mut stretch = self.stretch.lock();
        let ended = stretch.take_if(|stretch| now_ms >= stretch.started_ms + STRETCH_MS)?;
        (ended.untold > 0)
            .then(|| format!("auth: {} more wrong passwords within a minute", ended.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_flood_of_wrong_passwords_is_a_few_lines_and_a_sum() {
        let log = AuthLog::default();
        let mut lines = Vec::new();
        let mut pass = |now_ms: u64, guesses: u16| {
            for port in 1..=guesses {
                let address = SocketAddr::from(([10, 0, 0, 7], port));
                let count = if port == 2 { 3 } else { 1 };
                lines.extend(log.note(address, count, now_ms));
            }
            lines.extend(log.look(now_ms));
        };
        pass(1_000, 2);
        pass(30_000, 10_000);
        pass(60_999, 0);
        pass(61_000, 0);
        pass(200_000, 1);
        pass(500_000, 0);
        expect![[r#"
            auth: wrong password from 10.0.0.7:1
            auth: 3 wrong passwords from 10.0.0.7:2
            auth: wrong password from 10.0.0.7:1
            auth: 3 wrong passwords from 10.0.0.7:2
            auth: wrong password from 10.0.0.7:3
            auth: wrong password from 10.0.0.7:4
            auth: wrong password from 10.0.0.7:5
            auth: wrong password from 10.0.0.7:6
            auth: wrong password from 10.0.0.7:7
            auth: wrong password from 10.0.0.7:8
            auth: 9992 more wrong passwords within a minute
            auth: wrong password from 10.0.0.7:1
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }
}
