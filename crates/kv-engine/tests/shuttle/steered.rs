//! Schedules that are steered, not drawn: one thread is stopped after its first
//! step, all others run as far as they can, and it goes on; then the same with
//! its second step, and so on to its last.
//!
//! Whatever can go wrong because a thread is overtaken at one place is found by
//! this for certain, and found again after every change of the code: no schedule
//! is kept that a change would make void.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use shuttle::scheduler::{DataSource, RandomDataSource, Schedule, Scheduler, Task, TaskId};

use crate::explore::runner;

/// Steps of one schedule, several times what is normal: more is a thread that
/// runs in circles.
const MAX_STEPS: usize = 50_000;

/// How often those who wait for time look at the clock before a stopped thread
/// goes on: enough for each of them to see its patience end.
const LOOKS: usize = 24;

/// Where a body says who is to be stopped.
#[derive(Clone, Default)]
pub(crate) struct Stage(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    /// The step after which the victim is stopped in this schedule.
    step: usize,
    /// The victim's name and the steps it has left.
    victim: Option<(&'static str, usize)>,
    /// The victim has made its steps; there may be more of them.
    was_stopped: bool,
    /// The running thread has asked to be stopped.
    stops_itself: bool,
    /// Stopped threads: one goes on when all others rest, the first one first.
    stopped: VecDeque<TaskId>,
    /// Threads that wait for time, or for somebody who calls before.
    waiting: VecDeque<TaskId>,
    looks: usize,
    /// The name of the thread that runs only where no other one can.
    held_back: Option<&'static str>,
}

impl Stage {
    /// Stops the running thread until all others rest.
    pub(crate) fn rest(&self) {
        self.plan().stops_itself = true;
        shuttle::thread::yield_now();
    }

    /// From now on the steps of thread `name` count. If it rests before it has
    /// made as many as it may in this schedule, there is nothing more to try.
    pub(crate) fn stop(&self, name: &'static str) {
        let mut plan = self.plan();
        plan.victim = Some((name, plan.step));
    }

    /// From now on thread `name` makes a step only when no other thread can make
    /// one, stopped ones included: it is overtaken wherever it can be.
    pub(crate) fn hold_back(&self, name: &'static str) {
        self.plan().held_back = Some(name);
    }

    /// Nobody is held back any more.
    pub(crate) fn let_go(&self) {
        self.plan().held_back = None;
    }

    /// No step counts any more.
    pub(crate) fn leave_alone(&self) {
        self.plan().victim = None;
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap()
    }
}

/// Runs `body`, in which threads rest only where it says so, once.
pub(crate) fn once(body: impl Fn(&Stage) + Send + Sync + 'static) {
    assert_eq!(steer(body), 0, "a thread was to be stopped at every step");
}

/// Runs `body` once for every step of the thread that it wants to be stopped;
/// the number of steps at which it was.
pub(crate) fn at_every_step(body: impl Fn(&Stage) + Send + Sync + 'static) -> usize {
    let stops = steer(body);
    assert!(stops > 0, "no thread was stopped");
    stops
}

fn steer(body: impl Fn(&Stage) + Send + Sync + 'static) -> usize {
    let stage = Stage::default();
    let scheduler = Steered { stage: stage.clone(), random: RandomDataSource::initialize(0) };
    let step = StepOfFailure(stage.clone());
    runner(scheduler, MAX_STEPS).run(move || body(&stage));
    // The last schedule was that in which the victim had no more steps.
    step.0.plan().step - 1
}

/// Says at which step a schedule failed.
struct StepOfFailure(Stage);

impl Drop for StepOfFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a thread was stopped after step {}", self.0.plan().step);
        }
    }
}

struct Steered {
    stage: Stage,
    random: RandomDataSource,
}

impl Scheduler for Steered {
    fn new_execution(&mut self) -> Option<Schedule> {
        let mut plan = self.stage.plan();
        if plan.step > 0 && !plan.was_stopped {
            return None;
        }
        *plan = Plan { step: plan.step + 1, looks: LOOKS, ..Plan::default() };
        Some(Schedule::new(self.random.reinitialize()))
    }

    fn next_task(
        &mut self,
        offered: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let mut plan = self.stage.plan();
        let current = current.and_then(|id| offered.iter().find(|task| task.id() == id));
        if let Some(task) = current {
            plan.note_step(task, is_yielding);
        }
        // A parked thread is offered as well: it may wake without a reason. Here
        // it never does, so that a wake-up that was forgotten shows.
        let (held_back, awake): (Vec<&Task>, Vec<&Task>) = offered
            .iter()
            .filter(|task| task.runnable())
            .partition(|task| plan.held_back.is_some() && task.name().as_deref() == plan.held_back);
        let awake: Vec<TaskId> = awake.iter().map(|task| task.id()).collect();
        let chosen = plan.choose(&awake, current.map(|task| task.id()));
        Some(chosen.unwrap_or_else(|| held_back[0].id()))
    }

    fn next_u64(&mut self) -> u64 {
        self.random.next_u64()
    }
}

impl Plan {
    fn note_step(&mut self, current: &Task, is_yielding: bool) {
        let is_over = match &mut self.victim {
            Some((name, left)) if current.name().as_deref() == Some(*name) => {
                *left -= 1;
                *left == 0
            }
            _ => false,
        };
        if is_over {
            self.victim = None;
            self.was_stopped = true;
        }
        if is_over || std::mem::take(&mut self.stops_itself) {
            self.stopped.push_back(current.id());
        } else if is_yielding {
            self.waiting.push_back(current.id());
        }
    }

    /// The running thread as long as it can; then the newest, for callers are
    /// newer than the engine's own threads; then those who wait for time, for a
    /// while; then a stopped one. `None` if nobody is awake.
    fn choose(&mut self, awake: &[TaskId], current: Option<TaskId>) -> Option<TaskId> {
        let is_busy = |id: &TaskId| !self.stopped.contains(id) && !self.waiting.contains(id);
        if let Some(current) = current.filter(|id| awake.contains(id) && is_busy(id)) {
            return Some(current);
        }
        if let Some(&newest) = awake.iter().rev().find(|id| is_busy(id)) {
            return Some(newest);
        }
        if self.looks > 0
            && let Some(looking) = take_first(&mut self.waiting, awake)
        {
            self.looks -= 1;
            return Some(looking);
        }
        self.looks = LOOKS;
        self.victim = None;
        take_first(&mut self.stopped, awake).or_else(|| take_first(&mut self.waiting, awake))
    }
}

/// Takes the first of `queue` that can run.
fn take_first(queue: &mut VecDeque<TaskId>, awake: &[TaskId]) -> Option<TaskId> {
    let first = queue.iter().position(|id| awake.contains(id))?;
    queue.remove(first)
}
