//! strace, which counts system calls, makes them fail, and kills.

use std::ffi::OsString;
use std::path::Path;

/// The words that start a program under strace, so that the program is our
/// child and all its threads are followed.
pub(crate) fn tracer(trace: &Path, options: &[String]) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["strace", "-D", "-f", "-qq"].map(OsString::from).to_vec();
    // Faster, but strace 6.1 then loses most of the signals it is to send.
    if !options.iter().any(|option| option.contains(":signal=")) {
        words.push("--seccomp-bpf".into());
    }
    words.extend(["-o".into(), trace.into()]);
    words.extend(options.iter().flat_map(|option| ["-e".into(), option.into()]));
    words
}

/// Options that have an effect on call `number` of these kinds, counted in
/// each thread for itself: that is how strace counts.
pub(crate) fn injection(kinds: &str, effect: &str, number: u64) -> [String; 2] {
    [format!("trace={kinds}"), format!("inject={kinds}:{effect}:when={number}")]
}

/// True if a server that did not start was killed by our hand.
pub(crate) fn was_killed(message: &str) -> bool {
    message.contains("ended before it was ready") && message.contains("signal: 9 ")
}
