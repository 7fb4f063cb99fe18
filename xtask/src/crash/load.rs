//! All writers at once, until somebody stops them.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::oracle_log::OracleLog;
use super::writer::Writer;
use crate::failure::Outcome;
use crate::interrupt::Interrupt;
use crate::resp::Client;

/// How often a waiting coordinator looks whether the user wants to stop.
const INTERRUPT_POLL: Duration = Duration::from_millis(20);
/// Errors after which a writer gives up: the server refuses writes.
const ERRORS_OF_A_WRITER: u32 = 3;

/// When something is to happen to the server under load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Replies to count before; an error is none.
    pub(crate) replies: u64,
    /// Time behind the first reply after which it happens although fewer were
    /// counted.
    pub(crate) at_latest: Option<Duration>,
    /// Time to wait then: replies of one commit group arrive together, and a
    /// moment just behind them would always meet an idle log.
    pub(crate) delay: Duration,
    /// Replies after the moment until the writers stop by themselves.
    pub(crate) replies_after: u64,
}

/// Who writes to whom.
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) writers: &'a mut [Writer],
    pub(crate) clock: &'a AtomicU64,
    pub(crate) log: &'a OracleLog,
    pub(crate) interrupt: &'a Interrupt,
}

/// What the coordinator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Milestone {
    FirstReply,
    LastReply,
}

/// What the writers share.
struct Course<'a> {
    port: u16,
    moment: Moment,
    clock: &'a AtomicU64,
    log: &'a OracleLog,
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

impl Load<'_> {
    /// Runs the writers; at the moment `event` is called, and after so many
    /// more replies they stop. They stop earlier where the server goes away or
    /// refuses. Until `event` has returned they write: it must meet a busy
    /// server.
    pub(crate) fn run(self, moment: Moment, event: impl FnOnce() -> Outcome) -> Outcome<LoadEnd> {
        let Load { port, writers, clock, log, interrupt } = self;
        let (replies, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
        let course = Course { port, moment, clock, log, replies, is_over, interrupt };
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
            // Writers that were interrupted have ended early, whatever else went on.
            interrupt.check()?;
            end.reached = outcome?;
            Ok(end)
        })
    }
}

/// True once the moment is there, false if the writers ended before.
fn wait_for_moment(
    reached: &Receiver<Milestone>,
    moment: Moment,
    interrupt: &Interrupt,
) -> Outcome<bool> {
    loop {
        interrupt.check()?;
        match (reached.recv_timeout(INTERRUPT_POLL), moment.at_latest) {
            (Ok(Milestone::LastReply), _) => break,
            (Ok(Milestone::FirstReply), Some(patience)) => match reached.recv_timeout(patience) {
                Ok(_) => break,
                Err(RecvTimeoutError::Timeout) => return Ok(true),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            },
            (Ok(Milestone::FirstReply), None) | (Err(RecvTimeoutError::Timeout), _) => {}
            (Err(RecvTimeoutError::Disconnected), _) => return Ok(false),
        }
    }
    // Nothing more is sent: this waits for the delay, or for the last writer.
    let _ = reached.recv_timeout(moment.delay);
    Ok(true)
}

