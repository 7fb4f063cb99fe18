//! Removal of expired keys in the background.
//!
//! Readers never see an expired key and compaction drops it, but a key that
//! nobody reads in a tree that nobody writes would stay forever. So a walk
//! over all keys, a stretch at a time, deletes what has expired. It pauses
//! between stretches in proportion to the time they take, rests long behind a
//! round that found nothing that expires, and counts keys for `INFO` as it goes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kv_core::{Error, Result};
use parking_lot::Mutex;

use super::clock::wall_ms;
use super::server::Server;
use super::view::EngineView;
use crate::command::{Access, KeyCounts, sweep_step};

/// Keys of one stretch.
const KEYS_PER_STEP: usize = 1000;

/// The sweep may use this share of one core: a pause is so many times the
/// stretch before it.
const PAUSE_FACTOR: u32 = 20;

/// The shortest pause between two stretches.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// The pause between two rounds while keys are due to expire.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// The pause behind a round that met no key that will expire.
const REST: Duration = Duration::from_secs(10);

/// What the last complete round counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyspaceCounts {
    pub(crate) keys: KeyCounts,
    pub(crate) will_expire: KeyCounts,
}

/// Shared with `INFO`.
#[derive(Debug, Default)]
pub(crate) struct SweepReport {
    last_round: Mutex<Option<KeyspaceCounts>>,
}

impl SweepReport {
    pub(crate) fn last_round(&self) -> Option<KeyspaceCounts> {
        *self.last_round.lock()
    }
}

/// Sweeps round after round; ends only by being dropped.
pub(crate) async fn run(server: Arc<Server>) {
    loop {
        let counts = sweep_round(&server).await;
        let will_expire = counts.is_none_or(|counts| counts.will_expire.iter().any(|n| *n > 0));
        if let Some(counts) = counts {
            *server.sweep.last_round.lock() = Some(counts);
        }
        tokio::time::sleep(if will_expire { ROUND_PAUSE } else { REST }).await;
    }
}

/// One walk over all keys; `None` if the engine failed.
async fn sweep_round(server: &Arc<Server>) -> Option<KeyspaceCounts> {
    let mut counts = KeyspaceCounts::default();
    let mut from = None;
    loop {
        let worker = Arc::clone(server);
        let started_ms = server.clock.uptime_ms();
        let step = tokio::task::spawn_blocking(move || sweep_stretch(&worker, from)).await;
        let stretch = step.ok()?.ok()?;
        for (sum, met) in [
            (&mut counts.keys, &stretch.counts.keys),
            (&mut counts.will_expire, &stretch.counts.will_expire),
        ] {
            sum.iter_mut().zip(met).for_each(|(sum, met)| *sum += met);
        }
        from = stretch.next;
        if from.is_none() {
            return Some(counts);
        }
        let took = Duration::from_millis(server.clock.uptime_ms() - started_ms);
        tokio::time::sleep((took * PAUSE_FACTOR).max(MIN_PAUSE)).await;
    }
}

struct Stretch {
    counts: KeyspaceCounts,
    next: Option<Vec<u8>>,
}

fn sweep_stretch(server: &Server, from: Option<Vec<u8>>) -> Result<Stretch> {
    let view = EngineView::take(&server.engine, Access::Update);
    let step = sweep_step(&view, wall_ms(), from.as_deref(), KEYS_PER_STEP)?;
    let expired = u64::from(step.batch.count());
    let counts = KeyspaceCounts { keys: step.live, will_expire: step.will_expire };
    if expired > 0 {
        match server.engine.write(step.batch, server.config().durability) {
            Ok(_) => server.counters.keys_swept.fetch_add(expired, Relaxed),
            // Somebody has set one of the keys again: the next round sees.
            Err(Error::Conflict) => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(Stretch { counts, next: step.next })
}
