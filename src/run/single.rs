//! One decision of a gate, and its outcome in words: `run --once` validates, `reload` reloads as well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use reload_gate_contract::{Finding, Verdict};
use tokio::sync::watch as channel;

use super::signals::Signals;
use super::{EventSink, Requests, Runner, staging, startup};
use crate::config::GateConfig;
use crate::exit::Exit;
use crate::flow::reload::ReloadMethod;
use crate::gate::{Gate, Policy};
use crate::report::board::StatusBoard;
use crate::report::{Event, Kind, Level};
use crate::sys::promise;

/// The outcome of a single reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleReload {
    /// The exit code for it.
    pub exit: Exit,
    /// One line for people.
    pub line: String,
}

/// Validates, and publishes, what is there now, reports it and returns the verdict; `None` if there was nothing to validate.
pub async fn once(
    config: &GateConfig,
    sink: &EventSink,
    board: Rc<StatusBoard>,
    warnings: Vec<Finding>,
) -> Option<Verdict> {
    let policy = Policy { once: true, reload: false, permission: false, fallback: false, ..config.policy.clone() };
    let runner = decide(&GateConfig { policy, ..config.clone() }, sink, board, warnings).await;
    match runner.verdict {
        Some((verdict, false)) => Some(verdict),
        Some((_, true)) => None,
        None => Some(Verdict::Inconclusive),
    }
}

/// Validates what is there now, reloads the application even if that is live, and verifies the reload.
pub async fn reload(
    config: &GateConfig,
    sink: &EventSink,
    board: Rc<StatusBoard>,
    warnings: Vec<Finding>,
) -> SingleReload {
    let events = Rc::new(RefCell::new(Vec::new()));
    let (remembered, next) = (events.clone(), sink.clone());
    let remember: EventSink = Rc::new(move |event| {
        remembered.borrow_mut().push(event.clone());
        next(event);
    });
    let policy = Policy { once: true, permission: false, fallback: false, ..config.policy.clone() };
    let runner = decide(&GateConfig { policy, ..config.clone() }, &remember, board, warnings).await;
    let outcome = outcome(config, &events.borrow(), runner.refused);
    SingleReload { line: format!("{}: {}", config.name, outcome.line), ..outcome }
}

async fn decide(config: &GateConfig, sink: &EventSink, board: Rc<StatusBoard>, warnings: Vec<Finding>) -> Runner {
    let next = sink.clone();
    let sink: &EventSink = &(Rc::new(move |event: &Event| next(&without_promises(event.clone()))) as EventSink);
    for event in startup::at_start(config, warnings) {
        sink(&event);
    }
    let gate = staging::resume(config, Gate::new(config.policy.clone(), Instant::now()), sink).await;
    let mut runner = Runner::new(Rc::new(config.clone()), sink.clone(), board);
    // Their default action, which is death, stays off.
    let _signals = Signals::new();
    let (_going_on, stop) = channel::channel(false);
    let (_unasked, rescan) = channel::channel(0);
    runner.drive(gate, Requests { stop, rescan }).await;
    runner
}

/// Returns the event without the helps that only a gate keeps which goes on.
pub fn without_promises(event: Event) -> Event {
    let without = |help: Option<String>| help.as_deref().and_then(promise::without);
    let finding = |finding: Finding| Finding { help: without(finding.help), ..finding };
    Event { help: without(event.help), findings: event.findings.into_iter().map(finding).collect(), ..event }
}

