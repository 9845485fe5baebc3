//! reload-gate is a gate between a changing configuration and a running program. It lets a change through only when the
//! change is new, valid, delivered, and verified to have taken effect.
//!
//! The folders read from the command line down to the system. [`gate`] decides, [`run`] performs; everything else
//! serves one of them. `ARCHITECTURE.md` has the map and the walls.

#![allow(unreachable_pub, reason = "the modules are private to the crate, so `pub` in them means `pub(crate)`")]

// Commands, settings, exit codes.
pub mod cli;
pub(crate) mod config;
pub(crate) mod doctor;
pub mod exit;

// One gate: the state machine, the loop, and the stages.
pub(crate) mod cluster;
pub(crate) mod flow;
pub(crate) mod gate;
pub(crate) mod run;

// Output.
pub(crate) mod notify;
pub(crate) mod redact;
pub(crate) mod report;

// The same validation where nothing runs: in CI, and at the door of a cluster.
pub(crate) mod admit;
pub(crate) mod check;
pub(crate) mod inject;

// The doors to the system.
pub(crate) mod sys;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

// The fuzzer uses this.
#[doc(hidden)]
pub use admit::response as admission_response;
// The program's `main` uses this.
pub use sys::panics::end_process_at_panics;
// The bench and the tests of the documentation use these.
pub use config::{ADMISSION_SETTINGS, Preset, SETTINGS, SettingSpec, Takes, presets};
pub use flow::process::Selector;
pub use flow::snapshot::{ReadOptions, Scanner, Source, scan};
pub use report::log::{Log, LogFormat, filter as log_filter};
