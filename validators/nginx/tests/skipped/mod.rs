//! Tests that need an nginx, on machines without one.

use std::io::Write as _;

/// Reports that a test does not run, or only in part; in CI that is a failure. Past the capture of `eprintln!`, so that it is
/// seen although the test passes; `.ci/test` lists these lines at the end.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("(thread)");
    writeln!(std::io::stderr(), "skipped: {test}: {why}").expect("standard error is open");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "nothing may be skipped in CI: {why}");
}
