//! A simulated world for the gate: a virtual clock, contents that change, and every effect with a latency and faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::{Code, Finding, Place};

use super::{Effect, Gate, Input, Loss, Policy, ReloadRequest};
use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::{Digest, Revision, Tree};
use crate::flow::validate::{Main, Validation};
use crate::flow::verify::{Proof, ReloadAnswer};
use crate::flow::watch::Hint;
use crate::report::{Event, Kind};

mod trace;

pub(super) use trace::{TraceEntry, What};

/// A content of the sources, by the verdict that it will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimulatedContent {
    /// Nothing is there.
    Absent,
    /// Good, and one of several that differ.
    Good(u8),
    /// Wrong.
    Bad(u8),
    /// Validation is inconclusive for this many tries.
    Unclear(u8),
    /// Valid, and the application does not take it.
    Untaken(u8),
    /// Valid, and the application ends when it is reloaded with it.
    Fatal(u8),
}

/// A change of the world outside of the gate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The content changes, with an event.
    Write(SimulatedContent),
    /// The content changes, and the event is lost.
    WriteUnseen(SimulatedContent),
    /// An event without a change.
    Touch,
    /// Another program changes what is published.
    Alter(SimulatedContent),
    /// The application goes away, or comes back.
    Target(bool),
    /// The application is replaced by a new process.
    Restart,
    /// Another program reloads the application, which the gate finds at once.
    Foreign,
    /// The same, and the gate finds it when it checks the process.
    ForeignUnseen,
    /// A spurious tick.
    Tick,
    /// A user asks for a scan.
    Request,
}

/// A file that moves because of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    None,
    /// The checker writes it.
    Validation,
    /// The application writes it when it reloads.
    Reload,
    /// The checker sets the times of the sources.
    Touch,
}

pub(super) struct SimulatedWorld {
    pub(super) gate: Gate,
    start: Instant,
    pub(super) now: Instant,
    pub(super) content: SimulatedContent,
    pub(super) target: bool,
    /// The answer to a reload that is not proven.
    pub(super) answer: ReloadAnswer,
    /// The proof that a late verification finds, in place of none.
    pub(super) late: Option<Proof>,
    /// Nothing can be kept: the disk is full.
    pub(super) full: bool,
    was_full: bool,
    /// The answer to the last [`Effect::Keep`].
    keeps: Option<Input>,
    /// The process, and its start.
    process: (i32, Instant),
    /// The process that the gate watches.
    watched: Option<i32>,
    /// The start of its workers, if another program has reloaded it since the last verification.
    renewed: Option<Instant>,
    /// The gate compares the process with its recorded state.
    checks: bool,
    /// The time at which the process ends by its reload.
    ends_at: Option<Instant>,
    /// No verification is configured.
    pub(super) unverified: bool,
    /// A file that moves because of the gate.
    pub(super) noise: Noise,
    noises: u32,
    /// The gate has no descriptor left.
    pub(super) shortage: bool,
    /// A file outside of the sources, which the configuration includes, is wrong.
    pub(super) wrong_outside: bool,
    /// The number of searches that find the launcher of the application.
    pub(super) launchers: u32,
    /// The number of searches that find a process which is starting.
    pub(super) starts: u32,
    /// An event of the noise is on its way.
    stir: bool,
    /// The number of times that the content was written.
    writes: u32,
    /// The durations of the effects, used in turn.
    latencies: Vec<Duration>,
    effects: usize,
    tries: BTreeMap<Digest, u8>,
    /// The outcome of the effect in flight, and its time.
    in_flight: Option<(Instant, Input)>,
    publish: bool,
    /// The content that the last scan read: a gate that publishes validates and publishes it.
    taken: SimulatedContent,
    /// The content that another program has replaced where it was published.
    altered: Option<SimulatedContent>,
    /// The published content, and the one that is kept as the last-known-good.
    pub(super) published: Option<SimulatedContent>,
    pub(super) kept: Option<SimulatedContent>,
    /// The content that the application runs.
    pub(super) live: Option<SimulatedContent>,
    /// The digest of the last scan, and the one that was accepted since.
    scanned: Option<Digest>,
    accepted: Option<Digest>,
    pub(super) trace: Vec<TraceEntry>,
    /// The expectations that did not hold.
    pub(super) broken: Vec<String>,
}

pub(super) fn policy(publish: bool) -> Policy {
    Policy {
        reload: true,
        publish,
        permission: false,
        fallback: false,
        once: false,
        main: Main::Usual("nginx.conf".into()),
        min_interval: Duration::ZERO,
        budget: None,
        fail_on_empty: false,
        max_shrink: 100,
        quiet: Duration::from_millis(100),
        poll: Duration::from_secs(30),
        grace: Duration::from_secs(5),
    }
}

