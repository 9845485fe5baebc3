//! The command `rollout`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use super::{print, say, without_credentials};

use crate::cluster::lease;
use crate::cluster::rollout::{GroupState, Phase, WriteFailure};
use crate::config;
use crate::exit::Exit;
use crate::sys;
use crate::sys::kubernetes::Connection;

/// Remark on what the state of a roll-out knows.
const OF_STATUS: &str = "The state is that of the revisions for which pods have asked: a revision that every pod rejects, or that has not \
    arrived yet, is not in it, and `done` is about the one before.";

/// The number of tries where pods write at the same time.
const TRIES: u32 = 10;

pub(super) fn command() -> Command {
    let group = || Arg::new("group").value_name("GROUP").required(true).help("Name of the group, as in `--rollout`");
    let namespace = || {
        let help = "Namespace of its Lease [default: that of the pod or of the kubeconfig]";
        Arg::new("namespace").short('n').long("namespace").value_name("NAME").help(help)
    };
    let kubeconfig = || {
        let help = "Kubeconfig [default: $KUBECONFIG, or the service account of the pod]";
        Arg::new("kubeconfig")
            .long("kubeconfig")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(help)
    };
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
                "Print the state of the roll-out; exits with 1 if a revision is refused, with 3 if it is under way",
            )
            .after_help(OF_STATUS),
            action("pause", "Let no further pod reload"),
            action("resume", "Let pods reload again"),
            action("retry", "Let the pods try a refused revision again, one of them first"),
        ])
}

pub(super) fn rollout(matches: &ArgMatches) -> Exit {
    let Some((action, matches)) = matches.subcommand() else { return Exit::Usage };
    let group = matches.get_one::<String>("group").cloned().unwrap_or_default();
    let variables: Vec<_> = std::env::vars_os().collect();
    let mut access = config::api_access(&variables);
    access.kubeconfig = matches.get_one::<PathBuf>("kubeconfig").cloned().or(access.kubeconfig);
    access.namespace = matches.get_one::<String>("namespace").cloned().or(access.namespace);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime.and_then(|runtime| sys::worker::start().map(|()| runtime)) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let help = without_credentials(&access);
    let connection = Connection::new(access);
    let done = runtime.block_on(async {
        match action {
            "status" => status(&connection, &group).await,
            "pause" => change(&connection, &group, |state| !std::mem::replace(&mut state.paused, true)).await,
            "resume" => change(&connection, &group, |state| std::mem::replace(&mut state.paused, false)).await,
            _ => change(&connection, &group, GroupState::retry).await,
        }
    });
    match done {
        Ok((text, exit)) => {
            print(&text);
            exit
        }
        Err(error) => {
            let exit = fail(&error);
            help.iter().for_each(|help| say(help));
            exit
        }
    }
}

fn fail(error: &str) -> Exit {
    say(&format!("error: {error}"));
    Exit::Inconclusive
}

async fn status(connection: &Connection, group: &str) -> Result<(String, Exit), String> {
    let shared = lease::fetch(connection, group).await.map_err(|error| error.to_string())?;
    match shared {
        Some(shared) => Ok((text(group, &shared.state), exit(&shared.state))),
        None => Err(missing(connection, group).await),
    }
}

async fn missing(connection: &Connection, group: &str) -> String {
    let namespace = connection.server().await.map_or_else(|_| String::new(), |server| server.namespace().to_owned());
    without_group(group, &namespace)
}

fn without_group(group: &str, namespace: &str) -> String {
    format!(
        "there is no roll-out of a group `{group}` in the namespace `{namespace}`: no pod of it has asked for a reload yet\n  \
         help: compare with `kubectl --namespace {namespace} get leases`: each group has the Lease of its name; `--namespace` names another one"
    )
}

/// Changes the state of a group; `act` returns false if there is nothing to change.
async fn change(
    connection: &Connection,
    group: &str,
    act: impl Fn(&mut GroupState) -> bool,
) -> Result<(String, Exit), String> {
    for _ in 0..TRIES {
        let shared = lease::fetch(connection, group).await.map_err(|error| error.to_string())?;
        let Some(shared) = shared else { return Err(missing(connection, group).await) };
        let mut state = shared.state;
        if !act(&mut state) {
            return Ok((format!("nothing to change\n{}", text(group, &state)), Exit::Accepted));
        }
        state.serial += 1;
        match lease::store(connection, group, &state, Some(shared.version)).await {
            Ok(shared) => return Ok((text(group, &shared.state), Exit::Accepted)),
            Err(WriteFailure::Conflict) => {}
            Err(WriteFailure::Failed(error)) => return Err(error),
        }
    }
    Err(format!("the pods of group `{group}` change its state all the time; try again"))
}

fn exit(state: &GroupState) -> Exit {
    match state.topic.as_ref().map(|topic| &topic.phase) {
        Some(Phase::Refused { .. }) => Exit::Rejected,
        Some(Phase::First | Phase::Soaking | Phase::Wave) => Exit::Inconclusive,
        Some(Phase::Done | Phase::GivenUp) | None => Exit::Accepted,
    }
}

fn text(group: &str, state: &GroupState) -> String {
    let paused = if state.paused { " (paused)" } else { "" };
    let Some(topic) = &state.topic else { return format!("{group}: no revision yet{paused}\n") };
    let mut text = format!("{group}: {} {}{paused}\n", topic.phase.as_str(), topic.digest.short());
    if let Phase::Refused { by, reason } = &topic.phase {
        text += &format!(
            "    refused by {by}: {reason}\n    help: correct the configuration, or `reload-gate rollout retry {group}`\n"
        );
    }
    for (pod, verified) in &topic.pods {
        let is_leader = topic.holder.as_ref().is_some_and(|holder| holder.pod == *pod);
        let leads = if is_leader { ", leads" } else { "" };
        let word = match (verified, state.slot(pod).is_some()) {
            (true, false) => "verified",
            (_, true) => "reloading",
            (false, false) => "waiting",
        };
        text += &format!("    {pod}: {word}{leads}\n");
    }
    for slot in state.slots.iter().filter(|slot| !topic.pods.contains_key(&slot.beat.pod)) {
        text += &format!("    {}: reloading {}\n", slot.beat.pod, slot.digest.short());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tree::Digest;

    #[test]
    fn a_group_without_a_roll_out_is_named_with_its_namespace() {
        let text = without_group("wbe", "shop");
        assert!(text.starts_with("there is no roll-out of a group `wbe` in the namespace `shop`: "), "{text}");
        assert!(text.contains("\n  help: compare with `kubectl --namespace shop get leases`"), "{text}");
    }

    #[test]
    fn the_state_is_a_list_of_pods() {
        let mut state = GroupState::default();
        state.begin(Digest::of(b"new"), Phase::Wave, Some("web-0"));
        let topic = state.topic.as_mut().expect("it has begun");
        topic.pods.extend([("web-0".to_owned(), true), ("web-1".to_owned(), false)]);
        let short = topic.digest.short();
        let expected = format!("web: wave {short}\n    web-0: verified, leads\n    web-1: waiting\n");
        assert_eq!(text("web", &state), expected);
        assert_eq!(exit(&state), Exit::Inconclusive);
    }
}
