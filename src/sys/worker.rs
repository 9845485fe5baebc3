//! Threads for long work, so that the event loop never waits for it. IO: starts threads.
//!
//! Each kind of work has a thread that is made when the process starts, and that never ends: when work comes a new one may not be
//! possible, since a pod has a limit of processes, and threads count in it. While there is more work than threads, further ones are
//! tried; where none can be made, the work waits for its turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};

/// Time for which a further thread stays without work.
const IDLE: Duration = Duration::from_secs(10);
/// Number of threads of one kind that may wait for work at once. More would take turns, so that none of them would ever be without work for
/// long enough to end.
const WAITING: usize = 2;
/// Largest number of threads for one kind of work.
const MOST: usize = 64;

/// Reason why work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// It took longer than its limit.
    #[error("it did not end in time")]
    TimedOut,
    /// There was no thread for it within the limit, or it panicked.
    #[error("there is no thread to do it")]
    NotDone,
}

/// A kind of work. One that waits does not hold up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    /// Computes: validation, redaction, reports.
    Compute,
    /// Reads and writes files, which may lie on a disk or server that does not answer.
    Files,
    /// Sends requests over the network.
    Requests,
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads for one kind of work, and the jobs that wait for them, in the order in which they came.
struct Pool {
    state: Mutex<PoolState>,
    arrived: Condvar,
}

struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
}

static COMPUTE: Pool = Pool::new();
static FILES: Pool = Pool::new();
static REQUESTS: Pool = Pool::new();

impl WorkKind {
    const ALL: [Self; 3] = [Self::Compute, Self::Files, Self::Requests];

    fn pool(self) -> &'static Pool {
        match self {
            Self::Compute => &COMPUTE,
            Self::Files => &FILES,
            Self::Requests => &REQUESTS,
        }
    }
}

/// Starts a thread for each kind of work, unless it runs already.
///
/// # Errors
/// When the system has no thread left.
pub fn start() -> std::io::Result<()> {
    WorkKind::ALL.iter().try_for_each(|kind| {
        let pool = kind.pool();
        let mut state = pool.lock();
        if state.threads == 0 { pool.spawn(&mut state) } else { Ok(()) }
    })
}

/// Work that was begun on a thread.
#[derive(Debug)]
pub struct Work<T> {
    begun: Option<oneshot::Receiver<()>>,
    finished: oneshot::Receiver<T>,
}

/// Begins `work` on a thread, as soon as one is free. Dropping the result cancels work that has not begun, and leaves other work to
/// itself.
pub fn begin<T: Send + 'static>(kind: WorkKind, work: impl FnOnce() -> T + Send + 'static) -> Work<T> {
    let (begin, begun) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    kind.pool().push(Box::new(move || {
        if begin.send(()).is_ok()
            && let Ok(result) = catch_unwind(AssertUnwindSafe(work))
        {
            let _ = finish.send(result);
        }
    }));
    Work { begun: Some(begun), finished }
}

impl<T> Work<T> {
    /// Waits for the result; `limit` holds for the wait for a thread, and from then on for the work. It can be called again after
    /// [`WorkError::TimedOut`].
    ///
    /// # Errors
    /// When the work takes longer, or cannot be done.
    pub async fn result(&mut self, limit: Duration) -> Result<T, WorkError> {
        if let Some(begun) = &mut self.begun {
            let begun = tokio::time::timeout(limit, begun).await.map_err(|_| WorkError::NotDone)?;
            begun.map_err(|_| WorkError::NotDone)?;
            self.begun = None;
        }
        match tokio::time::timeout(limit, &mut self.finished).await {
            Ok(result) => result.map_err(|_| WorkError::NotDone),
            Err(_) => Err(WorkError::TimedOut),
        }
    }
}

