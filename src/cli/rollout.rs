//! The command `rollout`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use super::{print, say};

use crate::cluster::lease;
use crate::cluster::rollout::{GroupState, Phase, Rejection, SharedState, WriteFailure};
use crate::config;
use crate::exit::Exit;
use crate::flow::tree::Digest;
use crate::sys;
use crate::sys::kubernetes::{ApiAccess, Connection, RequestError};

/// The number of tries where pods write at the same time.
const TRIES: u32 = 10;

/// A reason to fail, with its remedy.
struct Failure {
    message: String,
    help: Option<String>,
    exit: Exit,
}

/// Revision that a person waits for.
#[derive(Default)]
struct Awaited {
    /// The newest revision has this digest, or begins with it.
    digest: Option<String>,
    /// The newest revision is another one than this; of an empty text, the first one.
    after: Option<String>,
}

impl Awaited {
    /// Returns `true` if `newest` is the revision that is waited for.
    fn is(&self, newest: Option<Digest>) -> bool {
        let newest = newest.map(|digest| digest.to_string());
        let is_it = |prefix: &String| newest.as_ref().is_some_and(|newest| newest.starts_with(prefix));
        let is_another = |prefix: &String| newest.is_some() && (prefix.is_empty() || !is_it(prefix));
        self.digest.as_ref().is_none_or(is_it) && self.after.as_ref().is_none_or(is_another)
    }
}

/// The group and its place.
struct Group<'a> {
    name: &'a str,
    access: ApiAccess,
    connection: Connection,
}

pub(super) fn command() -> Command {
    let group = || {
        let help = "Name of the group, as in `--rollout`";
        Arg::new("group").value_name("GROUP").required(true).value_parser(config::group_name).help(help)
    };
    let namespace = || {
        let help = "Namespace of its Lease [default: that of the pod or of the kubeconfig]";
        Arg::new("namespace").short('n').long("namespace").value_name("NAME").help(help)
    };
    let kubeconfig = || {
        let help = "Kubeconfig [default: $KUBECONFIG, or the service account of the pod; not ~/.kube/config]";
        Arg::new("kubeconfig")
            .long("kubeconfig")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
    };
    let digest = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("DIGEST").help(help);
    let action = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).args([group(), namespace(), kubeconfig()])
    };
    Command::new("rollout")
        .about("Show or control the roll-out of a group of pods")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            action(
                "status",
                "Print what the pods have asked for or rejected; exits with 1 if a revision is refused or rejected, with 3 if it is under way",
            )
            .args([
                digest("digest", "Exit with 3 until the newest revision is this one; its first characters are enough")
                    .value_parser(parse_digest),
                digest("after", "Exit with 3 until the newest revision is another one than this; an empty one: until there is one")
                    .value_parser(|text: &str| if text.is_empty() { Ok(String::new()) } else { parse_digest(text) }),
            ]),
            action("pause", "Let no further pod reload"),
            action("resume", "Let pods reload again"),
            action("retry", "Let the pods try a refused revision again, one of them first"),
        ])
}

fn parse_digest(text: &str) -> Result<String, String> {
    let is_one = (6..=64).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_one.then(|| text.to_owned()).ok_or_else(|| "write 6 to 64 hexadecimal digits in lower case".to_owned())
}

pub(super) fn rollout(matches: &ArgMatches) -> Exit {
    let Some((action, matches)) = matches.subcommand() else { return Exit::Usage };
    let name = matches.get_one::<String>("group").cloned().unwrap_or_default();
    let variables: Vec<_> = std::env::vars_os().collect();
    let mut access = config::api_access(&variables);
    access.kubeconfig = matches.get_one::<PathBuf>("kubeconfig").cloned().or(access.kubeconfig);
    access.namespace = matches.get_one::<String>("namespace").cloned().or(access.namespace);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime.and_then(|runtime| sys::worker::start().map(|()| runtime)) {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: cannot start: {error}"));
            return Exit::Inconclusive;
        }
    };
    let group = Group { name: &name, connection: Connection::new(access.clone()), access };
    let done = runtime.block_on(async {
        match action {
            "status" => {
                let digest = |name: &str| matches.get_one::<String>(name).cloned();
                group.status(&Awaited { digest: digest("digest"), after: digest("after") }).await
            }
            "pause" => group.change(true, |state| !std::mem::replace(&mut state.paused, true)).await,
            "resume" => group.change(false, |state| std::mem::replace(&mut state.paused, false)).await,
            _ => group.change(false, GroupState::retry).await,
        }
    });
    match done {
        Ok((text, exit)) => {
            print(&text);
            exit
        }
        Err(Failure { message, help, exit }) => {
            say(&format!("error: {message}"));
            help.iter().for_each(|help| say(&format!("help: {help}")));
            exit
        }
    }
}