fn missing() -> TargetError {
    TargetError::Missing { message: "there is no process".into(), help: "wait".into() }
}

fn lost() -> Finding {
    Finding::environment(Code::new("not-published"), "the last-known-good revision is missing")
}

pub(super) fn tree(content: SimulatedContent) -> Tree {
    [("nginx.conf".into(), format!("{content:?}").into_bytes())].into()
}

pub(super) fn digest(content: SimulatedContent) -> Digest {
    Revision::of(&tree(content)).digest()
}

/// More steps than any gate takes in the longest time that is let pass.
const MOST_STEPS: u32 = 20_000;

impl SimulatedWorld {
    pub(super) fn new(content: SimulatedContent, latencies: Vec<Duration>) -> Self {
        Self::of(policy(false), content, latencies)
    }

    pub(super) fn publishing(content: SimulatedContent, latencies: Vec<Duration>) -> Self {
        Self::of(policy(true), content, latencies)
    }

    /// A gate that waits for the permission of its group.
    pub(super) fn permitting(publish: bool, content: SimulatedContent, latencies: Vec<Duration>) -> Self {
        Self::of(Policy { permission: true, ..policy(publish) }, content, latencies)
    }

    /// A gate whose cluster cannot be asked for its known-good revision.
    pub(super) fn falling_back(content: SimulatedContent) -> Self {
        Self::of(Policy { fallback: true, ..policy(true) }, content, vec![Duration::from_millis(1)])
    }

    /// A gate that publishes and starts again after an earlier one, which has verified `content`; the application runs it, unless
    /// it is gone.
    pub(super) fn resuming(content: SimulatedContent, target: bool) -> Self {
        let mut world = Self::publishing(SimulatedContent::Absent, vec![Duration::from_millis(1)]);
        let start = world.now + Duration::from_secs(1);
        (world.content, world.published, world.kept) = (content, Some(content), Some(content));
        (world.target, world.live) = (target, Some(content).filter(|_| target));
        (world.start, world.now, world.in_flight) = (start, start, None);
        world.trace.clear();
        world.broken.clear();
        let gate = Gate::new(policy(true), start).published_before();
        world.gate = gate.resume(Arc::new(Revision::of(&tree(content))), true).watch_target(true);
        world.step(Input::Tick);
        world
    }

    fn of(policy: Policy, content: SimulatedContent, latencies: Vec<Duration>) -> Self {
        let start = Instant::now();
        let publish = policy.publish;
        let mut world = Self {
            gate: Gate::new(policy, start),
            publish,
            start,
            now: start,
            content,
            target: true,
            answer: ReloadAnswer::Unknown,
            late: None,
            full: false,
            was_full: false,
            keeps: None,
            process: (1, start),
            watched: None,
            renewed: None,
            checks: false,
            ends_at: None,
            unverified: false,
            noise: Noise::None,
            noises: 0,
            shortage: false,
            wrong_outside: false,
            launchers: 0,
            starts: 0,
            stir: false,
            writes: 0,
            latencies,
            effects: 0,
            tries: BTreeMap::new(),
            in_flight: None,
            taken: content,
            altered: None,
            published: None,
            kept: None,
            live: None,
            scanned: None,
            accepted: None,
            trace: Vec::new(),
            broken: Vec::new(),
        };
        world.step(Input::Tick);
        world
    }

    pub(super) fn happen(&mut self, happening: Fault) {
        match happening {
            Fault::Write(content) => {
                (self.content, self.writes) = (content, self.writes + 1);
                self.step(Input::WatchEvent(Hint::Commit));
            }
            Fault::WriteUnseen(content) => (self.content, self.writes) = (content, self.writes + 1),
            Fault::Alter(content) => self.altered = self.published.replace(content).or(self.altered),
            Fault::Touch => self.step(Input::WatchEvent(Hint::Touch)),
            Fault::Target(false) => self.end(),
            Fault::Target(true) => self.begin(),
            Fault::Restart => {
                self.end();
                self.begin();
            }
            Fault::Foreign => {
                self.reload_by_another();
                self.find_renewal();
            }
            Fault::ForeignUnseen => self.reload_by_another(),
            Fault::Tick => self.step(Input::Tick),
            Fault::Request => self.step(Input::Rescan),
        }
    }