/// Texts of the errors that a writer met; a server that goes away is none.
fn drive(
    writer: &mut Writer,
    course: &Course<'_>,
    reached: &Sender<Milestone>,
) -> Outcome<Vec<String>> {
    let mut errors: Vec<String> = Vec::new();
    let mut met = 0;
    let last_reply = course.moment.replies.saturating_add(course.moment.replies_after);
    let Ok(mut client) = Client::connect(course.port) else { return Ok(errors) };
    while !course.is_over() && met < ERRORS_OF_A_WRITER {
        let Some(events) = writer.burst(&mut client, course.clock, course.log)? else { break };
        for event in events {
            if let Some(text) = event.error() {
                met += 1;
                if !errors.iter().any(|known| known == text) {
                    errors.push(text.to_owned());
                }
                continue;
            }
            let replies = course.replies.fetch_add(1, Ordering::SeqCst) + 1;
            // The coordinator may have gone.
            if replies == 1 {
                let _ = reached.send(Milestone::FirstReply);
            }
            if replies == course.moment.replies {
                let _ = reached.send(Milestone::LastReply);
            }
            if course.moment.replies_after > 0 && replies >= last_reply {
                course.is_over.store(true, Ordering::SeqCst);
            }
        }
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::Duration;

    use super::{Load, LoadEnd, Moment};
    use crate::crash::oracle_log::OracleLog;
    use crate::crash::random::Random;
    use crate::crash::writer::Writer;
    use crate::failure::{EXIT_INTERRUPTED, Failure, Outcome};
    use crate::interrupt::Interrupt;

    const LONG: Duration = Duration::from_secs(30);

    /// A server that refuses nothing, or all, remembers nothing and never goes away.
    /// Tells of every command it has answered.
    fn accept_forever(listener: &TcpListener, refuses: bool, answered: &Sender<()>) {
        for stream in listener.incoming().map_while(Result::ok) {
            let answered = answered.clone();
            thread::spawn(move || answer_forever(&stream, refuses, &answered));
        }
    }

    fn answer_forever(mut stream: &TcpStream, refuses: bool, answered: &Sender<()>) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
        let mut queued: Vec<String> = Vec::new();
        loop {
            let parts: usize = lines.next()?.strip_prefix('*')?.parse().ok()?;
            let words: Vec<String> = lines.by_ref().take(parts * 2).skip(1).step_by(2).collect();
            let reply = match words.first()?.as_str() {
                _ if refuses => "-BUSY too much to do\r\n".to_owned(),
                "MULTI" => {
                    queued.clear();
                    "+OK\r\n".to_owned()
                }
                // The first is the reply to MULTI.
                "EXEC" => format!("*{}\r\n{}", queued.len() - 1, queued[1..].concat()),
                "GET" => "$-1\r\n".to_owned(),
                "INCR" | "DEL" => ":0\r\n".to_owned(),
                _ => "+OK\r\n".to_owned(),
            };
            queued.push(reply.clone());
            stream.write_all(reply.as_bytes()).ok()?;
            let _ = answered.send(());
        }
    }

    fn run(moment: Moment, event: impl FnOnce(&Receiver<()>) -> Outcome) -> Outcome<LoadEnd> {
        run_on(false, moment, |answered, _| event(answered))
    }

    fn run_on(
        refuses: bool,
        moment: Moment,
        event: impl FnOnce(&Receiver<()>, &Interrupt) -> Outcome,
    ) -> Outcome<LoadEnd> {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, answered) = channel();
        thread::spawn(move || accept_forever(&listener, refuses, &sender));
        let random = Random::new(3);
        let mut writers = [Writer::new(0, 2, &random), Writer::new(1, 2, &random)];
        let interrupt = Interrupt::install().unwrap();
        let load = Load {
            port,
            writers: &mut writers,
            clock: &AtomicU64::new(1),
            log: &OracleLog::open(directory.path()).unwrap(),
            interrupt: &interrupt,
        };
        load.run(moment, || event(&answered, &interrupt))
    }

    fn moment(replies: u64) -> Moment {
        Moment { replies, at_latest: None, delay: Duration::ZERO, replies_after: 0 }
    }

    #[test]
    fn writers_write_until_the_event_is_over_and_then_stop() {
        let end = run(moment(3), |answered| {
            // What was answered before the event, and then as much again.
            let before = answered.try_iter().count();
            for _ in 0..before + 50 {
                assert!(answered.recv_timeout(LONG).is_ok(), "the writers do not write");
            }
            Ok(())
        });
        assert!(end.unwrap().reached);
    }

    #[test]
    fn writers_stop_where_the_event_fails_although_more_was_wanted() {
        let endless = Moment { replies_after: u64::MAX, ..moment(3) };
        let end = run(endless, |_| Err(Failure::check("no power switch")));
        assert_eq!(end.unwrap_err().message, "no power switch");
    }

    #[test]
    fn who_interrupts_a_load_is_told_of_nothing_else() {
        let end = run_on(false, moment(3), |_, interrupt| {
            interrupt.request();
            Err(Failure::check("a tool that was interrupted along with us"))
        });
        assert_eq!(end.unwrap_err().exit_code, EXIT_INTERRUPTED);
    }

    #[test]
    fn errors_bring_no_moment_nearer() {
        let end = run_on(true, moment(1), |_, _| Ok(())).unwrap();
        assert_eq!(end.errors, ["BUSY too much to do"]);
        assert!(!end.reached);
    }

    #[test]
    fn the_first_of_time_and_replies_counts() {
        // A server that keeps answering never gets to so many replies.
        let by_time = Moment { at_latest: Some(Duration::from_millis(1)), ..moment(u64::MAX) };
        assert!(run(by_time, |_| Ok(())).unwrap().reached);
        let by_replies = Moment { at_latest: Some(LONG * 100), ..moment(2) };
        assert!(run(by_replies, |_| Ok(())).unwrap().reached);
    }
}
