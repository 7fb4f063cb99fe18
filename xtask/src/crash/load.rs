//! All writers at once, until somebody stops them.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::request::Answer;
use super::writer::Writer;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::resp::Client;

/// How often a waiting coordinator looks whether the user wants to stop.
const INTERRUPT_POLL: Duration = Duration::from_millis(20);
/// Errors after which a writer gives up: the server refuses writes.
const ERRORS_OF_A_WRITER: u32 = 3;

/// When something is to happen to the server under load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Replies to count before.
    pub(crate) replies: u64,
    /// Time to wait then: replies of one commit group arrive together, and a
    /// moment just behind them would always meet an idle log.
    pub(crate) delay: Duration,
    /// Replies after the moment until the writers stop by themselves.
    pub(crate) replies_after: u64,
}

/// What the writers share.
struct Course<'a> {
    port: u16,
    moment: Moment,
    clock: &'a AtomicU64,
    replies: AtomicU64,
    is_over: AtomicBool,
    interrupt: &'a Interrupt,
}

impl Course<'_> {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst) || self.interrupt.is_requested()
    }
}

/// How a load ended.
#[derive(Debug, Default)]
pub(crate) struct LoadEnd {
    /// Texts of error replies, each once.
    pub(crate) errors: Vec<String>,
    /// False if all writers ended by themselves before the moment.
    pub(crate) reached: bool,
}

/// Runs the writers; at the moment `event` is called, and after so many more
/// replies they stop. They stop earlier where the server goes away or refuses.
pub(crate) fn run(
    port: u16,
    writers: &mut [Writer],
    clock: &AtomicU64,
    moment: Moment,
    interrupt: &Interrupt,
    event: impl FnOnce() -> Outcome,
) -> Outcome<LoadEnd> {
    let course = Course {
        port,
        moment,
        clock,
        replies: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        interrupt,
    };
    let (sender, reached) = channel();
    thread::scope(|scope| {
        let course = &course;
        let threads: Vec<_> = writers
            .iter_mut()
            .map(|writer| {
                let sender = sender.clone();
                scope.spawn(move || drive(writer, course, &sender))
            })
            .collect();
        drop(sender);
        let waited = wait_for_moment(&reached, moment, interrupt);
        let outcome = waited.and_then(|reached| event().map(|()| reached));
        if moment.replies_after == 0 || outcome.is_err() {
            course.is_over.store(true, Ordering::SeqCst);
        }
        let mut end = LoadEnd::default();
        for thread in threads {
            end.errors.extend(thread.join().expect("a writer does not panic")?);
        }
        end.errors.sort();
        end.errors.dedup();
        end.reached = outcome?;
        Ok(end)
    })
}

/// True once the replies are counted and the delay is over, false if the
/// writers ended before.
fn wait_for_moment(reached: &Receiver<()>, moment: Moment, interrupt: &Interrupt) -> Outcome<bool> {
    loop {
        interrupt.check()?;
        match reached.recv_timeout(INTERRUPT_POLL) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
    }
    // Nothing more is sent: this waits for the delay, or for the last writer.
    let _ = reached.recv_timeout(moment.delay);
    Ok(true)
}

/// Texts of the errors that a writer met; a server that goes away is none.
fn drive(writer: &mut Writer, course: &Course<'_>, reached: &Sender<()>) -> Outcome<Vec<String>> {
    let mut errors: Vec<String> = Vec::new();
    let mut met = 0;
    let last_reply = course.moment.replies.saturating_add(course.moment.replies_after);
    let Ok(mut client) = Client::connect(course.port) else { return Ok(errors) };
    while !course.is_over() && met < ERRORS_OF_A_WRITER {
        let events = match writer.burst(&mut client, course.clock) {
            Ok(events) => events,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Failure::check(format!("a reply makes no sense: {error}")));
            }
            Err(_) => break,
        };
        for event in events {
            if let Answer::Refused(text) | Answer::Unclear(text) = &event.answer {
                met += 1;
                if !errors.contains(text) {
                    errors.push(text.clone());
                }
            }
            let replies = course.replies.fetch_add(1, Ordering::SeqCst) + 1;
            if replies == course.moment.replies {
                // The coordinator may have gone.
                let _ = reached.send(());
            }
            if course.moment.replies_after > 0 && replies >= last_reply {
                course.is_over.store(true, Ordering::SeqCst);
            }
        }
    }
    Ok(errors)
}