impl Group<'_> {
    async fn status(&self, awaited: &Awaited) -> Result<(String, Exit), Failure> {
        let read = lease::fetch_lease(&self.connection, self.name).await;
        let Some(lease) = read.map_err(|error| self.unasked(&error))? else {
            let missing = self.missing().await;
            let is_awaited = awaited.after.as_deref() == Some("");
            return Err(if is_awaited { Failure { exit: Exit::Inconclusive, ..missing } } else { missing });
        };
        let state = lease::read(&lease).state;
        let written = lease::written(&lease).map(humantime::format_rfc3339_seconds);
        let written = written.map_or_else(String::new, |time| format!("    last written at {time}\n"));
        Ok((text(self.name, &state) + &written, exit(&state, awaited)))
    }

    async fn fetch(&self) -> Result<Option<SharedState>, Failure> {
        lease::fetch(&self.connection, self.name).await.map_err(|error| self.unasked(&error))
    }

    /// The API server was not asked, or refused.
    fn unasked(&self, error: &RequestError) -> Failure {
        let message = if matches!(error, RequestError::Unreachable(_)) && self.access.is_there() {
            format!("{error} (by {})", self.access)
        } else {
            error.to_string()
        };
        Failure { message, help: self.access.remedy(error), exit: Exit::Inconclusive }
    }

    async fn missing(&self) -> Failure {
        let namespace = self.connection.server().await.map(|server| server.namespace().to_owned()).unwrap_or_default();
        let name = self.name;
        let message = format!("there is no roll-out of a group `{name}` in the namespace `{namespace}`");
        let help = "name the group of `--rollout`, and its namespace with `--namespace`; a group begins when a pod first asks for a reload. \
                    `kubectl get leases -A -l app.kubernetes.io/managed-by=reload-gate` lists the groups";
        Failure { message, help: Some(help.to_owned()), exit: Exit::Usage }
    }

    /// Changes the state of the group; `act` returns false if there is nothing to change. A group without a state gets one if `begins`.
    async fn change(&self, begins: bool, act: impl Fn(&mut GroupState) -> bool) -> Result<(String, Exit), Failure> {
        for _ in 0..TRIES {
            let (mut state, version) = match self.fetch().await? {
                Some(shared) => (shared.state, Some(shared.version)),
                None if begins => (GroupState::default(), None),
                None => return Err(self.missing().await),
            };
            if !act(&mut state) {
                return Ok((format!("nothing to change\n{}", text(self.name, &state)), Exit::Accepted));
            }
            state.serial += 1;
            match lease::store(&self.connection, self.name, &state, version).await {
                Ok(shared) => return Ok((text(self.name, &shared.state), Exit::Accepted)),
                Err(WriteFailure::Conflict) => {}
                Err(WriteFailure::Failed(message)) => {
                    return Err(Failure { message, help: None, exit: Exit::Inconclusive });
                }
            }
        }
        let message = format!("the pods of group `{}` change its state all the time", self.name);
        Err(Failure { message, help: Some("try again".to_owned()), exit: Exit::Inconclusive })
    }
}

fn exit(state: &GroupState, awaited: &Awaited) -> Exit {
    if !awaited.is(state.newest().map(|(digest, _)| digest)) {
        return Exit::Inconclusive;
    }
    if state.newest_rejection().is_some() {
        return Exit::Rejected;
    }
    match state.topic.as_ref().map(|topic| &topic.phase) {
        Some(Phase::Refused { .. }) => Exit::Rejected,
        Some(Phase::First | Phase::Soaking | Phase::Wave) => Exit::Inconclusive,
        Some(Phase::Done | Phase::GivenUp) | None => Exit::Accepted,
    }
}

