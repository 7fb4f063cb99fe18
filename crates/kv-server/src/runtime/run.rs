//! A run: the requests of one read, executed in parts.
//!
//! A part reads one view of the engine and commits at most one batch:
//!
//! 1. It starts on the published view. As long as commands only read, their
//!    replies are final at once.
//! 2. The first command that writes starts a part on the applied state. All
//!    further commands join it, so a pipeline of writes is one batch.
//! 3. At the end the batch goes to the engine. Its replies stay here until the
//!    engine has made it as durable as configured.
//! 4. On a conflict the part is taken back, replies and session, and executed
//!    again from the same requests at the same time with the same seed.
//! 5. If the engine takes no writes any more, or the clients' memory is used up
//!    by batches and replies that wait for it, the part is executed again on
//!    the published view: reads are answered, writes are refused.
//!
//! A part ends early when its replies or its batch have grown large, and where
//! a command needs to stand alone.

use std::sync::Arc;

use kv_core::{Error, Result, SeqNo, WriteBatch};
use kv_engine::ReadMode;
use tokio::sync::oneshot;

use super::counters::add;
use super::jobs;
use super::output::Output;
use super::server::Server;
use super::view::EngineView;
use super::wire::{ClientWire, Ended};
use crate::command::{
    Access, DataContext, Job, Outcome, ReplyLimits, Requirement, RunContext, Session, command_name,
    execute,
};
use crate::config::Config;
use crate::resp::{Reply, Requests};

/// Replies that are sent before the run goes on, in bytes.
const SEND_BYTES: usize = 256 << 10;

/// Why a batch was not even tried.
const NO_CLIENT_MEMORY: &str = "the memory for clients is used up (client_memory_limit)";

/// What becomes of the connection behind a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    GoOn,
    Close,
}

/// Why a part ended.
enum PartEnd {
    /// No request is left.
    Done,
    /// The replies have grown large.
    RepliesLarge,
    Close,
    Job(Job),
    Again(Requirement),
}

/// The circumstances of the next part.
#[derive(Clone, Copy)]
struct Circumstances {
    access: Access,
    may_take_long: bool,
}

const READING: Circumstances = Circumstances { access: Access::ReadOnly, may_take_long: false };

