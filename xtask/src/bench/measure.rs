//! Runs threads in a closed loop and records what each operation took.
//!
//! One clock reading per operation: an operation lasts from the end of the
//! one before it, so making its key is part of it. That costs some 50 ns and
//! keeps throughput and latency consistent with each other.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::failure::Outcome;

/// Longest latency that is told apart from longer ones: a minute.
const MAX_LATENCY_NS: u64 = 60_000_000_000;
/// Width of a point in the plots of throughput over time.
pub(crate) const TIMELINE_STEP: Duration = Duration::from_millis(100);

/// What all threads of a workload did.
pub(crate) struct Measurement {
    pub(crate) threads: usize,
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latency_ns: Histogram<u64>,
    /// Operations that ended in each [`TIMELINE_STEP`].
    pub(crate) timeline: Vec<u64>,
}

/// What one thread did.
pub(crate) struct Recorder {
    started: Instant,
    last: Instant,
    deadline: Duration,
    operations: u64,
    latency_ns: Histogram<u64>,
    timeline: Vec<u64>,
}

/// Runs `work` on `threads` threads, each with its number and recorder, and
/// adds up what they recorded. A thread should end when
/// [`Recorder::record`] says that the time is over.
pub(crate) fn run(
    threads: usize,
    limit: Option<Duration>,
    work: impl Fn(usize, &mut Recorder) -> Outcome + Sync,
) -> Outcome<Measurement> {
    let deadline = limit.unwrap_or(Duration::MAX);
    let barrier = Barrier::new(threads);
    let recorders: Vec<Outcome<Recorder>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|index| {
                let (work, barrier) = (&work, &barrier);
                scope.spawn(move || {
                    let latency_ns = new_histogram();
                    barrier.wait();
                    let mut recorder = Recorder::new(deadline, latency_ns);
                    work(index, &mut recorder)?;
                    Ok(recorder)
                })
            })
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join();
        workers.into_iter().map(|worker| join(worker).expect("a worker does not panic")).collect()
    });
    let mut total = Measurement {
        threads,
        operations: 0,
        elapsed: Duration::ZERO,
        latency_ns: new_histogram(),
        timeline: Vec::new(),
    };
    for recorder in recorders {
        total.add(&recorder?);
    }
    Ok(total)
}

impl Recorder {
    fn new(deadline: Duration, latency_ns: Histogram<u64>) -> Recorder {
        let started = now();
        let timeline = Vec::new();
        Recorder { started, last: started, deadline, operations: 0, latency_ns, timeline }
    }

    /// One operation has ended; false if it was the last for which there is
    /// time.
    pub(crate) fn record(&mut self) -> bool {
        self.record_many(1)
    }

    /// `count` operations have ended, which took the same time each.
    pub(crate) fn record_many(&mut self, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        let ended = now();
        let took = (ended - self.last).as_nanos() as u64 / count;
        self.last = ended;
        self.operations += count;
        self.latency_ns.saturating_record_n(took.max(1), count);
        let step = ((ended - self.started).as_millis() / TIMELINE_STEP.as_millis()) as usize;
        if self.timeline.len() <= step {
            self.timeline.resize(step + 1, 0);
        }
        self.timeline[step] += count;
        ended - self.started < self.deadline
    }

    /// Operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.operations
    }
}

impl Measurement {
    fn add(&mut self, recorder: &Recorder) {
        self.operations += recorder.operations;
        self.elapsed = self.elapsed.max(recorder.last - recorder.started);
        self.latency_ns.add(&recorder.latency_ns).expect("all histograms have the same bounds");
        if self.timeline.len() < recorder.timeline.len() {
            self.timeline.resize(recorder.timeline.len(), 0);
        }
        for (sum, count) in self.timeline.iter_mut().zip(&recorder.timeline) {
            *sum += count;
        }
    }

    /// Operations a second, of all threads together.
    pub(crate) fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Elapsed time by operations of all threads, in nanoseconds.
    pub(crate) fn ns_per_operation(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations.max(1) as f64
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("the bounds are valid")
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::run;
    use crate::failure::Failure;

    #[test]
    fn threads_are_added_up_and_a_failure_ends_the_run() {
        let total = run(3, None, |thread, recorder| {
            recorder.record_many(10);
            for _ in 0..thread {
                recorder.record();
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((total.threads, total.operations), (3, 33));
        assert_eq!(total.latency_ns.len(), 33);
        assert_eq!(total.timeline.iter().sum::<u64>(), 33);
        assert!(run(2, None, |_, _| Err(Failure::check("no"))).is_err());
    }

    #[test]
    fn an_empty_time_limit_lets_one_operation_through() {
        let total = run(1, Some(Duration::ZERO), |_, recorder| {
            while recorder.record() {}
            Ok(())
        });
        assert_eq!(total.unwrap().operations, 1);
    }
}
