//! A simulated world for the gate: a virtual clock, contents that change, and every effect with a latency and faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::{Code, Finding, Place};

use super::{Effect, Gate, Input, Policy};
use crate::reload::Sent;
use crate::report::{Event, Kind};
use crate::snapshot::{Seen, Trouble};
use crate::target::Hindrance;
use crate::tree::{Digest, Manifest, Tree};
use crate::validate::Judgement;
use crate::verify::Proof;
use crate::watch::Hint;

/// What the validators think of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing is there.
    Absent,
    /// Good, and one of several that differ.
    Good(u8),
    /// Wrong.
    Bad(u8),
    /// It cannot be judged before this many tries.
    Unclear(u8),
    /// It passes the validators, and the application does not take it.
    Untaken(u8),
}

/// What befalls the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// The content changes, with an event.
    Write(Content),
    /// The content changes, and the event is lost.
    WriteUnseen(Content),
    /// An event without a change.
    Touch,
    /// The application goes away, or comes back.
    Target(bool),
    /// A spurious tick.
    Tick,
}

/// One thing that the gate did, and when.
#[derive(Clone, Debug)]
pub(super) struct Did {
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Look,
    Judge(Digest),
    Reload(Digest),
    Verify,
    Report(Event),
    Finish,
}

pub(super) struct World {
    pub(super) gate: Gate,
    start: Instant,
    pub(super) now: Instant,
    pub(super) content: Content,
    pub(super) target: bool,
    /// How often the content was written.
    writes: u32,
    /// How long each effect takes: these in turn, for ever.
    latencies: Vec<Duration>,
    effects: usize,
    tries: BTreeMap<Digest, u8>,
    /// What will come of the effect in flight, and when.
    in_flight: Option<(Instant, Input)>,
    /// What the application runs.
    pub(super) live: Option<Content>,
    /// What the last look saw, and the last judgement accepted since.
    looked: Option<Digest>,
    accepted: Option<Digest>,
    pub(super) trace: Vec<Did>,
    /// What of the properties did not hold.
    pub(super) broken: Vec<String>,
}

pub(super) fn policy() -> Policy {
    Policy {
        reload: true,
        quiet: Duration::from_millis(100),
        poll: Duration::from_secs(30),
        grace: Duration::from_secs(5),
    }
}

pub(super) fn tree(content: Content) -> Tree {
    [("nginx.conf".into(), format!("{content:?}").into_bytes())].into()
}

pub(super) fn digest(content: Content) -> Digest {
    Manifest::of(&tree(content)).digest()
}

impl World {
    pub(super) fn new(content: Content, latencies: Vec<Duration>) -> Self {
        let start = Instant::now();
        let mut world = Self {
            gate: Gate::new(policy(), start),
            start,
            now: start,
            content,
            target: true,
            writes: 0,
            latencies,
            effects: 0,
            tries: BTreeMap::new(),
            in_flight: None,
            live: None,
            looked: None,
            accepted: None,
            trace: Vec::new(),
            broken: Vec::new(),
        };
        world.step(Input::Tick);
        world
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Write(content) => {
                (self.content, self.writes) = (content, self.writes + 1);
                self.step(Input::Stirred(Hint::Commit));
            }
            Happening::WriteUnseen(content) => (self.content, self.writes) = (content, self.writes + 1),
            Happening::Touch => self.step(Input::Stirred(Hint::Touch)),
            Happening::Target(there) => self.target = there,
            Happening::Tick => self.step(Input::Tick),
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let done = self.in_flight.as_ref().map(|(at, _)| *at);
            let next = [done, self.gate.deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            let input = match &self.in_flight {
                Some((at, _)) if *at <= self.now => self.in_flight.take().map_or(Input::Tick, |(_, input)| input),
                _ => Input::Tick,
            };
            self.step(input);
        }
        self.now = end;
    }

