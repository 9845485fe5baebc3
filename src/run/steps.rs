//! Measurement of the steps of the event loop, as debug lines of the log (`--log-level reload_gate::run::steps=debug`). IO: reads a clock.
//!
//! A long computation in one step holds up all gates and the listener.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A future of the event loop, with the longest of its steps so far.
pub(super) struct MeasuredSteps<F> {
    inner: Pin<Box<F>>,
    longest: Duration,
}

impl<F: Future> MeasuredSteps<F> {
    pub(super) fn of(inner: F) -> Self {
        Self { inner: Box::pin(inner), longest: Duration::ZERO }
    }
}

impl<F: Future> Future for MeasuredSteps<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The clock of a thread is a system call.
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.inner.as_mut().poll(context);
        }
        let before = processor_time();
        let polled = self.inner.as_mut().poll(context);
        let step = processor_time().saturating_sub(before);
        if step > self.longest {
            self.longest = step;
            tracing::debug!(longest_ms = step.as_secs_f64() * 1e3, "the longest step of the event loop");
        }
        polled
    }
}

/// Processor time of this thread: on a busy machine a step takes longer by a wall clock, and computes no more.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
