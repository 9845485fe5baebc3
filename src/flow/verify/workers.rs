//! New workers of the target as the proof of a reload. IO: reads /proc.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Baseline, Not};
use crate::flow::process::{Heartbeat, Target, is_shutting_down, programs};
use crate::sys::proc::{self, Identity};

/// The time that a new worker must live to count: one that cannot start dies at once, and takes gunicorn's master with it.
pub(super) const STEADY: Duration = Duration::from_millis(250);

/// A worker that has waited so often within [`STEADY`] serves requests.
const SERVES: u64 = 5;
/// The longest time for loading.
const LONGEST_LOAD: Duration = Duration::from_secs(3);

/// Finds a new worker that is the proof of the reload.
pub(super) async fn new_worker(baseline: &Baseline) -> Result<(Option<i32>, String), Not> {
    let Some(target) = baseline.target() else {
        return Err(Not::Ever("the process was missing before the reload, so its workers are unknown".into()));
    };
    let master = target.identity();
    goes_on(target, baseline)?;
    let Some(worker) = seen(target, || new_one(target, baseline))? else {
        // Those that died at once may have done so between two looks.
        let serves_nothing = || replaced_workers(master).is_some() && !has_worker(target);
        if baseline.at.elapsed() > LONGEST_LOAD && seen(target, serves_nothing)? {
            return nothing_serves(target).await;
        }
        return Err(Not::Yet(format!("pid {} started no new worker", master.pid)));
    };
    started(worker).await;
    let doubt = seen(target, || doubt(worker, target, baseline))?;
    // What was seen of a process that has ended meanwhile is nothing.
    goes_on(target, baseline)?;
    if !seen(target, || worker.is_alive())? {
        if !seen(target, || has_worker(target))? {
            return nothing_serves(target).await;
        }
        return Err(Not::Yet(format!("pid {} started workers that died at once, and no other", master.pid)));
    }
    match doubt {
        Some(message) => Err(Not::Yet(message)),
        None => Ok((Some(worker.pid), describe_worker(worker, master, baseline))),
    }
}

/// The reason why a new worker is no proof yet, though it has lived for a while.
fn doubt(worker: Identity, target: &Target, baseline: &Baseline) -> Option<String> {
    let (pid, master) = (worker.pid, target.identity());
    // A child is a fork of the master until it executes a program of its own.
    if !WorkerProgram::of(target, &target.children()).runs_in(worker) {
        return Some(format!("pid {} started no new worker", master.pid));
    }
    if lacks_heartbeat(worker, master) {
        return Some(format!("pid {} started pid {pid}, which did not load its application", master.pid));
    }
    // A worker may also have taken the place of one that died just now.
    let older = replaced_workers(master).map_or(0, |word| older_workers(baseline, target, word));
    (older > 0).then(|| {
        let master = master.pid;
        format!("pid {pid} is a new worker of pid {master}, perhaps in place of one that died, and {older} of the older ones go on")
    })
}

/// Checks that the master has neither ended nor refused the reload.
fn goes_on(target: &Target, baseline: &Baseline) -> Result<(), Not> {
    let pid = target.pid();
    if target.has_ended() {
        return Err(ended(pid));
    }
    match baseline.refusal() {
        Some(refusal) => Err(Not::Ever(format!("pid {pid} refused the reload: {refusal}"))),
        None => Ok(()),
    }
}

fn ended(pid: i32) -> Not {
    Not::Ended(format!("pid {pid} exited after the reload request"))
}

/// Takes a look at processes. What was not seen for want of descriptors or memory proves nothing.
fn seen<T>(target: &Target, look: impl FnOnce() -> T) -> Result<T, Not> {
    let short = |error| {
        Not::Yet(format!("the workers of pid {} could not be looked at ({error}), so there is no proof", target.pid()))
    };
    proc::whole(look).map_err(short)
}

/// The program of the workers of a master, where they are forks of it; `None` if they may run any.
struct WorkerProgram(Option<PathBuf>);

impl WorkerProgram {
    fn of(target: &Target, children: &BTreeSet<Identity>) -> Self {
        let program = proc::exe(target.pid());
        let is_forking = |program: &PathBuf| {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            programs::forks_workers(&name)
                || children.iter().any(|child| proc::exe(child.pid).is_some_and(|exe| exe == *program))
        };
        Self(program.filter(is_forking))
    }

    /// Returns `true` for a child that may be a worker. The program of one that has ended, or that the gate may not see, is unknown.
    fn runs_in(&self, child: Identity) -> bool {
        self.0.as_ref().is_none_or(|program| proc::exe(child.pid).is_none_or(|exe| exe == *program))
    }
}