    pub(super) fn step(&mut self, input: Input) {
        for effect in self.gate.step(self.now, input) {
            self.perform(&effect);
        }
        let spurious = self.gate.step(self.now, Input::Tick);
        self.expect(spurious.is_empty(), "a spurious tick is a no-op");
    }

    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("{what}, at {:?}", self.now - self.start));
        }
    }

    fn perform(&mut self, effect: &Effect) {
        let what = match effect {
            Effect::Look => What::Look,
            Effect::Judge(digest) => What::Judge(*digest),
            Effect::Reload(digest) => What::Reload(*digest),
            Effect::Verify { .. } => What::Verify,
            Effect::Report(event) => What::Report(event.clone()),
            Effect::Finish => What::Finish,
        };
        self.trace.push(Did { at: self.now - self.start, what });
        if matches!(effect, Effect::Report(_) | Effect::Finish) {
            return;
        }
        let idle = self.in_flight.is_none();
        self.expect(idle, "one effect is in flight at most");
        let latency = self.latencies[self.effects % self.latencies.len()];
        self.effects += 1;
        let input = self.outcome(effect);
        self.in_flight = Some((self.now + latency, input));
    }

    fn outcome(&mut self, effect: &Effect) -> Input {
        match effect {
            Effect::Look => Input::Looked(self.look()),
            Effect::Judge(digest) => {
                let same = self.looked == Some(*digest);
                self.expect(same, "what is judged was looked at last");
                Input::Judged(Ok(self.judge(*digest)))
            }
            Effect::Reload(digest) => {
                let accepted = self.accepted == Some(*digest) && self.looked == Some(*digest);
                self.expect(accepted, "what is reloaded was accepted since it was last read");
                Input::Reloaded(self.reload())
            }
            Effect::Verify { .. } => Input::Verified(self.verify()),
            Effect::Report(_) | Effect::Finish => Input::Tick,
        }
    }

    fn look(&mut self) -> Result<Seen, Trouble> {
        if self.content == Content::Absent {
            self.looked = None;
            let finding = Finding::environment(Code::new("missing-source"), "it does not exist");
            return Err(Trouble { findings: vec![finding], settled: true });
        }
        let tree = tree(self.content);
        let manifest = Arc::new(Manifest::of(&tree));
        // An acceptance is about what was read before it; another content in between ends it.
        if self.looked != Some(manifest.digest()) {
            self.accepted = None;
        }
        self.looked = Some(manifest.digest());
        let delivered = SystemTime::UNIX_EPOCH + Duration::from_secs(self.writes.into());
        Ok(Seen { manifest, tree: Arc::new(tree), delivered, settled: true })
    }

    fn judge(&mut self, digest: Digest) -> Judgement {
        let finding = match self.content {
            Content::Bad(_) => Some(Finding::error(Code::new("checker-error"), "unknown directive")),
            Content::Unclear(needed) => {
                let tries = self.tries.entry(digest).or_default();
                *tries = tries.saturating_add(1);
                let finding = || Finding::environment(Code::new("checker-obstacle"), "host not found");
                (*tries <= needed).then(finding)
            }
            _ => None,
        };
        self.accepted = finding.is_none().then_some(digest);
        let findings = finding.map(|finding| finding.at(Place::line("nginx.conf", 1))).into_iter().collect();
        Judgement { findings, duration: Duration::from_millis(5), by: None }
    }

    fn reload(&mut self) -> Result<Sent, Hindrance> {
        if !self.target {
            return Err(Hindrance::Missing { message: "there is no process".into(), help: "wait".into() });
        }
        if !matches!(self.content, Content::Untaken(_)) {
            self.live = Some(self.content);
        }
        Ok(Sent::Told { pid: Some(7), signal: Some("SIGHUP".into()), message: "sent SIGHUP to pid 7".into() })
    }

    fn verify(&mut self) -> Proof {
        // The application reads what is there when it gets to it, which may be newer than what it was told of.
        if matches!(self.content, Content::Untaken(_)) {
            return Proof::Missing { message: "no new worker".into(), help: "see the log".into() };
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

    /// The trace as text, one line a thing.
    pub(super) fn story(&self) -> String {
        let line = |did: &Did| {
            let what = match &did.what {
                What::Look => "look".to_owned(),
                What::Judge(digest) => format!("judge {digest:?}"),
                What::Reload(digest) => format!("reload {digest:?}"),
                What::Verify => "verify".to_owned(),
                What::Finish => "finish".to_owned(),
                What::Report(event) => {
                    let message = event.message.as_deref().map_or_else(String::new, |message| format!(": {message}"));
                    format!("  report {}{message}", event.kind.as_str())
                }
            };
            format!("{:>9} {what}\n", format!("{:?}", did.at))
        };
        // A poll that sees nothing new is followed by the next look at once.
        let looks = |did: Option<&Did>| did.is_some_and(|did| matches!(did.what, What::Look));
        let told = self.trace.iter().enumerate();
        told.filter(|(at, did)| !looks(Some(did)) || !looks(self.trace.get(at + 1))).map(|(_, did)| line(did)).collect()
    }
}
