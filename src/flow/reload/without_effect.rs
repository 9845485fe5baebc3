//! Programs and signals that do not make a program read its configuration. Pure.

use crate::flow::process::Signal;

/// A signal after which a program goes on with the configuration that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithoutEffect {
    /// The reason.
    pub message: &'static str,
    /// The remedy.
    pub help: &'static str,
}

/// The reason why `signal` does not make the program `process` read its configuration, if that is known.
#[must_use]
pub fn without_effect(process: &str, signal: Signal) -> Option<WithoutEffect> {
    let (message, help) = match (process, signal.name()) {
        // "Controlling nginx" in nginx's documentation.
        ("nginx", "SIGUSR1") => ("nginx only opens its logs again on SIGUSR1", "use `--signal HUP`"),
        ("nginx", "SIGUSR2" | "SIGWINCH") => {
            ("nginx reads its configuration on no other signal than SIGHUP", "use `--signal HUP`")
        }
        // "SIGHUP" is ignored by `setupSignalHandlers()` in redis's src/server.c.
        ("redis-server" | "redis", _) => (
            "redis reads its configuration only at its start",
            "restart it, or use `--reload-command` with `redis-cli CONFIG SET`",
        ),
        // dnsmasq(8), "NOTES".
        ("dnsmasq", "SIGHUP") => ("dnsmasq reads its hosts files on SIGHUP, and not its configuration", "restart it"),
        _ => return None,
    };
    Some(WithoutEffect { message, help })
}

/// The remedy where a running `process` does not take `signal` because of the way in which it was started, if that is known.
pub(super) fn not_taken(process: &str, signal: Signal) -> Option<&'static str> {
    // "-W" in haproxy(1): only the master of the master-worker mode has a handler for SIGUSR2.
    (process == "haproxy" && signal.name() == "SIGUSR2").then_some(
        "haproxy reloads on SIGUSR2 only in master-worker mode: start it with `-W` (`-Ws` under systemd), or add \
         `master-worker` to its section `global`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_master_of_haproxy_takes_its_signal() {
        for (process, signal, expected) in
            [("haproxy", "USR2", true), ("haproxy", "HUP", false), ("nginx", "USR2", false)]
        {
            let signal: Signal = signal.parse().expect("it is one");
            assert_eq!(not_taken(process, signal).is_some(), expected, "{process} {signal}");
        }
    }

    #[test]
    fn only_known_pairs_are_without_effect() {
        for (process, signal, expected) in [
            ("nginx", "HUP", false),
            ("nginx", "USR1", true),
            ("nginx", "QUIT", false),
            ("redis-server", "HUP", true),
            ("dnsmasq", "HUP", true),
            ("gunicorn", "HUP", false),
        ] {
            let signal: Signal = signal.parse().expect("it is one");
            assert_eq!(without_effect(process, signal).is_some(), expected, "{process} {signal}");
        }
    }
}