fn text(group: &str, state: &GroupState) -> String {
    let paused =
        if state.paused { format!(" (paused; `reload-gate rollout resume {group}` goes on)") } else { String::new() };
    let mut text = match &state.topic {
        Some(topic) => format!("{group}: {} {}{paused}\n", topic.phase.as_str(), topic.digest.short()),
        None => format!("{group}: no revision yet{paused}\n"),
    };
    if let Some(Rejection { digest, by }) = &state.rejected {
        text += &format!(
            "    {} is newer, and rejected, first by {by}\n    help: correct the configuration; the log of that pod has the reason\n",
            digest.short()
        );
    }
    let Some(topic) = &state.topic else { return text };
    let is_refused = matches!(topic.phase, Phase::Refused { .. });
    if let Phase::Refused { by, reason } = &topic.phase {
        text += &format!(
            "    refused by {by}: {reason}\n    help: correct the configuration, or `reload-gate rollout retry {group}`\n"
        );
    }
    for (pod, verified) in &topic.pods {
        let is_leader = topic.holder.as_ref().is_some_and(|holder| holder.pod == *pod);
        let leads = if is_leader { ", leads" } else { "" };
        let since = topic.since(pod).map(humantime::format_rfc3339_seconds);
        let time = |before: &str| since.map_or_else(String::new, |since| format!("{before} {since}"));
        let words = match (verified, state.slot(pod).is_some()) {
            (true, false) if is_refused => format!("had verified it{} before the refusal", time(" at")),
            (false, false) if is_refused => "asked for it".to_owned(),
            (true, false) => format!("verified{}", time(" since")),
            (_, true) => "reloading".to_owned(),
            (false, false) => "waiting".to_owned(),
        };
        text += &format!("    {pod}: {words}{leads}\n");
    }
    for slot in state.slots.iter().filter(|slot| !topic.pods.contains_key(&slot.beat.pod)) {
        text += &format!("    {}: reloading {}\n", slot.beat.pod, slot.digest.short());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_state_is_a_list_of_pods() {
        let mut state = GroupState::default();
        state.begin(Digest::of(b"new"), Phase::Wave, Some("web-0"));
        let topic = state.topic.as_mut().expect("it has begun");
        topic.pods.insert("web-1".to_owned(), false);
        topic.verify("web-0", Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)));
        let short = topic.digest.short();
        let expected =
            format!("web: wave {short}\n    web-0: verified since 1970-01-01T00:01:00Z, leads\n    web-1: waiting\n");
        assert_eq!(text("web", &state), expected);
        assert_eq!(exit(&state, &Awaited::default()), Exit::Inconclusive);
    }

    fn state(phase: Phase, digest: Digest) -> GroupState {
        let mut state = GroupState::default();
        state.begin(digest, phase, None);
        state
    }

    #[test]
    fn a_rejected_revision_is_newer_than_a_proven_one() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let mut state = state(Phase::Done, old);
        assert_eq!(exit(&state, &Awaited::default()), Exit::Accepted);
        state.rejected = Some(Rejection { digest: new, by: "web-0".into() });
        assert_eq!(exit(&state, &Awaited::default()), Exit::Rejected);
        let text = text("web", &state);
        assert!(text.contains(&format!("{} is newer, and rejected, first by web-0", new.short())), "{text}");
    }

    #[test]
    fn a_status_waits_for_a_revision() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let of = |digest: Digest| Awaited { digest: Some(digest.short()), after: None };
        let after = |digest: Digest| Awaited { digest: None, after: Some(digest.to_string()) };
        let mut proven = state(Phase::Done, old);
        assert_eq!([of(old), of(new)].map(|awaited| exit(&proven, &awaited)), [Exit::Accepted, Exit::Inconclusive]);
        assert_eq!(
            [after(new), after(old)].map(|awaited| exit(&proven, &awaited)),
            [Exit::Accepted, Exit::Inconclusive]
        );
        let first = Awaited { digest: None, after: Some(String::new()) };
        assert_eq!(
            [&proven, &GroupState::default()].map(|state| exit(state, &first)),
            [Exit::Accepted, Exit::Inconclusive]
        );
        proven.rejected = Some(Rejection { digest: new, by: "web-0".into() });
        assert_eq!([of(new), after(old)].map(|awaited| exit(&proven, &awaited)), [Exit::Rejected, Exit::Rejected]);
        assert_eq!(
            exit(&proven, &after(new)),
            Exit::Inconclusive,
            "the revision before the rejected one is no newer one"
        );
    }

    #[test]
    fn the_pods_of_a_refused_revision_are_no_pods_that_have_it() {
        let mut state = state(Phase::Refused { by: "web-0".into(), reason: "it ended".into() }, Digest::of(b"new"));
        state.topic.as_mut().expect("it has begun").pods.insert("web-0".into(), true);
        assert!(text("web", &state).contains("web-0: had verified it before the refusal"), "{}", text("web", &state));
    }
}
