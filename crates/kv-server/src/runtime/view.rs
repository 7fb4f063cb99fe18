//! The engine as commands read it.

use std::ops::Bound;

use kv_core::{Error, Expectation, Result, Value};
use kv_engine::{Engine, KeyRange, Snapshot, UpdateView};

use crate::command::{Access, Direction, Entries, Reader};

/// A state of the engine for one part of a run.
pub(crate) enum EngineView {
    /// What is durable and published.
    Published(Snapshot),
    /// What is applied, perhaps not durable yet: only for parts that write.
    Applied(UpdateView),
}

impl EngineView {
    pub(crate) fn take(engine: &Engine, access: Access) -> EngineView {
        match access {
            Access::ReadOnly => EngineView::Published(engine.snapshot()),
            Access::Update => EngineView::Applied(engine.view_for_update()),
        }
    }

    /// True if all that can be seen here has been published meanwhile.
    pub(crate) fn is_published(&self, engine: &Engine) -> bool {
        match self {
            EngineView::Published(_) => true,
            EngineView::Applied(view) => view.seqno() <= engine.snapshot().seqno(),
        }
    }
}

impl Reader for EngineView {
    fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        match self {
            EngineView::Published(snapshot) => snapshot.get(key),
            EngineView::Applied(view) => view.get(key),
        }
    }

    fn get_for_update(&self, key: &[u8]) -> Result<(Option<Value>, Expectation)> {
        match self {
            EngineView::Published(_) => Err(no_expectations()),
            EngineView::Applied(view) => view.read(key),
        }
    }

    fn is_unchanged(&self, expectation: &Expectation) -> Result<bool> {
        match self {
            EngineView::Published(_) => Err(no_expectations()),
            EngineView::Applied(view) => view.is_unchanged(expectation),
        }
    }

    fn scan(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Entries<'_>> {
        let range = KeyRange::from_bounds((start, end));
        let scan = match self {
            EngineView::Published(snapshot) => snapshot.scan(range),
            EngineView::Applied(view) => view.scan(range),
        };
        Ok(match direction {
            Direction::Forward => Box::new(scan),
            Direction::Backward => Box::new(scan.reverse()),
        })
    }
}

fn no_expectations() -> Error {
    Error::InvalidArgument("a published view gives no expectations: take one for updates".into())
}
