//! The watch on the target process: its pidfd is in the event loop, so that its end is an event. IO.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::flow::process::{Target, TargetError, TargetSearches, programs};
use crate::gate::{Input, Loss};
use crate::sys::proc::{self, Identity, Incarnation};

/// The process that was reloaded or verified last.
#[derive(Debug, Default)]
pub(super) struct TargetWatch(Option<WatchedProcess>);

#[derive(Debug)]
struct WatchedProcess {
    target: Target,
    /// Readable when it has ended; absent while no descriptor can be had, and then only a check finds out.
    end: Option<AsyncFd<OwnedFd>>,
    incarnation: Option<Incarnation>,
    /// Its children at the end of the last verification, where they tell of reloads.
    workers: BTreeSet<Identity>,
    /// Only a reload or a crash renews all of them.
    is_steady: bool,
}

#[expect(deprecated, reason = "what replaces it is unsafe; the descriptor is owned here, so nothing else can close it")]
fn readable(end: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(end, Interest::READABLE).ok()
}

fn end_of(target: &Target) -> Option<AsyncFd<OwnedFd>> {
    target.end().ok().and_then(readable)
}

impl TargetWatch {
    /// Watches `target` from now on.
    pub(super) fn follow(&mut self, target: &Target) {
        let incarnation = proc::incarnation(target.pid());
        if let Some(watched) = self.0.as_mut().filter(|watched| watched.target.identity() == target.identity()) {
            watched.incarnation = incarnation;
            return;
        }
        self.0 = Some(WatchedProcess {
            target: target.clone(),
            end: end_of(target),
            incarnation,
            workers: BTreeSet::new(),
            is_steady: false,
        });
    }

    /// Records the state of the process after a reload: a master that executes itself has done so by now.
    pub(super) fn settle(&mut self, by_workers: bool) {
        let Some(watched) = &mut self.0 else { return };
        let pid = watched.target.pid();
        watched.incarnation = proc::incarnation(pid);
        let children =
            if by_workers { proc::whole(|| proc::children(pid)).unwrap_or_default() } else { BTreeSet::new() };
        let is_steady = |child: &&Identity| programs::is_steady_worker(&proc::title(child.pid));
        // A helper, such as a program that takes logs, outlives every reload.
        let is_fork = |child: &&Identity| proc::stat(child.pid).is_some_and(|stat| proc::is_mere_fork(&stat));
        let steady: BTreeSet<_> = children.iter().filter(is_steady).copied().collect();
        let forks: BTreeSet<_> = children.iter().filter(is_fork).copied().collect();
        (watched.workers, watched.is_steady) =
            match (programs::has_steady_children(&proc::comm(pid)), steady.is_empty()) {
                (true, _) => (children, true),
                (_, false) => (steady, true),
                // fluentd executes its workers.
                _ => (if forks.is_empty() { children } else { forks }, false),
            };
    }

    /// Waits until the process has ended; endless if there is none.
    pub(super) async fn ended(&self) -> i32 {
        match &self.0 {
            Some(WatchedProcess { target, end: Some(end), .. }) if end.readable().await.is_ok() => target.pid(),
            _ => std::future::pending().await,
        }
    }

    /// Forgets the process.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Compares the process with its recorded state, and with the process that the selector finds now.
    pub(super) async fn check(&mut self, targets: &TargetSearches) -> Option<Input> {
        self.0.as_ref()?;
        let found = targets.search().await;
        let watched = self.0.as_mut()?;
        let pid = watched.target.pid();
        if watched.end.is_none() {
            watched.end = end_of(&watched.target);
        }
        if watched.target.has_ended() {
            self.0 = None;
            return Some(Input::TargetLost { pid, loss: Loss::Ended });
        }
        if let Some(now) = proc::incarnation(pid)
            && watched.incarnation.replace(now.clone()).is_some_and(|before| before != now)
        {
            return Some(Input::TargetLost { pid, loss: Loss::Executed });
        }
        if !watched.workers.is_empty()
            && let Ok(workers) = proc::whole(|| proc::children(pid))
            && !workers.is_empty()
            && workers.is_disjoint(&watched.workers)
        {
            let since = workers.iter().filter_map(|worker| worker.started_at()).min();
            let by_reload = watched.is_steady;
            watched.workers = workers;
            return Some(Input::TargetLost { pid, loss: Loss::Renewed { since, by_reload } });
        }
        let found = found.ok()?;
        (found.identity() != watched.target.identity()).then_some(Input::TargetLost { pid, loss: Loss::Superseded })
    }

    /// Finds the process that is the target now, and watches it.
    pub(super) async fn find(&mut self, targets: &TargetSearches) -> Result<i32, TargetError> {
        let target = targets.search().await?;
        self.follow(&target);
        Ok(target.pid())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flow::process::Selector;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn an_end_that_could_not_be_watched_is_watched_after_a_check() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is installed");
        let directory = tempfile::tempdir().expect("there is room");
        let pid_file = directory.path().join("pid");
        std::fs::write(&pid_file, child.id().to_string()).expect("there is room");
        let targets = TargetSearches::new(Selector { pid_file: Some(pid_file), ..Selector::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let ended = runtime.block_on(async {
            let mut watch = TargetWatch::default();
            watch.find(&targets).await.expect("it runs");
            // There was no descriptor left.
            watch.0.as_mut().expect("it is watched").end = None;
            assert!(watch.check(&targets).await.is_none(), "it is the same process");
            child.kill().expect("it is ours");
            tokio::time::timeout(Duration::from_secs(20), watch.ended()).await.expect("it is noticed")
        });
        assert_eq!(u32::try_from(ended), Ok(child.id()));
        child.wait().expect("it is ours");
    }
}
