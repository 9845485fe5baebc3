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

#[cfg(test)]
mod tests {
    use super::*;

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