/// Returns `true` if a master has a worker that takes new requests.
fn has_worker(target: &Target) -> bool {
    let children = target.children();
    let program = WorkerProgram::of(target, &children);
    children.into_iter().any(|child| serves(&child) && program.runs_in(child))
}

/// A worker that was not there before the reload; of gunicorn's, rather one that has loaded its application.
fn new_one(target: &Target, baseline: &Baseline) -> Option<Identity> {
    let children = target.children();
    let program = WorkerProgram::of(target, &children);
    let beats = |worker: &Identity| Heartbeat::of(worker.pid) == Heartbeat::Beats;
    // Where those before could not be counted, their age tells them.
    let is_younger = |worker: &Identity| worker.started_at().is_some_and(|start| start + proc::TICK >= baseline.at);
    let is_new = |worker: &Identity| (baseline.is_newborn || is_younger(worker)) && program.runs_in(*worker);
    let mut new = children.difference(&baseline.children).copied().filter(is_new);
    new.clone().find(beats).or_else(|| new.next())
}

/// Returns `true` for a worker of gunicorn that has not loaded its application. One that could not has closed the file of its heartbeat when it
/// ends, and the master has those of all its workers open (`Arbiter.spawn_worker()` in `gunicorn/arbiter.py`).
fn lacks_heartbeat(worker: Identity, master: Identity) -> bool {
    match Heartbeat::of(worker.pid) {
        // A worker of another user that may not be looked into is known by its rest alone.
        Heartbeat::Beats | Heartbeat::Hidden => false,
        Heartbeat::Awaited => true,
        Heartbeat::Unknown => Heartbeat::of(master.pid) != Heartbeat::Unknown,
    }
}

/// Returns `false` for a worker that takes no new requests.
fn serves(child: &Identity) -> bool {
    child.is_alive() && !is_shutting_down(child.pid)
}

/// The answer about a master of which all workers died: it may be about to start others.
async fn nothing_serves(target: &Target) -> Result<(Option<i32>, String), Not> {
    tokio::time::sleep(STEADY).await;
    let pid = target.pid();
    if target.has_ended() {
        return Err(ended(pid));
    }
    if seen(target, || has_worker(target))? {
        return Err(Not::Yet(format!("pid {pid} started workers that died at once, and no other")));
    }
    Err(Not::Deserted(format!("pid {pid} started workers that died at once, and has none any more")))
}

/// The word in the titles of the workers of a master that replaces every one of them at a reload, and goes on with all of them if it refuses
/// one; `None` for another master.
fn replaced_workers(master: Identity) -> Option<&'static str> {
    programs::replaced_workers(&proc::title(master.pid))
}

/// The number of workers, with this word in their titles, that were there before the reload and do not end.
fn older_workers(baseline: &Baseline, target: &Target, word: &str) -> usize {
    let is_worker = |child: &&Identity| proc::title(child.pid).contains(word) && serves(child);
    target.children().intersection(&baseline.children).filter(is_worker).count()
}

/// Waits until a new worker has lived for a while. One of an interpreter has still to load its application, by which it may end: it computes
/// meanwhile, and afterwards it waits for each request. It may also wait while it loads, for a database: a worker with a heartbeat is
/// known better.
async fn started(worker: Identity) {
    let start = Instant::now();
    let loads = proc::exe(worker.pid).and_then(|exe| exe.file_name().map(|name| name.to_string_lossy().into_owned()));
    let loads = loads.is_some_and(|name| programs::loads_application(&name))
        && matches!(Heartbeat::of(worker.pid), Heartbeat::Unknown | Heartbeat::Hidden);
    let ticks = || proc::stat(worker.pid).map_or(0, |stat| stat.utime + stat.stime);
    loop {
        let before = (ticks(), proc::waits(worker.pid));
        tokio::time::sleep(STEADY).await;
        let computes = ticks() > before.0 && proc::waits(worker.pid) < before.1.saturating_add(SERVES);
        if !(loads && computes && worker.is_alive()) || start.elapsed() > LONGEST_LOAD {
            return;
        }
    }
}

fn describe_worker(worker: Identity, master: Identity, baseline: &Baseline) -> String {
    if baseline.is_newborn {
        return format!("pid {} is a worker of pid {}", worker.pid, master.pid);
    }
    let age = worker.started_at().map_or(Duration::ZERO, |start| start.saturating_duration_since(baseline.at));
    let age = humantime::format_duration(Duration::from_millis(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
    format!("pid {} is a new worker of pid {}, started {age} after the reload", worker.pid, master.pid)
}
