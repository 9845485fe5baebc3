//! The identity of a process, and its relatives.

use std::path::Path;
use std::time::Instant;

use super::super::*;
use super::{Own, eventually};

#[test]
fn a_number_that_is_another_process_now_is_not_taken_for_it() {
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let identity = own.identity();
    let other = Identity { start: identity.start - 1, ..identity };
    assert!(matches!(Target::open(other), Err(TargetError::Missing { message, .. }) if message.contains("ended")));
    let none = Identity { pid: 0, start: 0 };
    assert!(matches!(Target::open(none), Err(TargetError::Missing { .. })));
}

#[test]
fn a_process_that_started_after_a_moment_is_known_as_such() {
    let before = Instant::now();
    // The start time is cut to a tick of ten milliseconds.
    eventually("the tick is over", || before.elapsed() > Duration::from_millis(40));
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let target = own.target();
    assert!(target.started_after(before).is_some());
    assert_eq!(target.started_after(Instant::now()), None, "it has not read what came after its start");
    let start = own.identity().started_at().expect("the clocks are set");
    assert!(start > before && start < Instant::now());
}

#[test]
fn the_start_of_a_mere_fork_proves_nothing() {
    let before = Instant::now();
    eventually("the tick is over", || before.elapsed() > Duration::from_millis(40));
    // As nginx does by default: what stays is a fork of the process that has read the configuration.
    let own = Own::run(&["sh", "-c", "(while :; do sleep 1000; done) & echo; wait"]);
    eventually("it has forked", || !own.target().children().is_empty());
    let fork = *own.target().children().first().expect("there is one");
    let target = Target::open(fork).expect("it is alive");
    assert!(fork.started_at().is_some_and(|start| start > before));
    assert_eq!(target.started_after(before), None);
}

#[test]
fn the_children_are_those_that_live() {
    let own = Own::run(&["sh", "-c", "sleep 1000 & echo; sleep 1000; wait"]);
    eventually("both are there", || own.target().children().len() == 2);
    let child = *own.target().children().first().expect("there are two");
    let pid = Pid::from_raw(child.pid).expect("it is one");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
    eventually("one is left", || own.target().children().len() == 1);
    assert!(!child.is_alive());
    for child in own.target().children() {
        let pid = Pid::from_raw(child.pid).expect("it is one");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
    }
}

#[test]
fn an_executable_is_named_where_it_can_be_seen() {
    assert!(proc::exe(i32::MAX).is_none() && proc::cmdline(i32::MAX).is_empty());
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let exe = proc::exe(own.identity().pid).expect("it is ours");
    assert_eq!(exe, Path::new("/bin/sh").canonicalize().expect("it is installed"));
}
