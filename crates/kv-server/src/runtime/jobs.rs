//! Work that a command starts and that is more than one batch.

use std::sync::Arc;

use kv_core::{Error, Result};
use kv_engine::Engine;

use super::run::describe_refusal;
use super::server::Server;
use super::view::EngineView;
use crate::command::{Access, Job, delete_step};
use crate::resp::Reply;

/// Keys of one step: a batch of about a hundred KiB.
const KEYS_PER_STEP: usize = 4096;

/// Carries out a job on a thread that may block.
pub(crate) async fn execute(server: &Arc<Server>, job: Job) -> Reply {
    let server = Arc::clone(server);
    let done = tokio::task::spawn_blocking(move || carry_out(&server, job)).await;
    // A panic is a bug of ours; the client gets an answer all the same.
    match done.unwrap_or_else(|_| Err(Error::Poisoned { cause: "a panic".to_owned() })) {
        Ok(()) => Reply::OK,
        Err(error) => Reply::error(describe_refusal(&error)),
    }
}

fn carry_out(server: &Server, job: Job) -> Result<()> {
    match job {
        Job::DeleteAll { database } => delete_all(server, database),
        Job::FlushMemtable => server.engine.flush(),
        Job::Compact => server.engine.compact(),
        Job::Shutdown => {
            server.shutdown_requested.notify_one();
            Ok(())
        }
    }
}

fn delete_all(server: &Server, database: Option<u8>) -> Result<()> {
    walk(&server.engine, |view, from| {
        let step = delete_step(view, database, from, KEYS_PER_STEP)?;
        let next = step.next.clone();
        server.engine.write(step.batch, server.config().durability)?;
        Ok(next)
    })
}

/// Calls `step` for one stretch of keys after the other, each on a fresh view:
/// a long walk must not hold on to old tables.
fn walk(
    engine: &Engine,
    mut step: impl FnMut(&EngineView, Option<&[u8]>) -> Result<Option<Vec<u8>>>,
) -> Result<()> {
    let mut from: Option<Vec<u8>> = None;
    loop {
        let view = EngineView::take(engine, Access::Update);
        from = step(&view, from.as_deref())?;
        if from.is_none() {
            return Ok(());
        }
    }
}
