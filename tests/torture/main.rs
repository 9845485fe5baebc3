//! The torture run: real programs and gates under random updates and faults, watched from outside.
//!
//! `make torture` runs it, and docs/reliability.md describes it. A table of contents; each file is one part.

#![expect(clippy::print_stdout, reason = "the report of the run goes to standard output")]

/// The application, and its supervisor.
mod application;
/// The checker, as a shell script.
mod checker;
/// The client that judges each answer.
mod client;
/// Good and bad contents.
mod content;
/// A file system that can be full.
mod disk;
/// Kills, stops and shortages.
mod faults;
/// Figures.
mod figures;
/// The gate from outside.
mod gate;
/// Resources of processes.
mod holdings;
/// The log of a gate.
mod journal;
/// The size of a run.
mod plan;
#[path = "../support/process.rs"]
mod process;
/// nginx, HAProxy and gunicorn.
mod program;
/// Random numbers.
mod random;
/// The checks at rest.
mod rest;
/// One scenario under one seed.
mod run;
/// The combinations of program, mode and source.
mod scenario;
/// The watched configuration.
mod source;
#[path = "../support/volume.rs"]
mod volume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use figures::Figures;
use plan::Plan;
use random::Random;
use run::{Run, Tools};
use scenario::Scenario;

/// The number of times that a scenario starts anew after a violation.
const ATTEMPTS: usize = 3;

/// The outcome of some scenarios.
#[derive(Default)]
struct Outcome {
    passed: u64,
    failed: u64,
    /// Its program is not installed.
    ignored: u64,
    figures: Figures,
}

fn main() -> ExitCode {
    let plan = match Plan::from_environment() {
        Ok(plan) => plan,
        Err(mistake) => {
            println!("error: {mistake}");
            return ExitCode::from(2);
        }
    };
    let tools = tools(&plan);
    let (started, mut outcome) = (Instant::now(), Outcome::default());
    println!("{} updates under {} seeds: {:?}", plan.updates, plan.seeds.len(), plan.seeds);
    for seed in &plan.seeds {
        all_scenarios(&plan, *seed, &tools).into_iter().for_each(|one| outcome.add(one));
    }
    let Outcome { passed, failed, ignored, figures } = outcome;
    println!("in all, {} s: {figures}", started.elapsed().as_secs());
    // As libtest has it, for `.ci/test`.
    let good = failed == 0 && !(in_ci() && (ignored > 0 || tools.is_incomplete()));
    let result = if good { "ok" } else { "FAILED" };
    println!("test result: {result}. {passed} passed; {failed} failed; {ignored} ignored");
    ExitCode::from(u8::from(!good))
}

/// Nothing may be left out there, as with the tests.
fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Finds the tools of this machine, and names each fault that is left out without one.
fn tools(plan: &Plan) -> Tools {
    let mounts = disk::take_mounts();
    let clock = faketime();
    if let Err(reason) = &mounts {
        println!("left out: full disk: {reason}");
    }
    if clock.is_none() {
        println!("left out: clock jump: libfaketime is not installed");
    }
    Tools { mounts: mounts.is_ok(), clock, without: plan.without.clone() }
}

fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    // The variant for programs with several threads.
    let mut paths = libraries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.is_file())
}

/// Runs all scenarios of the plan side by side.
fn all_scenarios(plan: &Plan, seed: u64, tools: &Tools) -> Vec<Outcome> {
    thread::scope(|scope| {
        let start = |scenario: &&'static Scenario| {
            let scenario = *scenario;
            scope.spawn(move || one_scenario(plan, seed, scenario, tools))
        };
        let running: Vec<_> = plan.scenarios.iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Outcome::failure())).collect()
    })
}

/// Runs one scenario, again after a violation, until it has made its updates.
fn one_scenario(plan: &Plan, seed: u64, scenario: &'static Scenario, tools: &Tools) -> Outcome {
    let program = scenario.program.name();
    if !process::installed(program) {
        println!("left out: {}: {program} is not installed", scenario.name);
        return Outcome { ignored: 1, ..Outcome::default() };
    }
    let mut random = Random::new(seed, scenario.name);
    let mut outcome = Outcome::default();
    for _ in 0..ATTEMPTS {
        let left = plan.share().saturating_sub(outcome.figures.updates);
        let mut run = Run::start(scenario, absolute(&plan.gate), tools, &mut random);
        let result = run.go(left);
        let (story, figures) = (result.is_err().then(|| run.story()), run.figures());
        outcome.figures.add(figures);
        let (Err(violations), Some(story)) = (result, story) else { break };
        outcome.failed = 1;
        let (name, updates, command) = (scenario.name, outcome.figures.updates, plan.command(seed, scenario));
        println!("violation: seed {seed}, {name}, update {updates}: {}\n{story}  {command}", violations.join("; "));
    }
    outcome.passed = 1 - outcome.failed;
    println!("seed {seed}, {}: {}", scenario.name, outcome.figures);
    outcome
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Outcome {
    fn failure() -> Self {
        Self { failed: 1, ..Self::default() }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.figures.add(other.figures);
    }
}