impl<T> Work<T> {
    /// Returns the result if there is one by now, without waiting.
    pub fn ended(&mut self) -> Option<Result<T, WorkError>> {
        match self.finished.try_recv() {
            Ok(result) => Some(Ok(result)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(Err(WorkError::NotDone)),
        }
    }
}

/// Does `work` on a thread, and returns its result if it ends within `limit` of its beginning, and begins within `limit`.
///
/// Work that overruns its limit keeps its thread until it ends. Dropping the future leaves the work to itself, and its result is
/// dropped.
///
/// # Errors
/// When the work takes longer, or cannot be done.
pub fn run<T: Send + 'static>(
    kind: WorkKind,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, WorkError>> {
    // Begun here, so that the future does not carry the work with it.
    let mut begun = begin(kind, work);
    async move { begun.result(limit).await }
}

impl Pool {
    const fn new() -> Self {
        Self { state: Mutex::new(PoolState { jobs: VecDeque::new(), threads: 0, idle: 0 }), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < MOST {
            // Without another thread the jobs wait until one is free.
            let _ = self.spawn(&mut state);
        }
        drop(state);
        self.arrived.notify_one();
    }

    fn spawn(&'static self, state: &mut PoolState) -> std::io::Result<()> {
        std::thread::Builder::new().name("worker".into()).spawn(|| self.take_jobs())?;
        state.threads += 1;
        Ok(())
    }

    /// The life of a thread.
    fn take_jobs(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// Waits for a job; `None` for a thread that is not needed any more.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.idle >= WAITING {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            // The last thread stays, and wakes up for work alone: it may be the only one that can be had.
            let is_last = state.threads == 1;
            let timed_out = if is_last {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                false
            } else {
                let (woken, waited) = self.arrived.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                waited.timed_out()
            };
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() && state.threads > 1 {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts").block_on(future)
    }

    #[test]
    fn work_is_done_beside_the_loop() {
        let here = std::thread::current().id();
        let there = block_on(run(WorkKind::Compute, PATIENCE, || std::thread::current().id()));
        assert_ne!(there, Ok(here));
        assert!(there.is_ok());
    }

    #[test]
    fn work_that_takes_too_long_does_not_hold_up_other_work() {
        let (go_on, wait) = channel::<()>();
        let stuck = run(WorkKind::Files, Duration::from_millis(50), move || wait.recv());
        assert_eq!(block_on(stuck).expect_err("it waits"), WorkError::TimedOut);
        assert_eq!(block_on(run(WorkKind::Files, PATIENCE, || 7)), Ok(7));
        drop(go_on);
    }

    #[test]
    fn work_that_took_too_long_has_its_result_later() {
        let (go_on, wait) = channel();
        let mut work = begin(WorkKind::Files, move || wait.recv());
        block_on(async {
            assert_eq!(work.result(Duration::from_millis(50)).await, Err(WorkError::TimedOut));
            go_on.send(7).expect("it waits");
            assert_eq!(work.result(PATIENCE).await, Ok(Ok(7)));
        });
    }

    #[test]
    fn work_that_panics_is_not_done() {
        let broken = block_on(run(WorkKind::Compute, PATIENCE, || panic!("it breaks")));
        assert_eq!(broken, Err::<(), _>(WorkError::NotDone));
        assert_eq!(block_on(run(WorkKind::Compute, PATIENCE, || 7)), Ok(7));
    }

    #[test]
    fn two_threads_wait_for_more_work_after_much_of_it() {
        static BUSY: Pool = Pool::new();
        let (report, reported) = channel();
        let all_at_once = std::sync::Arc::new(std::sync::Barrier::new(8));
        for _ in 0..8 {
            let (report, barrier) = (report.clone(), all_at_once.clone());
            BUSY.push(Box::new(move || {
                barrier.wait();
                report.send(()).expect("it listens");
            }));
        }
        drop(report);
        assert_eq!(reported.iter().count(), 8);
        let deadline = std::time::Instant::now() + PATIENCE;
        while BUSY.lock().threads > WAITING {
            assert!(std::time::Instant::now() < deadline, "{} threads wait", BUSY.lock().threads);
            std::thread::yield_now();
        }
    }

    #[test]
    fn work_waits_where_there_is_no_thread_for_it() {
        static STARVED: Pool = Pool::new();
        STARVED.lock().threads = MOST;
        let (report, reported) = channel();
        let push = |name: &'static str| {
            let report = report.clone();
            STARVED.push(Box::new(move || report.send(name).expect("it listens")));
        };
        push("one");
        push("two");
        assert!(reported.try_recv().is_err());
        // A thread that becomes free does both, in their order.
        STARVED.lock().threads = 0;
        STARVED.spawn(&mut STARVED.lock()).expect("there is one");
        assert_eq!([reported.recv(), reported.recv()], [Ok("one"), Ok("two")]);
    }
}
