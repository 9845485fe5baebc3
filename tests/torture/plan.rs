//! The size of a run, from the environment.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::scenario::{SCENARIOS, Scenario};

/// The number of updates by default: one to two minutes.
const UPDATES: u64 = 1_000;

/// One run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The updates of all seeds and scenarios together.
    pub(crate) updates: u64,
    pub(crate) seeds: Vec<u64>,
    pub(crate) scenarios: Vec<&'static Scenario>,
    /// The faults and the qualities of contents to leave out, by name.
    pub(crate) without: Vec<String>,
    /// The binary under test.
    pub(crate) gate: PathBuf,
}

impl Plan {
    /// Reads `UPDATES`, `SEEDS`, `SEED`, `SCENARIO`, `WITHOUT` and `GATE`.
    ///
    /// # Errors
    /// When a value cannot be used.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let updates = number("UPDATES")?.unwrap_or(UPDATES);
        let count = number("SEEDS")?.unwrap_or(1).max(1);
        let first = number("SEED")?.unwrap_or_else(seed_of_now);
        let seeds = (0..count).map(|offset| first.wrapping_add(offset)).collect();
        let scenarios = match text("SCENARIO") {
            Some(wanted) => named(&wanted)?,
            None => SCENARIOS.iter().collect(),
        };
        let gate = text("GATE").map_or_else(|| env!("CARGO_BIN_EXE_reload-gate").into(), PathBuf::from);
        let without = text("WITHOUT").map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
        Ok(Self { updates, seeds, scenarios, without, gate })
    }

    /// The updates of one scenario under one seed, also where `SCENARIO` selects some.
    pub(crate) fn share(&self) -> u64 {
        (self.updates / (self.seeds.len() * SCENARIOS.len()) as u64).max(1)
    }

    /// The command that repeats one scenario under one seed.
    pub(crate) fn command(&self, seed: u64, scenario: &Scenario) -> String {
        let updates = self.share() * SCENARIOS.len() as u64;
        let without = match self.without.join(",") {
            names if names.is_empty() => names,
            names => format!(" WITHOUT='{names}'"),
        };
        format!("make torture SEED={seed} UPDATES={updates} SCENARIO={}{without}", scenario.name)
    }
}

fn text(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

fn number(variable: &str) -> Result<Option<u64>, String> {
    let parse = |value: String| value.parse().map_err(|_| format!("{variable}={value}: not a number"));
    text(variable).map(parse).transpose()
}

/// Small, so that it is easy to copy.
fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64 % 1_000_000_000
}

fn named(wanted: &str) -> Result<Vec<&'static Scenario>, String> {
    let found = |name: &str| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let unknown = format!("SCENARIO={name}: the scenarios are {}", names.join(", "));
        SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or(unknown)
    };
    wanted.split(',').map(found).collect()
}