/// Words an outcome by the events of the flow; `refused` if the application did not take the reload.
fn outcome(config: &GateConfig, events: &[Event], refused: bool) -> SingleReload {
    let decides = |event: &&Event| {
        use Kind::{Deferred, Inconclusive, Rejected, Restored, TargetMissing, TargetRefused, Unverified, Verified};
        let kinds = [Rejected, Inconclusive, TargetMissing, TargetRefused, Deferred, Verified, Unverified, Restored];
        kinds.contains(&event.kind)
    };
    let of = |exit, line| SingleReload { exit, line };
    let is_proof =
        |event: &Event| event.kind == Kind::Verified || (event.kind == Kind::Unverified && event.level == Level::Info);
    // What follows a proof is about the last-known-good revision.
    let is_about_proof = |event: &&Event| event.kind == Kind::Inconclusive && events.iter().any(is_proof);
    let Some(last) = events.iter().rev().filter(|event| !is_about_proof(event)).find(decides) else {
        return of(Exit::Inconclusive, "not reloaded: the gate ended without a decision".to_owned());
    };
    let message = last.message.as_deref().unwrap_or_default();
    let requested = events.iter().rev().find(|event| event.kind == Kind::Reloaded);
    match (last.kind, requested) {
        (Kind::Verified, _) => of(Exit::Accepted, format!("reloaded: {message}")),
        (Kind::Rejected, _) => of(Exit::Rejected, format!("rejected, not reloaded: {message}")),
        (Kind::Inconclusive, _) => of(Exit::Inconclusive, format!("not validated, not reloaded: {message}")),
        (Kind::Restored, _) => of(Exit::Rejected, format!("rolled back: {message}")),
        // No verification is configured: the answer of a server or of a command is the only one that comes.
        (Kind::Unverified, Some(reloaded)) if last.level == Level::Info => {
            let request = reloaded.message.as_deref().unwrap_or_default();
            let answered = matches!(config.reload, ReloadMethod::Url(_) | ReloadMethod::Command(_));
            match config.waives_proof || answered {
                true => of(Exit::Accepted, format!("reloaded: {request}")),
                false => of(
                    Exit::Inconclusive,
                    format!(
                        "reloaded without a proof: {request}; add `--verify-url` or `--verify-command`, or accept that with \
                         `--verify none`"
                    ),
                ),
            }
        }
        (Kind::Unverified, Some(_)) if !refused => of(Exit::Inconclusive, format!("reload not proven: {message}")),
        _ => of(Exit::Rejected, format!("not reloaded: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, UserInput};

    fn config() -> GateConfig {
        let setting = |name: &str| config::SETTINGS.iter().find(|setting| setting.name == name).expect("it is one");
        let flags = [("watch", "/a"), ("process", "app"), ("signal", "HUP")];
        let flags = flags.map(|(name, value)| (setting(name), value.to_owned())).into();
        let read = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let input = UserInput {
            flags,
            variables: Vec::new(),
            read: &read,
            is_directory: &|_| false,
            directory: "/".into(),
            terminal: false,
        };
        config::load(&input).expect("it is right").gates.remove(0)
    }

    fn event(kind: Kind, message: &str) -> Event {
        Event::new(kind).message(message)
    }

    #[test]
    fn an_outcome_is_the_last_decision() {
        let sent = event(Kind::Reloaded, "sent SIGHUP to pid 7");
        let slow = event(Kind::Unverified, "pid 7 started no new worker within 30s");
        let unasked = Event { level: Level::Info, ..event(Kind::Unverified, "no verification is configured") };
        let cases = [
            (vec![sent.clone(), event(Kind::Verified, "pid 9 is new")], false, 0, "reloaded: pid 9 is new"),
            (vec![event(Kind::Rejected, "a: no")], false, 1, "rejected, not reloaded: a: no"),
            (vec![event(Kind::Inconclusive, "no checker")], false, 3, "not validated, not reloaded: no checker"),
            (vec![event(Kind::TargetMissing, "no process")], false, 1, "not reloaded: no process"),
            (vec![sent.clone(), slow.clone()], false, 3, "reload not proven: pid 7 started no new worker within 30s"),
            (vec![sent.clone(), slow], true, 1, "not reloaded: pid 7 started no new worker within 30s"),
            (vec![event(Kind::Unverified, "POST answered 500")], false, 1, "not reloaded: POST answered 500"),
            (
                vec![
                    sent.clone(),
                    event(Kind::Verified, "pid 9 is new"),
                    event(Kind::Inconclusive, "it is live, and is not kept"),
                ],
                false,
                0,
                "reloaded: pid 9 is new",
            ),
            (vec![], false, 3, "not reloaded: the gate ended without a decision"),
        ];
        for (events, refused, code, line) in cases {
            let outcome = outcome(&config(), &events, refused);
            assert_eq!((outcome.exit as u8, outcome.line.as_str()), (code, line));
        }
        let without = outcome(&config(), &[sent.clone(), unasked.clone()], false);
        assert_eq!(without.exit, Exit::Inconclusive, "{}", without.line);
        let waived = outcome(&GateConfig { waives_proof: true, ..config() }, &[sent, unasked], false);
        assert_eq!((waived.exit, waived.line.as_str()), (Exit::Accepted, "reloaded: sent SIGHUP to pid 7"));
    }
}
