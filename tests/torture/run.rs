//! The run of one scenario under one seed: random steps, and the checks after each.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::application::{self, Application};
use crate::checker;
use crate::content::{Content, Quality};
use crate::disk::Disk;
use crate::faults::Fault;
use crate::figures::Figures;
use crate::gate::{Gate, Launch, shift_clock};
use crate::holdings;
use crate::process::{free_port, unique};
use crate::program::{Place, Program};
use crate::random::Random;
use crate::scenario::Scenario;
use crate::source::Source;

/// The number of steps that a violation shows.
const STEPS: usize = 15;
/// The number of good contents to which an update may return.
const EARLIER: usize = 5;
/// The updates of one step, at most.
const BURST: u64 = 24;

/// The tools of this machine that some faults need.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tools {
    /// Small file systems can be mounted.
    pub(crate) mounts: bool,
    /// libfaketime.
    pub(crate) clock: Option<PathBuf>,
    /// The faults and the qualities of contents to leave out, by name.
    pub(crate) without: Vec<String>,
}

impl Tools {
    pub(crate) const fn is_incomplete(&self) -> bool {
        !self.mounts || self.clock.is_none()
    }

    /// Returns true unless this fault, or this quality of a content, is left out.
    pub(crate) fn allow(&self, name: &str) -> bool {
        self.without.iter().all(|other| other != name)
    }
}

/// A gate, its source and its application, under random updates and faults.
pub(crate) struct Run<'a> {
    pub(crate) scenario: &'static Scenario,
    pub(crate) tools: &'a Tools,
    pub(crate) random: &'a mut Random,
    pub(crate) source: Source,
    pub(crate) application: Application,
    pub(crate) launch: Launch,
    pub(crate) gate: Gate,
    pub(crate) disk: Disk,
    pub(crate) newest: Content,
    pub(crate) figures: Figures,
    /// The number of the content that was written last.
    number: u64,
    earlier: VecDeque<Content>,
    steps: VecDeque<String>,
    /// The argument of `sleep` in the checker.
    pub(crate) sleep: String,
    /// Removed last.
    _directory: TempDir,
}

