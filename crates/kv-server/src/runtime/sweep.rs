//! Removal of expired keys in the background.
//!
//! Readers never see an expired key and compaction drops it, but a key that
//! nobody reads in a tree that nobody writes would stay forever. So a walk
//! over all keys, a stretch at a time, deletes what has expired. It pauses
//! between stretches in proportion to the time they take, and behind a round
//! that met no key with an expiry it rests until a client sets one. As it goes
//! it counts keys for `INFO`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kv_core::{Error, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::server::Server;
use super::view::EngineView;
use crate::command::{Access, KeyCounts, sweep_step};

/// Keys of one stretch.
const KEYS_PER_STEP: usize = 1000;

/// A pause is so many times the stretch before it: the sweep takes two percent
/// of a core.
const PAUSE_FACTOR: u32 = 50;

/// The shortest pause between two stretches.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// The pause between two rounds while keys are due to expire.
const ROUND_PAUSE: Duration = Duration::from_secs(1);

/// What the last complete round counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyspaceCounts {
    pub(crate) keys: KeyCounts,
    pub(crate) will_expire: KeyCounts,
}

/// What the sweep and the rest of the server tell each other.
#[derive(Debug, Default)]
pub(crate) struct SweepState {
    last_round: Mutex<Option<KeyspaceCounts>>,
    expiry_set: Notify,
}

impl SweepState {
    /// Tells that a key with an expiry has been written.
    pub(crate) fn wake(&self) {
        self.expiry_set.notify_one();
    }

    pub(crate) fn last_round(&self) -> Option<KeyspaceCounts> {
        *self.last_round.lock()
    }
}

/// Sweeps round after round; ends only by being dropped.
pub(crate) async fn run(server: Arc<Server>) {
    loop {
        let counts = sweep_round(&server).await;
        if let Some(counts) = counts {
            *server.sweep.last_round.lock() = Some(counts);
            if counts.will_expire.iter().all(|count| *count == 0) {
                // Remembers a call that came during the round.
                server.sweep.expiry_set.notified().await;
            }
        }
        tokio::time::sleep(ROUND_PAUSE).await;
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
    let step = sweep_step(&view, server.clock.wall_ms(), from.as_deref(), KEYS_PER_STEP)?;
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