/// The requests of one read on their way to replies.
pub(crate) struct Run<'a> {
    requests: Requests<'a>,
    session: &'a mut Session,
    output: &'a mut Output,
    wire: &'a mut ClientWire,
    server: Arc<Server>,
    /// Index of the next request.
    next: usize,
    now_ms: u64,
    seed: u64,
    /// Set once the engine has refused a batch: why writes are refused.
    refusal: Option<Error>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        requests: Requests<'a>,
        session: &'a mut Session,
        output: &'a mut Output,
        wire: &'a mut ClientWire,
    ) -> Run<'a> {
        let server = Arc::clone(&wire.server);
        let (seed, now_ms) = (server.next_seed(), server.clock.wall_ms());
        Run { requests, session, output, wire, server, next: 0, now_ms, seed, refusal: None }
    }

    /// Executes all requests. Replies that have not been sent are in the output.
    pub(crate) async fn execute(mut self) -> std::result::Result<RunEnd, Ended> {
        let mut circumstances = READING;
        let mut end = RunEnd::GoOn;
        while self.next < self.requests.len() {
            let Some(part_end) = self.execute_part(circumstances).await else {
                // After a conflict in the same circumstances; after a refusal
                // on the published view.
                if self.refusal.is_some() {
                    circumstances = READING;
                }
                continue;
            };
            if self.output.is_over_limit() {
                return Err(Ended::OutputLimit);
            }
            circumstances = match part_end {
                PartEnd::Done => break,
                PartEnd::Close => {
                    end = RunEnd::Close;
                    break;
                }
                PartEnd::RepliesLarge => {
                    self.wire.send(self.output).await?;
                    READING
                }
                PartEnd::Job(job) => {
                    if self.execute_job(job).await == RunEnd::Close {
                        end = RunEnd::Close;
                        break;
                    }
                    READING
                }
                PartEnd::Again(requirement) => self.meet(requirement, circumstances),
            };
        }
        self.note_end();
        Ok(end)
    }

    /// Executes requests up to the end of a part and commits what they wrote.
    /// `None` if the part was taken back.
    async fn execute_part(&mut self, circumstances: Circumstances) -> Option<PartEnd> {
        if circumstances.access == Access::ReadOnly {
            let view = EngineView::take(&self.server.engine, Access::ReadOnly);
            let (_, part_end) = self.execute_requests(&view, circumstances);
            return Some(part_end);
        }
        let first = self.next;
        let mark = self.output.mark();
        let session_before = self.session.clone();
        let view = EngineView::take(&self.server.engine, Access::Update);
        let (batch, part_end) = self.execute_requests(&view, circumstances);
        let outcome = match self.wire.hold_part(batch.size_bytes(), self.output) {
            true => commit(&self.server, &view, batch).await,
            false => Err(Error::Busy(NO_CLIENT_MEMORY.to_owned())),
        };
        let Err(error) = outcome else {
            self.wire.hold_part(0, self.output);
            return Some(part_end);
        };
        self.next = first;
        self.output.truncate(mark);
        self.wire.hold_part(0, self.output);
        *self.session = session_before;
        match error {
            Error::Conflict => add(&self.server.counters.runs_repeated, 1),
            error => self.refusal = Some(error),
        }
        None
    }

    fn execute_requests(
        &mut self,
        view: &EngineView,
        circumstances: Circumstances,
    ) -> (WriteBatch, PartEnd) {
        if circumstances.may_take_long {
            // Moves the other connections of this thread to another one.
            return tokio::task::block_in_place(|| self.execute_in_place(view, circumstances));
        }
        self.execute_in_place(view, circumstances)
    }

    fn execute_in_place(
        &mut self,
        view: &EngineView,
        circumstances: Circumstances,
    ) -> (WriteBatch, PartEnd) {
        let reply_limits = reply_limits(&self.server.config());
        self.output.set_limit(reply_limits.bytes);
        let context = RunContext {
            reply_limits,
            now_ms: self.now_ms,
            // The position keeps two parts of a run from drawing the same.
            seed: self.seed.wrapping_add(self.next as u64),
            access: circumstances.access,
            may_take_long: circumstances.may_take_long,
        };
        let mut data = DataContext::new(view, context);
        let mut part_end = PartEnd::Done;
        while self.next < self.requests.len() {
            let args = self.requests.get(self.next);
            match execute(args, self.session, &mut data, &*self.server) {
                Outcome::Reply(reply) => self.reply(&reply),
                Outcome::Close(reply) => {
                    self.reply(&reply);
                    part_end = PartEnd::Close;
                    break;
                }
                Outcome::Job(job) => {
                    part_end = PartEnd::Job(job);
                    break;
                }
                Outcome::Again(requirement) => {
                    part_end = PartEnd::Again(requirement);
                    break;
                }
            }
            if data.reply_room().is_over() {
                self.output.note_over_limit();
            }
            if self.output.len() > SEND_BYTES || self.output.is_over_limit() {
                part_end = PartEnd::RepliesLarge;
                break;
            }
        }
        if data.sets_expiry() {
            self.server.sweep.wake();
        }
        (data.into_batch(), part_end)
    }

    /// What the next part needs so that the request in line can be executed.
    fn meet(&mut self, requirement: Requirement, now: Circumstances) -> Circumstances {
        match requirement {
            Requirement::Commit => now,
            Requirement::LongRun => Circumstances { may_take_long: true, ..now },
            Requirement::UpdateView => match &self.refusal {
                None => Circumstances { access: Access::Update, ..now },
                Some(error) => {
                    let reply = Reply::error(describe_refusal(error));
                    // A transaction that cannot be executed is over.
                    if self.session.transaction.is_some() {
                        self.session.discard();
                    }
                    self.reply(&reply);
                    READING
                }
            },
        }
    }

    async fn execute_job(&mut self, job: Job) -> RunEnd {
        if job == Job::Shutdown {
            self.server.shutdown_requested.notify_one();
            return RunEnd::Close;
        }
        let reply = jobs::execute(&self.server, job).await;
        self.reply(&reply);
        RunEnd::GoOn
    }

    /// Answers the request in line.
    fn reply(&mut self, reply: &Reply) {
        if reply.is_error() {
            add(&self.server.counters.error_replies, 1);
        }
        self.output.push(reply, self.session.protocol);
        self.next += 1;
    }

    fn note_end(&self) {
        add(&self.server.counters.runs, 1);
        add(&self.server.counters.commands, self.next as u64);
        if let Some(last) = self.next.checked_sub(1) {
            let name = command_name(self.requests.get(last));
            self.wire.client.note_session(self.session, name);
        }
    }
}

fn reply_limits(config: &Config) -> ReplyLimits {
    ReplyLimits {
        bytes: usize::try_from(config.client_output_limit).unwrap_or(usize::MAX),
        are_tables_mapped: config.read_mode == ReadMode::Map,
    }
}

/// Commits the batch of a part. An empty one has only to wait until what the
/// part has read is durable.
async fn commit(server: &Server, view: &EngineView, batch: WriteBatch) -> Result<()> {
    if batch.is_empty() && view.is_published(&server.engine) {
        return Ok(());
    }
    server.stall.begin(server.clock.uptime_ms())?;
    let (sender, receiver) = oneshot::channel::<Result<SeqNo>>();
    server.engine.submit(batch, server.config().durability, move |outcome| {
        // Nobody waits any more if the connection's task was dropped.
        let _ = sender.send(outcome);
    });
    let outcome = receiver.await.unwrap_or(Err(Error::Closed));
    server.stall.end(server.clock.uptime_ms());
    outcome.map(drop)
}

/// The reply to a write that the engine did not take, with a code word that
/// tells clients what kind of trouble it is.
pub(crate) fn describe_refusal(error: &Error) -> String {
    match error {
        Error::Poisoned { .. } | Error::Io { .. } => format!("MISCONF {error}"),
        Error::Busy(_) => format!("BUSY {error}"),
        Error::Closed => "SHUTDOWN the server is stopping; connect again later".to_owned(),
        other => format!("ERR {other}"),
    }
}
