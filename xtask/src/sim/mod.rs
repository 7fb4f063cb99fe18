//! Simulated crashes in volume: every op of the scripted workloads, histories
//! from seeds, rot, and before each of them the negative control that shows that
//! the harness can see.
//!
//! A failure ends a volume with the command that replays it; it is shrunk and
//! written where `cargo test -p kv-sim` runs it from then on.

mod replay;
mod volume;

use std::path::PathBuf;

use clap::Args;
use kv_sim::Effort;

use crate::failure::{Failure, Outcome};

/// Options of the simulator. Without any: all workloads cut everywhere, some
/// seeds, some rot.
#[derive(Debug, Clone, Args)]
pub(crate) struct SimOptions {
    /// Replay the history of one seed, with a log
    #[arg(long, group = "what")]
    seed: Option<u64>,
    /// Replay a script file, with a log
    #[arg(long, group = "what")]
    script: Option<PathBuf>,
    /// Run the histories of these seeds: FROM..TO
    #[arg(long, group = "what", value_parser = parse_range)]
    seeds: Option<(u64, u64)>,
    /// Cut histories at every op until this many images were checked
    #[arg(long, group = "what")]
    images: Option<u64>,
    /// Run histories of seeds, and cut them at every op, for this long
    #[arg(long, group = "what")]
    minutes: Option<u64>,
    /// Fail calls of the workloads, one in so many and each with every error;
    /// 1 is all of them
    #[arg(long, group = "what")]
    calls: Option<std::num::NonZeroU64>,
    /// Damage this many images
    #[arg(long, group = "what")]
    rot: Option<u64>,
    /// With one seed or script: also cut it at every op
    #[arg(long)]
    cut: bool,
    /// First seed of --images and --minutes, and of what is drawn elsewhere
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Threads; by default one for each core
    #[arg(long)]
    threads: Option<usize>,
}

/// Runs what the options ask for.
pub(crate) fn run(options: &SimOptions) -> Outcome {
    let threads = options
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let volume = volume::Volume { threads, from: options.from };
    let cuts = options.cut.then_some(Effort::ORDINARY);
    if let Some(seed) = options.seed {
        let cuts = cuts.map(|effort| effort.with_seed(seed));
        return replay::script(&kv_sim::script_of(seed), cuts);
    }
    if let Some(path) = &options.script {
        return replay::file(path, cuts);
    }
    volume.control()?;
    if let Some((from, to)) = options.seeds {
        return volume.seeds(from..to);
    }
    if let Some(images) = options.images {
        return volume.images(images);
    }
    if let Some(minutes) = options.minutes {
        return volume.minutes(minutes);
    }
    if let Some(every) = options.calls {
        return volume.calls(every.get());
    }
    if let Some(images) = options.rot {
        return volume.rot(images);
    }
    volume.everything()
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("write it as FROM..TO")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    Ok((number(from)?, number(to)?))
}

/// A broken promise as the end of the tool.
fn broken(what: &str) -> Failure {
    Failure::check(format!("the engine has broken a promise: {what}"))
}
