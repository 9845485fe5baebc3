//! reload-gate stands between a changing configuration and a running program, and lets a change through only when it is
//! new, valid, delivered and proven to have taken effect.
//!
//! The stages stand in the order in which a change flows through them. [`gate`] decides, [`run`] performs; everything else
//! serves one of them. `ARCHITECTURE.md` has the map and the walls.

// What the user says.
pub mod cli;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod install;
pub mod manual;
pub mod status;
pub mod supervise;

// The flow.
pub mod watch;

pub mod settle;

pub mod snapshot;
pub mod tree;

pub mod validate;

pub mod publish;

pub mod reload;
pub mod target;

pub mod verify;

pub mod redact;

pub mod report;

pub mod alert;
pub mod deliver;
pub mod kubernetes;

// The same judgement where nothing runs.
pub mod check;
pub mod manifest;
pub mod render;

// The mind and the hands.
pub mod gate;
pub mod run;

// The doors to the system.
pub mod exec;
pub mod http;
pub mod proc;
pub mod serve;
