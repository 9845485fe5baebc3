//! A thread for long work, so that the event loop never waits for it. IO: starts threads.
//!
//! The thread is made when the process starts. When work comes a new one may not be possible: a pod has a limit of processes, and
//! threads count in it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Reason why work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// It took longer than its limit.
    #[error("it did not end in time")]
    TimedOut,
    /// There is no thread for it, or it panicked.
    #[error("there is no thread to do it")]
    NotDone,
}

/// Work, which returns true if another thread has taken the place of its own meanwhile.
type Job = Box<dyn FnOnce() -> bool + Send>;

/// Jobs in the order in which they came, for all threads that take them.
#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    /// A thread takes jobs.
    started: Mutex<bool>,
}

/// Starts the thread, unless it runs already. A failure is not final: the next call tries again.
pub fn start() -> std::io::Result<()> {
    let mut started = queue().started.lock().unwrap_or_else(PoisonError::into_inner);
    if !*started {
        spawn()?;
        *started = true;
    }
    Ok(())
}

/// Does `work` on the thread, and gives its result if it ends within `limit` of its beginning.
///
/// Work that overruns its limit keeps its thread until it ends, and another thread takes its place if that is possible. Dropping
/// the future leaves the work to itself, and its result is dropped.
///
/// # Errors
/// When the work takes longer, or cannot be done.
pub async fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, WorkError> {
    start().map_err(|_| WorkError::NotDone)?;
    let (begin, begun) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    let replaced = Arc::new(AtomicBool::new(false));
    let is_replaced = replaced.clone();
    queue().push(Box::new(move || {
        if begin.send(()).is_ok()
            && let Ok(result) = catch_unwind(AssertUnwindSafe(work))
        {
            let _ = finish.send(result);
        }
        is_replaced.load(Ordering::SeqCst)
    }));
    begun.await.map_err(|_| WorkError::NotDone)?;
    match tokio::time::timeout(limit, finished).await {
        Ok(result) => result.map_err(|_| WorkError::NotDone),
        Err(_) => {
            // Without another thread the jobs wait until this one is free.
            replaced.store(spawn().is_ok(), Ordering::SeqCst);
            Err(WorkError::TimedOut)
        }
    }
}

fn queue() -> &'static Queue {
    static QUEUE: OnceLock<Queue> = OnceLock::new();
    QUEUE.get_or_init(Queue::default)
}

fn spawn() -> std::io::Result<()> {
    std::thread::Builder::new().name("worker".into()).spawn(take_jobs).map(|_| ())
}

/// The life of a thread, which ends when another one has taken its place.
fn take_jobs() {
    while !(queue().next())() {}
}

impl Queue {
    fn push(&self, job: Job) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        self.arrived.notify_one();
    }

    fn next(&self) -> Job {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match jobs.pop_front() {
                Some(job) => return job,
                None => jobs = self.arrived.wait(jobs).unwrap_or_else(PoisonError::into_inner),
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
        let there = block_on(run(PATIENCE, || std::thread::current().id()));
        assert_ne!(there, Ok(here));
        assert!(there.is_ok());
    }

    #[test]
    fn work_that_takes_too_long_does_not_hold_up_other_work() {
        let (go_on, wait) = channel::<()>();
        let stuck = run(Duration::from_millis(50), move || wait.recv());
        assert_eq!(block_on(stuck).expect_err("it waits"), WorkError::TimedOut);
        assert_eq!(block_on(run(PATIENCE, || 7)), Ok(7));
        drop(go_on);
    }

    #[test]
    fn work_that_panics_is_not_done() {
        assert_eq!(block_on(run(PATIENCE, || panic!("it breaks"))), Err::<(), _>(WorkError::NotDone));
        assert_eq!(block_on(run(PATIENCE, || 7)), Ok(7));
    }
}
