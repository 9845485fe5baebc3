//! Searches ahead of a change.

use std::time::Instant;

use super::super::*;
use super::{Program, eventually, signal};

/// Runs a future on an event loop of its own.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts").block_on(future)
}

/// Lets time pass that what is known depends on.
fn let_pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
}

#[test]
fn a_target_that_is_known_is_found_without_a_search() {
    let program = Program::sleep("knw");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    let due = searches.confirmation().expect("once is not enough");
    let_pass(due.saturating_duration_since(Instant::now()));
    searches.confirm();
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    // Another process of the same name is seen, however well the first is known.
    let second = program.start(&["1000.6"], 1);
    let_pass(Duration::from_millis(150));
    let refused = block_on(searches.find()).expect_err("there are two");
    assert!(
        matches!(&refused, TargetError::Refused { message, .. } if message.starts_with("2 families")),
        "{refused:?}"
    );
    drop(second);
    eventually("only the first is left", || block_on(searches.find()).is_ok_and(|target| target.pid() == orphan.0));
    // It ends: what is known is that very process, and nothing that has its number.
    let known = block_on(searches.find()).expect("it runs");
    drop(orphan);
    eventually("it is gone", || !known.identity().is_alive());
    assert_eq!(known.disposition(signal("HUP")), None);
    assert!(matches!(block_on(searches.living()), Err(TargetError::Missing { .. })));
}

#[test]
fn a_process_that_is_found_again_keeps_its_handles() {
    let program = Program::sleep("shr");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    let first = block_on(searches.search()).expect("it runs");
    let second = block_on(searches.search()).expect("it runs");
    assert_eq!(first.pid(), orphan.0);
    assert!(Arc::ptr_eq(&first.0, &second.0), "one descriptor is enough for one process");
}

#[test]
fn a_search_that_was_begun_in_time_is_not_made_again() {
    let program = Program::sleep("bgn");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    searches.expect();
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    searches.forget();
    assert_eq!(searches.confirmation(), None);
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    // Nothing is sought that has no criteria.
    let nothing = TargetSearches::new(Selector::default());
    nothing.expect();
    assert_eq!(nothing.confirmation(), None);
}
