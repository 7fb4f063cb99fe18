//! Panics: those of the engine, which are failures of a history, and those that
//! a history asks for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

use kv_engine::Error;

/// How the message of a panic begins that a fault has asked for.
const INJECTED: &str = "injected fault:";

/// Whether an error is what became of a panic that a fault has asked for.
pub(crate) fn is_injected(error: &Error) -> bool {
    match error {
        Error::Poisoned { cause } => cause.starts_with(INJECTED),
        Error::Io { source, .. } => source.to_string().starts_with(INJECTED),
        _ => false,
    }
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("with no message")
}

/// Makes a call of the engine that may panic because a fault says so; that is
/// an error then. Any other panic goes on.
pub(crate) fn caught<T>(
    call: impl FnOnce() -> Result<T, Error>,
    is_poisoned: impl FnOnce() -> bool,
) -> Result<T, Error> {
    keep_quiet();
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let cause = message(&*panic).to_owned();
        if !cause.starts_with(INJECTED) {
            resume_unwind(panic);
        }
        // An engine that writes no more has left the outcome open.
        Err(match is_poisoned() {
            true => Error::Poisoned { cause },
            false => Error::io("call", "the engine", std::io::Error::other(cause)),
        })
    })
}

/// Thousands of panics that were asked for would drown the one that was not.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !message_of_hook(panic).starts_with(INJECTED) {
                usual(panic);
            }
        }));
    });
}

fn message_of_hook<'a>(panic: &'a std::panic::PanicHookInfo<'_>) -> &'a str {
    message(panic.payload())
}
