//! The checks of a scenario at rest: the newest content is live, or one incident is open; and nothing has grown.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client;
use crate::content::Quality;
use crate::figures::Life;
use crate::holdings::{self, Holdings};
use crate::run::Run;

/// The longest time until a gate is at rest: the longest wait of the gate is 30 s, after a reload that was not verified.
const PATIENCE: Duration = Duration::from_secs(90);
/// A wait that is reported, although it is no violation.
const SLOW: Duration = Duration::from_secs(8);
/// The time in which what ends after a change has ended.
const END: Duration = Duration::from_secs(15);
/// The updates after which a gate has made all of its lasting allocations.
const WARM: u64 = 40;
/// The growth of resident memory that is no growth: an allocator keeps pages.
const GROWTH_KIB: u64 = 4096;
/// Descriptors of one more process: that of the last reload, and the one that was found last, may be held apart. A pidfd, its status, and
/// what it waits for.
const PROCESS: u64 = 3;
/// Descriptors of the process that is ready for the next command, which may be in the making at either moment: its channel and its output.
const KEEPER: u64 = 2;
/// Threads: of each of the three kinds of work one more may wait for more of it.
const FURTHER: u64 = 3;
/// The live revision, the last-known-good one, a rejected candidate, and a copy in the making.
const GENERATIONS: usize = 4;

impl Run<'_> {
    /// Waits until the gate is at rest on the newest content.
    ///
    /// # Errors
    /// The violations, also of the time since the last rest.
    pub(crate) fn rest(&mut self) -> Result<(), Vec<String>> {
        let started = Instant::now();
        loop {
            self.fail_on_violations()?;
            self.tend().map_err(|violation| vec![violation])?;
            let Some(disagreement) = self.disagreement() else { break };
            if started.elapsed() > PATIENCE {
                return Err(vec![format!("not at rest after {PATIENCE:?}: {disagreement}")]);
            }
            thread::sleep(Duration::from_millis(15));
        }
        if started.elapsed() > SLOW {
            println!("slow: {} took {:?} to be at rest\n{}", self.scenario.name, started.elapsed(), self.story());
        }
        self.figures.longest_wait = self.figures.longest_wait.max(started.elapsed());
        self.figures.rests += 1;
        self.nothing_has_grown().map_err(|violation| vec![violation])?;
        self.fail_on_violations()
    }

    fn fail_on_violations(&self) -> Result<(), Vec<String>> {
        let mut violations = self.application.record().violations();
        violations.extend(self.gate.journal().violations());
        violations.is_empty().then_some(()).ok_or(violations)
    }

    /// Lets the application run, as its supervisor does.
    fn tend(&mut self) -> Result<(), String> {
        if let Some(end) = self.gate.ended() {
            return Err(format!("the gate ended by itself: {end}"));
        }
        if self.application.ended_by_itself() {
            return Err("the application ended by itself".into());
        }
        if self.starts_on_bad_content() && !self.application.is_running() {
            self.application.record().allow(&self.newest.answer);
        }
        // A published volume is empty until the first content is accepted.
        if self.application.can_start() {
            self.application.supervise();
        }
        Ok(())
    }

    /// Returns true if the application, started now, would read a bad content: in direct mode no gate can prevent that.
    pub(crate) fn starts_on_bad_content(&self) -> bool {
        !self.scenario.publish && !self.newest.quality.is_good()
    }

    /// The difference between the state of the gate and the one that the newest content demands.
    fn disagreement(&mut self) -> Option<String> {
        let Some(status) = self.gate.status() else { return Some("the gate has no status".into()) };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let desired = text(&status["desired"]["digest"]);
        if desired != self.newest.digest() {
            return Some(format!("{} is the newest content, and the gate saw {desired}", self.newest.answer));
        }
        let (live, incident) = (status["live"] == true, text(&status["standing"]["event"]));
        let logged = Some(self.gate.journal()).filter(|journal| !journal.incomplete);
        let logged = logged.map(|journal| journal.open().unwrap_or_default().to_owned());
        if logged.as_ref().is_some_and(|logged| *logged != incident) {
            return Some(format!("the log has the open incident {logged:?}, the status has {incident:?}"));
        }
        let answer = client::ask(self.application.place.port).unwrap_or_else(|error| error.to_string());
        if !self.newest.quality.is_good() {
            let down = !self.application.is_running();
            let fits = !live && (down || incident == expected_incident(self.newest.quality));
            let about = text(&status["standing"]["digest"]);
            return (!fits || about != desired)
                .then(|| format!("{} is bad; live: {live}, incident {incident:?} about {about}", self.newest.answer));
        }
        let running = text(&status["running"]["digest"]);
        let fits = live && incident.is_empty() && running == desired && answer == self.newest.answer;
        (!fits).then(|| {
            let expected = &self.newest.answer;
            format!("{expected} is good; live: {live}, incident {incident:?}, {answer:?} is served")
        })
    }

    fn nothing_has_grown(&mut self) -> Result<(), String> {
        // A validation that never ends is tried again and again.
        if self.newest.quality != Quality::Hanging {
            let (sleep, temporary) = (self.sleep.as_str(), self.launch.temporary.as_path());
            if !Self::within(END, || holdings::running_with(sleep).is_empty()) {
                return Err("processes of a checker are left at rest".into());
            }
            if !Self::within(END, || holdings::entries(temporary) == 0) {
                return Err(format!("{} temporary files are left at rest", holdings::entries(temporary)));
            }
        }
        let published = self.disk.path().join("published");
        let names = std::fs::read_dir(published).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let generations: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("..sha256")).collect();
        if generations.len() > GENERATIONS {
            return Err(format!("{} generations are published at rest: {generations:?}", generations.len()));
        }
        self.gate_has_not_grown()
    }

    fn gate_has_not_grown(&mut self) -> Result<(), String> {
        if self.gate.updates < WARM {
            return Ok(());
        }
        let pid = self.gate.pid();
        let Some(begin) = self.gate.baseline else {
            self.gate.baseline = Holdings::of(pid);
            self.gate.baseline_descriptors = holdings::descriptors(pid);
            return Ok(());
        };
        let fits = |now: Holdings| {
            let memory = now.resident_kib <= begin.resident_kib + GROWTH_KIB;
            memory && now.threads <= begin.threads + FURTHER && now.descriptors <= begin.descriptors + PROCESS + KEEPER
        };
        // What follows a reload holds descriptors for a moment, and so does the answer to the last request for the status.
        if Self::within(END, || Holdings::of(pid).is_none_or(fits)) {
            return Ok(());
        }
        let (updates, end) = (self.gate.updates, Holdings::of(pid));
        let (before, now) = (&self.gate.baseline_descriptors, holdings::descriptors(pid));
        Err(format!(
            "the gate has grown over {updates} updates: {begin:?}, {end:?}; its descriptors were {before:?} and are {now:?}"
        ))
    }

    /// Takes the holdings of the gate into the figures.
    pub(crate) fn close_life(&mut self) {
        let (begin, end) = (self.gate.baseline, Holdings::of(self.gate.pid()));
        self.figures.events += self.gate.journal().events;
        if let Some((begin, end)) = begin.zip(end) {
            self.figures.add_life(Life { updates: self.gate.updates, begin, end });
        }
    }
}

const fn expected_incident(quality: Quality) -> &'static str {
    match quality {
        Quality::Hanging => "inconclusive",
        _ => "rejected",
    }
}