    /// The process ends; the gate learns of it if it watches the process.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.target, false) {
            return;
        }
        (self.live, self.renewed) = (None, None);
        let (pid, _) = self.process;
        if self.watched.take_if(|watched| *watched == pid).is_some() {
            self.step(Input::TargetLost { pid, loss: Loss::Ended });
        }
    }

    /// The application reads the content that lies there now, and has new workers.
    fn reload_by_another(&mut self) {
        if !self.target {
            return;
        }
        self.live = self.read().filter(|content| !matches!(content, SimulatedContent::Absent)).or(self.live);
        let (pid, _) = self.process;
        self.renewed = (self.watched == Some(pid)).then_some(self.now);
    }

    /// The gate finds that the application has new workers, if it has.
    fn find_renewal(&mut self) {
        if let Some(start) = self.renewed.take() {
            self.step(Input::TargetLost {
                pid: self.process.0,
                loss: Loss::Renewed { since: Some(start), by_reload: true },
            });
        }
    }

    /// A process starts, and reads the content that lies there now.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.target, true) {
            return;
        }
        self.process = (self.process.0 + 1, self.now);
        self.live = self.read().filter(|content| !matches!(content, SimulatedContent::Absent));
    }

    /// The process ends by what it was reloaded with.
    fn end_if_due(&mut self) {
        if self.ends_at.take_if(|at| *at <= self.now).is_some() {
            self.end();
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for step in 0.. {
            if step > MOST_STEPS {
                self.expect(false, "the gate comes to rest");
                break;
            }
            let done = self.in_flight.as_ref().map(|(at, _)| *at);
            let next = [done, self.gate.deadline(), self.ends_at].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.end_if_due();
            let input = match &self.in_flight {
                Some((at, _)) if *at <= self.now => self.in_flight.take().map_or(Input::Tick, |(_, input)| input),
                _ => Input::Tick,
            };
            self.step(input);
        }
        self.now = end;
    }

    /// Answers the gate as its group would.
    pub(super) fn permit(&mut self) {
        if let Some(digest) = self.gate.asks() {
            let until = self.now + Duration::from_secs(10);
            self.step(Input::Permit { digest, until });
        }
    }

    pub(super) fn step(&mut self, input: Input) {
        let was_ready = self.gate.is_ready();
        for effect in self.gate.step(self.now, input) {
            self.perform(&effect);
        }
        if let Some(kept) = self.keeps.take() {
            self.gate.step(self.now, kept).iter().for_each(|effect| self.perform(effect));
        }
        if std::mem::take(&mut self.checks) {
            self.find_renewal();
        }
        self.end_if_due();
        if std::mem::take(&mut self.stir) {
            self.gate.step(self.now, Input::WatchEvent(Hint::Touch)).iter().for_each(|effect| self.perform(effect));
        }
        let spurious = self.gate.step(self.now, Input::Tick);
        self.expect(spurious.is_empty(), "a spurious tick is a no-op");
        self.expect_to_be_shown_right(was_ready);
    }

    /// Checks that the values that the gate shows agree with each other.
    fn expect_to_be_shown_right(&mut self, was_ready: bool) {
        let (desired, running, validated) = (self.gate.desired(), self.gate.running(), self.gate.validated());
        let is_bad = |shown: &Revision| (0..2).any(|number| shown.digest() == digest(SimulatedContent::Bad(number)));
        let (bad, live) = (validated.is_some_and(is_bad), running.is_some() && running == desired);
        let (valid, ready) = (validated == desired, self.gate.is_ready());
        let (proven, accepted) = (self.gate.known_good().is_some(), self.count(Kind::Accepted) > 0);
        self.expect(!bad, "what is wrong is not shown as valid");
        self.expect(!live || valid, "what is live is shown as valid");
        self.expect(ready || !(was_ready || proven), "what has been live once is ready");
        self.expect(!ready || accepted || was_ready, "nothing is ready before it was accepted");
    }

    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("{what}, at {:?}", self.now - self.start));
        }
    }

    fn perform(&mut self, effect: &Effect) {
        let what = match effect {
            Effect::Count(_) => return,
            Effect::CheckTarget => {
                self.checks = true;
                return;
            }
            Effect::Abandon => {
                self.in_flight = None;
                return;
            }
            Effect::FindTarget => What::Seek,
            Effect::Scan(_) => What::Scan,
            Effect::Validate(digest) => What::Validate(*digest),
            Effect::Publish(digest) => What::Publish(*digest),
            Effect::Keep(digest) => What::Keep(*digest),
            Effect::ComparePublication => What::Compare,
            Effect::Reload(request) => What::Reload(request.digest),
            Effect::Verify { .. } => What::Verify,
            Effect::FallBack { .. } => What::FallBack,
            Effect::Report(event) => What::Report(event.clone()),
            Effect::Finish => What::Finish,
        };
        if !matches!(what, What::Compare) || self.altered.is_some() {
            self.trace.push(TraceEntry { at: self.now - self.start, what });
        }
        if let Effect::Keep(kept) = effect {
            self.expect(self.published.map(digest) == Some(*kept), "what is kept is what is published");
            self.was_full |= self.full;
            let result = if self.full {
                Err(Finding::environment(Code::new("not-published"), "No space left on device"))
            } else {
                self.kept = self.published;
                Ok(())
            };
            self.keeps = Some(Input::Kept { digest: *kept, result });
        }
        if matches!(effect, Effect::Keep(_) | Effect::Report(_) | Effect::Finish) {
            return;
        }
        let idle = self.in_flight.is_none();
        self.expect(idle, "one effect is in flight at most");
        let latency = self.latencies[self.effects % self.latencies.len()];
        self.effects += 1;
        self.in_flight = self.outcome(effect).map(|input| (self.now + latency, input));
    }

    fn outcome(&mut self, effect: &Effect) -> Option<Input> {
        Some(match effect {
            Effect::Scan(_) => Input::Scanned(self.scan()),
            Effect::Validate(digest) => {
                let same = self.scanned == Some(*digest);
                self.expect(same || self.noise != Noise::None, "what is validated was scanned last");
                Input::Validated(Ok(self.validate(*digest)))
            }
            Effect::Publish(wanted) => Input::Published(self.publish(*wanted).ok_or_else(lost)),
            Effect::ComparePublication => {
                let is_other = self.altered.is_some();
                Input::Compared(is_other.then(|| "`..data` leads to another content".to_owned()))
            }
            Effect::Reload(request) if self.publish => {
                let is_published = self.published.map(digest) == Some(request.digest);
                self.expect(is_published, "what is reloaded is what is published");
                Input::Reloaded(self.reload(*request))
            }
            Effect::Reload(request) => {
                let digest = Some(request.digest);
                let accepted = self.noise != Noise::None || (self.accepted == digest && self.scanned == digest);
                self.expect(accepted, "what is reloaded was accepted since it was last read");
                Input::Reloaded(self.reload(*request))
            }
            // A late verification goes on until there is a proof.
            Effect::Verify { late: true } if self.late.is_some() => Input::Verified(self.late.clone()?),
            Effect::Verify { late: true } if !matches!(self.verify(), Proof::Proven { .. }) => return None,
            Effect::Verify { .. } => Input::Verified(self.verify()),
            Effect::FindTarget if self.launchers > 0 => {
                self.launchers -= 1;
                let (message, help) = ("pid 7 is no master process".into(), "name the process".into());
                Input::TargetFound(Err(TargetError::Refused { pid: Some(7), message, help }))
            }
            Effect::FindTarget if self.starts > 0 => {
                self.starts -= 1;
                let (message, help) = ("pid 7 is starting".into(), "wait".into());
                Input::TargetFound(Err(TargetError::Starting { pid: 7, message, help }))
            }
            Effect::FindTarget if self.target => {
                self.watched = Some(self.process.0);
                Input::TargetFound(Ok(self.process.0))
            }
            Effect::FindTarget => Input::TargetFound(Err(missing())),
            Effect::FallBack { .. } => {
                let finding = Finding::environment(Code::new("known-good"), "it cannot be read");
                Input::FellBack(Err(finding))
            }
            Effect::Keep(_)
            | Effect::Count(_)
            | Effect::Report(_)
            | Effect::CheckTarget
            | Effect::Abandon
            | Effect::Finish => Input::Tick,
        })
    }

    fn scan(&mut self) -> Result<Snapshot, SnapshotError> {
        if self.content == SimulatedContent::Absent {
            self.scanned = None;
            let finding = Finding::environment(Code::new("missing-source"), "it does not exist");
            return Err(SnapshotError {
                findings: vec![finding],
                settled: true,
                patience: Duration::ZERO,
                short: false,
            });
        }
        if self.shortage {
            self.scanned = None;
            // It shows at another path each time.
            let message = format!("cannot read `{}`: Too many open files", self.effects);
            let finding = Finding::environment(Code::new("unreadable-file"), message);
            return Err(SnapshotError {
                findings: vec![finding],
                settled: true,
                patience: Duration::ZERO,
                short: true,
            });
        }
        let mut tree = tree(self.content);
        if self.noises > 0 {
            tree.insert("app.log".into(), vec![b'x'; usize::try_from(self.noises).unwrap_or_default()]);
        }
        let revision = Arc::new(Revision::of(&tree));
        // An acceptance is about what was read before it; another content in between ends it.
        if self.scanned != Some(revision.digest()) {
            self.accepted = None;
        }
        self.scanned = Some(revision.digest());
        self.taken = self.content;
        let delivered = SystemTime::UNIX_EPOCH + Duration::from_secs(self.writes.into());
        Ok(Snapshot {
            revision,
            tree: Arc::new(tree),
            in_memory: Arc::default(),
            delivered,
            settled: true,
            committed: false,
            patience: Duration::ZERO,
            notes: Vec::new(),
            held: Arc::default(),
        })
    }

    /// Publishes a content; `None` if it is the last-known-good one, and could not be kept.
    fn publish(&mut self, wanted: Digest) -> Option<bool> {
        let restored = self.kept.filter(|kept| digest(*kept) == wanted);
        let accepted = Some(self.taken).filter(|taken| digest(*taken) == wanted && self.accepted == Some(wanted));
        let next = accepted.or(restored);
        if next.is_none() && self.was_full {
            return None;
        }
        self.expect(next.is_some(), "what is published was accepted, or is the last known good");
        self.altered = None;
        Some(std::mem::replace(&mut self.published, next) != next)
    }

    /// The content that the application would read now.
    fn read(&self) -> Option<SimulatedContent> {
        if self.publish { self.published } else { Some(self.content) }
    }

    fn validate(&mut self, digest: Digest) -> Validation {
        let finding = match if self.publish { self.taken } else { self.content } {
            _ if self.wrong_outside => {
                let finding = Finding::error(Code::new("checker-error"), "unknown directive");
                return Validation { findings: vec![finding], reads_beyond: true, ..Validation::default() };
            }
            SimulatedContent::Bad(_) => Some(Finding::error(Code::new("checker-error"), "unknown directive")),
            SimulatedContent::Unclear(needed) => {
                let tries = self.tries.entry(digest).or_default();
                *tries = tries.saturating_add(1);
                let finding = || Finding::environment(Code::new("checker-obstacle"), "host not found");
                (*tries <= needed).then(finding)
            }
            _ => None,
        };
        self.accepted = finding.is_none().then_some(digest);
        self.make_noise(Noise::Validation);
        self.make_noise(Noise::Touch);
        let findings = finding.map(|finding| finding.at(Place::line("nginx.conf", 1))).into_iter().collect();
        Validation { findings, duration: Duration::from_millis(5), ..Validation::default() }
    }

    /// The gate's own action moves a file, if that is the world's noise.
    fn make_noise(&mut self, by: Noise) {
        if self.noise == by {
            self.noises += u32::from(by != Noise::Touch);
            self.writes += 1;
            self.stir = true;
        }
    }

    fn reload(&mut self, request: ReloadRequest) -> Result<Sent, TargetError> {
        if !self.target {
            return Err(missing());
        }
        let (pid, start) = self.process;
        self.watched = Some(pid);
        if request.since.is_some_and(|since| start > since) {
            return Ok(Sent::NotNeeded { pid, message: format!("pid {pid} is younger") });
        }
        self.make_noise(Noise::Reload);
        self.renewed = None;
        if !matches!(self.read(), Some(SimulatedContent::Untaken(_))) {
            self.live = self.read();
        }
        let message = format!("sent SIGHUP to pid {pid}");
        Ok(Sent::Requested { pid: Some(pid), signal: Some("SIGHUP".into()), message, restarts: false })
    }

    fn verify(&mut self) -> Proof {
        if self.target && matches!(self.read(), Some(SimulatedContent::Fatal(_))) {
            // A verification takes longer than the application.
            let after = if self.unverified { Duration::from_millis(100) } else { Duration::ZERO };
            self.ends_at = Some(self.now + after);
        }
        if self.unverified {
            return Proof::NotAsked { message: "no verification is configured".into() };
        }
        // The application reads what is there when it gets to it, which may be newer than the content of the reload.
        let is_taken = !matches!(self.read(), Some(SimulatedContent::Untaken(_) | SimulatedContent::Fatal(_)));
        if !self.target || !is_taken {
            return Proof::Missing { message: "no new worker".into(), help: "see the log".into(), answer: self.answer };
        }
        Proof::Proven { pid: Some(8), message: "pid 8 is new".into(), after: Duration::from_millis(3) }
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = &Event> {
        self.trace.iter().filter_map(|did| match &did.what {
            What::Report(event) => Some(event),
            _ => None,
        })
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.reports().filter(|event| event.kind == kind).count()
    }

    pub(super) fn validations(&self) -> usize {
        self.trace.iter().filter(|did| matches!(did.what, What::Validate(_))).count()
    }
}
