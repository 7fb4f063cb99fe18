//! A file system in which somebody else acts right before a call.

use std::sync::{Arc, Mutex};

use kv_env::{Env, FaultFs, Operation, SimDisk};

/// What happens before a call, once.
struct Act {
    operation: Operation,
    /// How the name of the call's file starts.
    prefix: &'static str,
    act: Box<dyn FnOnce() + Send>,
}

/// What waits for its call.
#[derive(Clone, Default)]
pub(crate) struct Interposed {
    acts: Arc<Mutex<Vec<Act>>>,
}

impl Interposed {
    /// The environment of `disk`, with acts before some of its calls.
    pub(crate) fn on(disk: &SimDisk) -> (Interposed, Env) {
        let interposed = Interposed::default();
        let met = interposed.clone();
        let fs = FaultFs::hooked(disk.fs(), move |operation, name| {
            met.meet(operation, name);
            Ok(())
        });
        (interposed, Env { fs: Arc::new(fs), ..disk.env() })
    }

    /// Has `act` done before the next `operation` on a file whose name starts with
    /// `prefix`.
    pub(crate) fn before(
        &self,
        operation: Operation,
        prefix: &'static str,
        act: impl FnOnce() + Send + 'static,
    ) {
        self.acts.lock().unwrap().push(Act { operation, prefix, act: Box::new(act) });
    }

    /// Acts that have not had their turn.
    pub(crate) fn acts_left(&self) -> usize {
        self.acts.lock().unwrap().len()
    }

    fn meet(&self, operation: Operation, name: &str) {
        let mut acts = self.acts.lock().unwrap();
        let concerns = |act: &Act| act.operation == operation && name.starts_with(act.prefix);
        let Some(index) = acts.iter().position(concerns) else { return };
        let met = acts.remove(index);
        drop(acts);
        (met.act)();
    }
}
