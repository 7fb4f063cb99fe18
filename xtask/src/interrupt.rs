//! Ctrl-C and SIGTERM as a flag, so that what was begun is cleaned up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::{Context, Failure, Outcome};

/// Turns true once the user has asked to stop. Clones share the flag.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on Ctrl-C ends the process only through
    /// [`check`](Interrupt::check); a second one ends it at once.
    pub(crate) fn install() -> Outcome<Interrupt> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Registered first, so that it looks at the flag before it is set.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&requested))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&requested)))
                .context("cannot handle signals")?;
        }
        Ok(Interrupt { requested })
    }

    /// True once the user has asked to stop.
    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Asks as a user would.
    #[cfg(test)]
    pub(crate) fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Fails once the user has asked to stop.
    pub(crate) fn check(&self) -> Outcome {
        if self.is_requested() { Err(Failure::interrupted()) } else { Ok(()) }
    }
}
