//! Clauses of a help about the next steps of a running gate. A gate that decides once takes none of them. Pure.

/// The gate waits for what is missing.
pub const WAITS: &str = "the gate waits for it";
/// The gate searches for a process that ended.
pub const SEARCHES: &str = "the gate searches for it again";
/// The gate requests the reload again.
pub const TRIES: &str = "the gate tries again";
/// The gate delivers an alert again.
pub const DELIVERS: &str = "the gate continues, and tries again with backoff from 1 s to 60 s";
/// The gate reads a file of a sink again.
pub const READS: &str = "the gate reads it again for each alert, and delivers no alert to this sink until then";
/// The gate reads the sources when their file system answers.
pub const GOES_ON: &str = "the gate goes on with them when it does";
/// The gate requests a deferred reload.
pub const FOLLOWS: &str = "the reload follows when they have ended, or after 10 min";
/// The gate publishes a revision again that was rolled back.
pub const PUBLISHES: &str =
    "it is tried again after 30 s and once more after 10 min, and when it or the process changes";
/// The gate publishes a revision again that was rolled back, and by which the application served nothing.
pub const WAITS_FOR_CHANGE: &str = "it is tried again when it changes, or when a user asks for it (SIGHUP to the gate)";
/// The group of a gate refuses a revision that was rolled back.
pub const REFUSES: &str =
    "its group refuses it, until the configuration changes or a person lets the group try it again";

const ALL: [&str; 10] =
    [WAITS, SEARCHES, TRIES, DELIVERS, READS, GOES_ON, FOLLOWS, PUBLISHES, WAITS_FOR_CHANGE, REFUSES];

/// Returns a help without these clauses; `None` if nothing else is in it.
#[must_use]
pub fn without(help: &str) -> Option<String> {
    let mut rest = help.to_owned();
    for promise in ALL {
        rest = rest.replace(&format!("; {promise}"), "").replace(&format!("{promise}; "), "");
        if rest == promise {
            return None;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_keeps_what_a_person_can_do() {
        for (help, expected) in [
            (
                "start it; the gate waits for it; in a pod, share the processes",
                Some("start it; in a pod, share the processes"),
            ),
            ("the gate waits for it; in a pod, share the processes", Some("in a pod, share the processes")),
            ("see its own log; the gate tries again", Some("see its own log")),
            ("the gate searches for it again", None),
            ("raise the limit", Some("raise the limit")),
        ] {
            assert_eq!(without(help).as_deref(), expected, "{help}");
        }
    }
}