impl<'a> Run<'a> {
    /// Starts gate and application with a first good content.
    pub(crate) fn start(
        scenario: &'static Scenario,
        binary: PathBuf,
        tools: &'a Tools,
        random: &'a mut Random,
    ) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path();
        let (name, port, listen) = (unique("tort"), free_port(), free_port());
        let place = Place { directory: here.to_owned(), port };
        let program = scenario.program;
        let newest = Content::new(program, &place, 1, Quality::Good);
        let source = Source::new(here.join("source"), scenario.kubelet, &newest);
        let disk = Disk::new(here.join("disk"), tools.mounts);
        let published = disk.directory("published");
        let installed = program.install(here, &name);
        let main =
            if scenario.publish { published.join(program.main_file()) } else { source.file(program.main_file()) };
        let sleep = format!("{}.{}", 100_000 + std::process::id(), port);
        let check = program.check(&installed, &place);
        let checker = checker::write(here, &check, &source.file(program.main_file()), &sleep);
        let clock = tools.clock.clone().map(|library| (library, here.join("clock")));
        clock.iter().for_each(|(_, shift)| shift_clock(shift, 0));
        let mut arguments = arguments(program, &name, &source, listen);
        if scenario.publish {
            arguments.extend(["--publish".into(), published.display().to_string()]);
        }
        arguments.extend(validation(scenario, &checker));
        let temporary = disk.directory("temporary");
        let launch = Launch { binary, arguments, port: listen, temporary, clock };
        // Only a kubelet's volume, copied by the gate, is never a mixture of two contents.
        let whole = scenario.publish && scenario.kubelet.is_some();
        let application = Application::new(program, place, installed, main, whole);
        let gate = launch.start();
        Self {
            scenario,
            tools,
            random,
            source,
            application,
            launch,
            gate,
            disk,
            earlier: VecDeque::from([newest.clone()]),
            newest,
            figures: Figures::default(),
            number: 1,
            steps: VecDeque::new(),
            sleep,
            _directory: directory,
        }
    }

    /// Makes this number of updates.
    ///
    /// # Errors
    /// The violations, as soon as there are any.
    pub(crate) fn go(&mut self, updates: u64) -> Result<(), Vec<String>> {
        self.note("start".into());
        self.rest()?;
        while self.figures.updates < updates {
            match self.random.below(10) {
                0..7 => self.burst(),
                _ => self.fault(),
            }?;
            self.rest()?;
        }
        Ok(())
    }

    /// Notes a step, for the report of a violation.
    pub(crate) fn note(&mut self, step: String) {
        self.steps.push_back(step);
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
    }

    /// Makes some updates, with short pauses between them.
    fn burst(&mut self) -> Result<(), Vec<String>> {
        let count = 1 + self.random.below(BURST);
        let pause = self.random.below(40);
        self.note(format!("{count} updates, {pause} ms apart"));
        for _ in 0..count {
            self.update()?;
            thread::sleep(Duration::from_millis(pause));
        }
        Ok(())
    }

    /// Makes one update while nothing else happens.
    fn update(&mut self) -> Result<(), Vec<String>> {
        let quality = self.quality();
        if self.is_read_by_the_program(quality) {
            // The program itself would read it after a signal that was sent for the content before.
            self.rest()?;
        }
        self.write(quality);
        Ok(())
    }

    /// Makes updates during a fault.
    pub(crate) fn updates_meanwhile(&mut self, most: u64) {
        for _ in 0..self.random.below(most + 1) {
            let quality = self.quality();
            let quality = if self.is_read_by_the_program(quality) { Quality::Good } else { quality };
            self.write(quality);
            thread::sleep(Duration::from_millis(self.random.below(30)));
        }
    }

    fn quality(&mut self) -> Quality {
        let plain = [(65, Quality::Good), (25, Quality::Broken)];
        let checked = [(10, Quality::Forbidden), (1, Quality::Hanging), (4, Quality::Forking), (5, Quality::Touching)];
        let checked =
            checked.into_iter().filter(|(_, quality)| self.scenario.checker && self.tools.allow(quality.word()));
        let choices: Vec<_> = plain.into_iter().chain(checked).collect();
        self.random.weighted(&choices)
    }

    /// Returns true if the program, which reads the source itself, would suffer from this content at a wrong moment.
    fn is_read_by_the_program(&self, quality: Quality) -> bool {
        let dies = quality == Quality::Broken && self.scenario.program.dies_of_a_bad_reload();
        !self.scenario.publish && (quality.is_bad_and_loads() || dies)
    }

    /// Writes a content of this quality: a new one, an earlier one, the same again, or one in halves.
    fn write(&mut self, quality: Quality) {
        let good = quality == Quality::Good;
        let (content, how) = match self.random.below(10) {
            0 if good => (self.newest.clone(), "again"),
            1 if good => (self.earlier[self.random.index(self.earlier.len())].clone(), "back"),
            2 if self.source.is_plain() => (self.next(quality), "half"),
            _ => (self.next(quality), "new"),
        };
        if how == "half" {
            let longest = if self.random.one_in(10) { 400 } else { 40 };
            let pause = Duration::from_millis(self.random.below(longest));
            let body = content.answer.split('/').next().unwrap_or_default();
            self.source.write_in_halves(&content, body, pause);
        } else {
            self.source.write(&content);
        }
        let step = format!(" {}:{}:{how}", content.answer, content.quality.word());
        if let Some(last) = self.steps.back_mut() {
            last.push_str(&step);
        }
        if content.quality.is_good() && how != "back" {
            self.earlier.push_back(content.clone());
            self.earlier.drain(..self.earlier.len().saturating_sub(EARLIER));
        }
        self.newest = content;
        self.figures.updates += 1;
        self.gate.updates += 1;
    }

    fn next(&mut self, quality: Quality) -> Content {
        self.number += 1;
        Content::new(self.scenario.program, &self.application.place, self.number, quality)
    }

    fn fault(&mut self) -> Result<(), Vec<String>> {
        let fault = Fault::random(self);
        self.note(format!("{fault:?}:"));
        *self.figures.faults.entry(fault.name()).or_default() += 1;
        fault.apply(self).map_err(|violation| vec![violation])
    }

    /// The last steps, the last lines of the log, and the state of the gate.
    pub(crate) fn story(&self) -> String {
        let steps: String = self.steps.iter().map(|step| format!("    {step}\n")).collect();
        let status = self.gate.status().map_or_else(|| "none".into(), |status| status.to_string());
        let status: String = status.chars().take(1500).collect();
        let (log, arguments) = (self.gate.journal().tail(), self.launch.arguments.join(" "));
        format!("  last steps:\n{steps}  reload-gate {arguments}\n  last events:\n{log}  status: {status}\n")
    }

    /// The figures so far, with those of the client.
    pub(crate) fn figures(&mut self) -> Figures {
        use std::sync::atomic::Ordering::Relaxed;
        self.close_life();
        let mut figures = std::mem::take(&mut self.figures);
        let record = self.application.record();
        figures.requests = record.requests.load(Relaxed);
        figures.longest_gap_ms = record.longest_gap.load(Relaxed);
        figures
    }

    /// Waits for an instant at most; returns true if `is_so` then.
    pub(crate) fn within(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !is_so() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.gate.kill();
        // After a violation, processes of a checker may be left.
        for pid in holdings::running_with(&self.sleep).into_iter().filter_map(application::pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The arguments of every scenario.
fn arguments(program: Program, name: &str, source: &Source, listen: u16) -> Vec<String> {
    let (watch, listen) = (source.path().display().to_string(), format!("127.0.0.1:{listen}"));
    let common = ["run", "--app", program.name(), "--process", name, "--watch", &watch, "--listen", &listen];
    let times = ["--timeout", "4s", "--verify-timeout", "5s", "--poll", "10s", "--log-format", "json"];
    common.into_iter().chain(times).map(str::to_owned).collect()
}

/// The arguments for the validation; none where the preset validates.
fn validation(scenario: &Scenario, checker: &Path) -> Vec<String> {
    match (scenario.checker, scenario.publish && scenario.program == Program::Nginx) {
        (true, _) => {
            ["--validate", &format!("{} {{config}}", checker.display()), "--root", "local"].map(str::to_owned).to_vec()
        }
        (false, true) => ["--builtin", "nginx"].map(str::to_owned).to_vec(),
        (false, false) => Vec::new(),
    }
}
