//! What the tests need: volumes, the gate, real programs.

mod api_server;
mod authority;
mod containers;
mod gate;
mod http;
mod listening;
mod process;
mod programs;
mod receiver;
mod volume;
mod webhook;

pub(crate) use api_server::ApiServer;
pub(crate) use authority::{authority, authority_for, tls_server};
pub(crate) use containers::{
    Container, DEFAULT_CAPABILITIES, NOBODY_IMAGE, Privileges, ROOT_IMAGE, application_image, gate_container, mount,
    needs_containers, no_containers, podman, podman_says, programs, without_containers,
};
pub(crate) use gate::{Gate, gate_command};
pub(crate) use http::{Answer, ask, sample};
pub(crate) use listening::Listening;
pub(crate) use process::{Background, command, copy, free_port, install, installed, unique};
pub(crate) use programs::{Cage, Gunicorn, Haproxy, Nginx, get, python, script, served};
pub(crate) use receiver::{Health, Receiver, Told};
pub(crate) use volume::{Kubelet, Volume};
pub(crate) use webhook::{Channel, PROMPT, Webhook, receive, send_over};

use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen; far more than it does, so that a slow machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `what` is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Shows what a program said in a test that fails.
pub(crate) fn show(text: &str) {
    eprintln!("{text}");
}

/// Reports that a test cannot run here; in CI that is a failure.
#[track_caller]
pub(crate) fn skip(why: &str) {
    report_skipped(why);
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "nothing may be skipped in CI: {why}");
}

/// Reports that a test does not run, or only in part. Past the capture of `eprintln!`, so that it is seen although the test
/// passes; `.ci/test` lists these lines at the end.
pub(crate) fn report_skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("(thread)");
    writeln!(std::io::stderr(), "skipped: {test}: {why}").expect("standard error is open");
}

/// Ends a test here if a program that it needs is not installed.
macro_rules! needs {
    ($($program:literal),+) => {
        $(if !crate::support::installed($program) {
            return crate::support::skip(concat!($program, " is not installed"));
        })+
    };
}
pub(crate) use needs;
