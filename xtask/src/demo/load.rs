//! Many clients writing at once, each keeping its ledger.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::ledger::{Ledger, SlotKind, kind_of, value_of};
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::resp::{Client, Reply};

/// How often the watcher of a load looks at its progress.
const WATCH_INTERVAL: Duration = Duration::from_millis(20);

/// What a load has cost.
pub(crate) struct LoadReport {
    /// Commands that were acknowledged.
    pub(crate) commands: u64,
    /// Keys those commands wrote.
    pub(crate) keys: u64,
    pub(crate) elapsed: Duration,
    /// Time of each command, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// Why writers ended early; all of them do when the server is killed.
    pub(crate) broken: Vec<io::Error>,
}

/// Runs one writer per ledger until `keys` keys are written in all, the server
/// goes away, or the user interrupts. `watch` is called with the number of
/// keys so far, all the while; it may kill the server.
pub(crate) fn run(
    port: u16,
    ledgers: &mut [Ledger],
    keys: u64,
    interrupt: &Interrupt,
    mut watch: impl FnMut(u64) -> Outcome,
) -> Outcome<LoadReport> {
    let written = AtomicU64::new(0);
    let (done, all_done) = channel::<()>();
    let started = now();
    thread::scope(|scope| {
        let writers: Vec<_> = ledgers
            .iter_mut()
            .map(|ledger| {
                let (written, done) = (&written, done.clone());
                scope.spawn(move || {
                    // Dropped at the end of the thread, however it ends.
                    let _done = done;
                    Writer { ledger, written, keys, commands: 0, latency_us: new_histogram() }
                        .run(port, interrupt)
                })
            })
            .collect();
        drop(done);
        let watched = watch_until_done(&all_done, || watch(written.load(Ordering::Relaxed)));
        // Writers end by themselves where watching failed: they count down, or
        // their server dies.
        let mut report = LoadReport {
            commands: 0,
            keys: 0,
            elapsed: Duration::ZERO,
            latency_us: new_histogram(),
            broken: Vec::new(),
        };
        for writer in writers {
            let (commands, latency_us, outcome) = writer.join().expect("a writer does not panic");
            report.commands += commands;
            report.latency_us.add(&latency_us).expect("all histograms have the same bounds");
            report.broken.extend(outcome.err());
        }
        report.keys = written.load(Ordering::Relaxed);
        report.elapsed = started.elapsed();
        watched?;
        interrupt.check()?;
        Ok(report)
    })
}

fn watch_until_done(all_done: &Receiver<()>, mut watch: impl FnMut() -> Outcome) -> Outcome {
    loop {
        let ended = all_done.recv_timeout(WATCH_INTERVAL) != Err(RecvTimeoutError::Timeout);
        watch()?;
        if ended {
            return Ok(());
        }
    }
}

struct Writer<'a> {
    ledger: &'a mut Ledger,
    written: &'a AtomicU64,
    keys: u64,
    commands: u64,
    latency_us: Histogram<u64>,
}

impl Writer<'_> {
    fn run(mut self, port: u16, interrupt: &Interrupt) -> (u64, Histogram<u64>, io::Result<()>) {
        let outcome = Client::connect(port).and_then(|mut client| {
            let slots = (0..self.ledger.slots()).cycle();
            for slot in slots {
                if self.written.load(Ordering::Relaxed) >= self.keys || interrupt.is_requested() {
                    break;
                }
                self.write(&mut client, slot)?;
            }
            Ok(())
        });
        (self.commands, self.latency_us, outcome)
    }

    fn write(&mut self, client: &mut Client, slot: usize) -> io::Result<()> {
        let keys = self.ledger.keys(slot);
        let turn = self.ledger.attempt(slot);
        let started = now();
        write_slot(client, kind_of(slot), &keys, &value_of(turn))?;
        self.latency_us.saturating_record(started.elapsed().as_micros() as u64);
        self.ledger.acknowledge(slot);
        self.commands += 1;
        self.written.fetch_add(keys.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Writes `value` to all keys as the kind of slot does it; returns once the
/// server has acknowledged.
fn write_slot(
    client: &mut Client,
    kind: SlotKind,
    keys: &[Vec<u8>],
    value: &[u8],
) -> io::Result<()> {
    match kind {
        SlotKind::Single => expect_ok(client.call(&[b"SET", &keys[0], value])?),
        SlotKind::Mset => {
            let mut parts: Vec<&[u8]> = vec![b"MSET"];
            parts.extend(keys.iter().flat_map(|key| [key.as_slice(), value]));
            expect_ok(client.call(&parts)?)
        }
        SlotKind::Exec => {
            client.queue(&[b"MULTI"]);
            for key in keys {
                client.queue(&[b"SET", key, value]);
            }
            client.queue(&[b"EXEC"]);
            client.send()?;
            expect_ok(client.receive()?)?;
            for _ in keys {
                client.receive()?;
            }
            match client.receive()? {
                Reply::Array(replies) if replies.iter().all(Reply::is_ok) => Ok(()),
                other => Err(unexpected(&other)),
            }
        }
    }
}

fn expect_ok(reply: Reply) -> io::Result<()> {
    if reply.is_ok() { Ok(()) } else { Err(unexpected(&reply)) }
}

fn unexpected(reply: &Reply) -> io::Error {
    io::Error::other(format!("unexpected reply {reply:?}"))
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

#[allow(clippy::disallowed_methods, reason = "a tool measures real time")]
fn now() -> Instant {
    Instant::now()
}

impl LoadReport {
    /// Keys a second.
    pub(crate) fn keys_per_second(&self) -> f64 {
        self.keys as f64 / self.elapsed.as_secs_f64()
    }

    /// Fails if a writer's connection broke though nobody killed the server.
    pub(crate) fn require_unbroken(self) -> Outcome<LoadReport> {
        match self.broken.as_slice() {
            [] => Ok(self),
            [first, others @ ..] => {
                let others = others.len();
                Err(Failure::check(format!("a writer ended early, {others} more too: {first}")))
            }
        }
    }
}
