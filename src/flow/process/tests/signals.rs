//! Signals to the target, and what it makes of them.

use super::super::*;
use super::{Own, eventually, signal};

#[test]
fn a_signal_does_what_the_process_made_of_it() {
    let traps = "trap : HUP USR1 TERM WINCH; trap '' USR2 QUIT; echo; read wait";
    let handlers = Own::run(&["--default-signal", "sh", "-c", traps]);
    let masks = ["--default-signal", "--ignore-signal=USR1", "--block-signal=HUP", "sh", "-c", "echo; read wait"];
    let masked = Own::run(&masks);
    let plain = Own::run(&["--default-signal", "sh", "-c", "echo; exec sleep 1000"]);
    eventually("it is itself", || proc::comm(plain.identity().pid) == b"sleep");
    use Disposition::{Default, Ignored, Taken};
    // What each of the processes does of a signal.
    let cases = [
        ("HUP", [Taken, Taken, Default]),
        ("QUIT", [Ignored, Default, Default]),
        ("KILL", [Default, Default, Default]),
        ("USR1", [Taken, Ignored, Default]),
        ("USR2", [Ignored, Default, Default]),
        ("TERM", [Taken, Default, Default]),
        ("WINCH", [Taken, Default, Default]),
        ("SYS", [Default, Default, Default]),
    ];
    for (name, expected) in cases {
        let seen = [&handlers, &masked, &plain].map(|own| own.target().disposition(signal(name)));
        assert_eq!(seen, expected.map(Some), "{name}");
    }
}

#[test]
fn a_signal_that_is_blocked_for_a_moment_is_not_taken() {
    // The shell blocks all signals whenever it starts a program.
    let busy = Own::run(&["--default-signal", "sh", "-c", "echo; while :; do true; /bin/true; done"]);
    let target = busy.target();
    let taken = (0..2000).filter(|_| target.disposition(signal("USR1")) == Some(Disposition::Taken)).count();
    assert_eq!(taken, 0);
    let waiting = Own::run(&["--default-signal", "--block-signal", "sh", "-c", "echo; read wait"]);
    assert_eq!(waiting.target().disposition(signal("USR1")), Some(Disposition::Taken));
}

#[test]
fn a_signal_arrives_or_reports_that_the_process_has_ended() {
    let mut own = Own::run(&["--default-signal", "sh", "-c", "trap 'exit 3' HUP; echo; while :; do read wait; done"]);
    let target = own.target();
    target.signal(signal("HUP")).expect("it is ours");
    assert_eq!(own.0.wait().expect("it is ours").code(), Some(3));
    assert_eq!(target.disposition(signal("HUP")), None);
    let ended = TargetError::Missing {
        message: format!("pid {} ended before it could be signalled", target.pid()),
        help: "see its own log for the reason; the gate searches for it again".into(),
    };
    assert_eq!(target.signal(signal("HUP")), Err(ended));
}

#[test]
fn a_refusal_by_the_kernel_names_the_user_and_the_remedy() {
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let target = own.target();
    let (pid, uid) = (target.pid(), rustix::process::geteuid().as_raw());
    let cases = [
        (
            Errno::PERM,
            format!("no permission to send SIGHUP to pid {pid} (uid {uid}) as uid {uid}"),
            "run the gate as the same user, or as root with the capability KILL (kill(2))",
        ),
        (
            Errno::NOSYS,
            format!("cannot send SIGHUP to pid {pid}: Function not implemented (os error 38)"),
            "a seccomp profile that allows pidfd_send_signal(2) is needed",
        ),
    ];
    for (errno, message, help) in cases {
        let expected = TargetError::Refused { pid: Some(pid), message, help: help.into() };
        assert_eq!(target.not_signalled(signal("HUP"), errno), expected);
    }
}
