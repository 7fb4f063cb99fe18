//! Runs commands the way the runtime does: parts on read-only views, parts on
//! views for updates, jobs, and everything again after a conflict.

use kv_core::Error;

use super::store::Store;
use super::test_server::TestServer;
use crate::command::{
    Access, DataContext, Job, Outcome, ReplyLimits, Requirement, RunContext, Session, delete_step,
    execute,
};
use crate::resp::{OwnedArgs, Protocol, Reply};

/// Where scripts start: 2026-01-01 UTC, in milliseconds.
pub(super) const START_MS: u64 = 1_767_225_600_000;

/// Replies of any length.
pub(super) const NO_LIMITS: ReplyLimits =
    ReplyLimits { bytes: usize::MAX, are_tables_mapped: true };

/// Keys that one step of a deletion takes: few, so that tests see many steps.
const KEYS_PER_STEP: usize = 3;

/// A connection that runs commands on a store.
pub(super) struct Driver<'s> {
    pub(super) store: &'s mut Store,
    pub(super) server: &'s TestServer,
    pub(super) session: &'s mut Session,
    pub(super) now_ms: u64,
    pub(super) seed: u64,
}

/// What a run left behind.
#[derive(Debug, Default)]
pub(super) struct RunResult {
    /// Each reply with the protocol it is to be encoded in.
    pub(super) replies: Vec<(Reply, Protocol)>,
    pub(super) is_closed: bool,
    pub(super) is_shut_down: bool,
    pub(super) conflicts: usize,
}

impl Driver<'_> {
    /// Executes commands as one run.
    pub(super) fn run(&mut self, commands: &[OwnedArgs]) -> RunResult {
        self.run_disturbed(commands, |_| {})
    }

    /// Executes commands as one run; between the view and the
    /// commit of each part that may write, `disturb` does to the store what
    /// other connections do meanwhile.
    pub(super) fn run_disturbed(
        &mut self,
        commands: &[OwnedArgs],
        mut disturb: impl FnMut(&mut Store),
    ) -> RunResult {
        let mut result = RunResult::default();
        let mut access = Access::ReadOnly;
        let mut may_take_long = false;
        while result.replies.len() < commands.len() && !result.is_closed {
            let first = result.replies.len();
            let session_before = self.session.clone();
            let mut view = self.store.clone();
            view.is_published = access == Access::ReadOnly;
            let context = RunContext {
                now_ms: self.now_ms,
                seed: self.seed.wrapping_add(first as u64),
                access,
                may_take_long,
                reply_limits: NO_LIMITS,
            };
            let mut data = DataContext::new(&view, context);
            let end = self.execute_part(&commands[first..], &mut data, &mut result);
            let batch = data.into_batch();
            assert!(access == Access::Update || batch.is_empty(), "read-only parts do not write");
            if access == Access::Update {
                disturb(self.store);
            }
            if let Err(error) = self.store.commit(&batch) {
                assert!(matches!(error, Error::Conflict), "{error}");
                result.replies.truncate(first);
                (result.is_closed, result.conflicts) = (false, result.conflicts + 1);
                *self.session = session_before;
                continue;
            }
            (access, may_take_long) = (Access::ReadOnly, false);
            match end {
                None => {}
                Some(Outcome::Again(Requirement::Commit)) => access = context.access,
                Some(Outcome::Again(Requirement::UpdateView)) => {
                    (access, may_take_long) = (Access::Update, context.may_take_long);
                }
                Some(Outcome::Again(Requirement::LongRun)) => {
                    (access, may_take_long) = (context.access, true);
                }
                Some(Outcome::Job(job)) => self.execute_job(job, &mut result),
                Some(Outcome::Reply(_) | Outcome::Close(_)) => unreachable!("handled before"),
            }
        }
        result
    }

    /// Executes commands until one needs something else.
    fn execute_part(
        &mut self,
        commands: &[OwnedArgs],
        data: &mut DataContext<'_>,
        result: &mut RunResult,
    ) -> Option<Outcome> {
        for command in commands {
            match execute(command.as_args(), self.session, data, self.server) {
                Outcome::Reply(reply) => result.replies.push((reply, self.session.protocol)),
                Outcome::Close(reply) => {
                    result.replies.push((reply, self.session.protocol));
                    result.is_closed = true;
                    return None;
                }
                other => {
                    assert!(
                        matches!(other, Outcome::Again(Requirement::Commit))
                            || !data.has_pending_writes()
                            || !matches!(other, Outcome::Job(_) | Outcome::Again(_)),
                        "only a commit may be asked for with writes pending: {other:?}"
                    );
                    return Some(other);
                }
            }
        }
        None
    }

    fn execute_job(&mut self, job: Job, result: &mut RunResult) {
        match job {
            Job::DeleteAll { database } => {
                let mut from = None;
                loop {
                    let view = self.store.clone();
                    let step = delete_step(&view, database, from.as_deref(), KEYS_PER_STEP);
                    let step = step.unwrap();
                    self.store.commit(&step.batch).unwrap();
                    from = step.next;
                    if from.is_none() {
                        break;
                    }
                }
            }
            Job::FlushMemtable | Job::Compact => {}
            Job::Shutdown => {
                (result.is_closed, result.is_shut_down) = (true, true);
                return;
            }
        }
        result.replies.push((Reply::OK, self.session.protocol));
    }
}
