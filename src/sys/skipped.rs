//! Reports of unit tests that cannot run here. IO: writes to standard error. For tests only.

use std::io::Write as _;

/// Reports that the running test does not run, or only in part; in CI that is a failure. The line passes the capture of `eprintln!`, so
/// that `.ci/test` lists it although the test passes.
#[track_caller]
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("(thread)");
    writeln!(std::io::stderr(), "skipped: {test}: {why}").expect("standard error is open");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "nothing may be skipped in CI: {why}");
}
