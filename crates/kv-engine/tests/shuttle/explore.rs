//! Runs a test body under many schedules.

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, MaxSteps, Runner};

/// Where to begin, unless the environment says otherwise.
const SEED: u64 = 0x6b76_2d65_6e67;

/// Stack of a thread, in bytes: an open of the engine needs most of it.
const STACK_BYTES: usize = 512 << 10;

/// Steps of one schedule, tens of times what is normal: more is a thread that
/// runs in circles.
const MAX_STEPS: usize = 200_000;

/// The switches that the second scheduler places: most known errors of threads
/// need no more than two.
const DEPTH: usize = 3;

/// Runs `body` under `schedules` schedules. Half of them pick any thread at any
/// step, which mixes finely; the other half give threads fixed priorities and
/// change them at few places, which lets one thread run far ahead. Half of each
/// wake parked threads without a reason now and then, as systems may; the other
/// half never do, for that would hide a wake-up that was forgotten.
///
/// A deadlock, a panic and a body that does not end are failures; the schedule
/// of a failure is printed.
pub(crate) fn explore(schedules: usize, body: fn()) {
    if let Ok(schedule) = std::env::var("KV_SHUTTLE_REPLAY") {
        let replayed = ReplayScheduler::new_from_encoded(schedule.trim());
        return run(replayed, body);
    }
    let seed = number("KV_SHUTTLE_SEED", SEED);
    let schedules = schedules * number("KV_SHUTTLE_ITERATIONS", 1) as usize;
    let quarter = schedules / 4;
    run(RandomScheduler::new_from_seed(seed, quarter), body);
    run(PctScheduler::new_from_seed(seed, DEPTH, quarter), body);
    run(WithReason(RandomScheduler::new_from_seed(seed, quarter)), body);
    run(WithReason(PctScheduler::new_from_seed(seed, DEPTH, quarter)), body);
}

fn run(scheduler: impl Scheduler + 'static, body: fn()) {
    runner(scheduler, MAX_STEPS).run(body);
}

/// Runs schedules of `scheduler`; one of more than `max_steps` steps fails.
pub(crate) fn runner<S: Scheduler + 'static>(scheduler: S, max_steps: usize) -> Runner<S> {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(max_steps);
    // Weaker orders than SeqCst are modelled as SeqCst; see the crate's words.
    config.silence_warnings = true;
    Runner::new(scheduler, config)
}

/// A scheduler that never wakes a parked thread without a reason.
struct WithReason<S>(S);

impl<S: Scheduler> Scheduler for WithReason<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        offered: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let awake: Vec<&Task> = offered.iter().copied().filter(|task| task.runnable()).collect();
        self.0.next_task(&awake, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}
