//! The log: lines on the standard error output, written by a thread of their
//! own. Whoever reads that output may stop reading, and a pipe that is full must
//! hold up nobody but this thread; lines are lost then.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

/// Lines that may wait to be written.
const LINES_IN_LINE: usize = 64;

/// The way to the log; what waits is still written when the last one is dropped.
#[derive(Debug)]
pub(crate) struct Log {
    lines: SyncSender<String>,
}

impl Log {
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start() -> io::Result<Log> {
        let (lines, queue) = sync_channel(LINES_IN_LINE);
        Builder::new().name("kv-log".to_owned()).spawn(move || write_lines(&queue))?;
        Ok(Log { lines })
    }

    /// Hands a line to the log and returns at once.
    pub(crate) fn tell(&self, line: String) {
        // A log that nobody reads loses lines.
        let _ = self.lines.try_send(line);
    }
}

fn write_lines(queue: &Receiver<String>) {
    for line in queue {
        // If nobody takes it any more there is nobody to tell.
        let _ = writeln!(io::stderr(), "kv-server: {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_nobody_reads_holds_up_nobody() {
        let (lines, queue) = sync_channel(LINES_IN_LINE);
        let log = Log { lines };
        (0..10 * LINES_IN_LINE).for_each(|number| log.tell(format!("line {number}")));
        drop(log);
        assert_eq!(queue.iter().count(), LINES_IN_LINE, "the rest is lost");
    }
}
