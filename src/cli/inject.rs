//! The command `inject`. IO: reads a file or standard input.

use std::io::Read as _;
use std::str::FromStr as _;

use clap::{Arg, ArgMatches, Command};

use super::{print, say};
use crate::exit::Exit;
use crate::inject::{InjectOptions, KubernetesVersion, inject_text};

/// Standard input in the place of a file.
const STDIN: &str = "-";

pub(super) fn command() -> Command {
    let file = Arg::new("file").value_name("FILE").required(true);
    let image = Arg::new("image").long("image").value_name("IMAGE");
    Command::new("inject")
        .about("Add the sidecar to the pod templates of a manifest that ask for it")
        .arg(file.help("Manifest with one or several documents, or `-` for standard input"))
        .arg(image.help(format!(
            "Image of reload-gate, from which the binary is copied [default: {}]",
            InjectOptions::default().image
        )))
        .arg(kubernetes_version())
}

/// The flag of the cluster's version.
pub(super) fn kubernetes_version() -> Arg {
    let version = Arg::new("kubernetes-version").long("kubernetes-version").value_name("VERSION");
    let help = "Version of the cluster, such as 1.31: one before 1.29 gets no native sidecar [default: the newest]";
    version.value_parser(KubernetesVersion::from_str).help(help)
}

pub(super) fn inject(matches: &ArgMatches) -> Exit {
    let file = matches.get_one::<String>("file").map_or(STDIN, String::as_str);
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            say(&format!("error: cannot read `{file}`: {error}"));
            return Exit::Usage;
        }
    };
    let usual = InjectOptions::default();
    let image = matches.get_one::<String>("image").cloned().unwrap_or(usual.image);
    let options = InjectOptions { image, kubernetes: matches.get_one("kubernetes-version").copied() };
    let injected = match inject_text(&text, &options) {
        Ok(injected) => injected,
        Err(broken) => {
            say(&format!("error: {file}:{broken}\n  help: give the manifest as Kubernetes reads it: YAML or JSON"));
            return Exit::Usage;
        }
    };
    for warning in &injected.warnings {
        say(&format!("warning: {}: {}\n  help: {}", warning.object, warning.message, warning.help));
    }
    print(&injected.text);
    if injected.is_empty {
        say(&format!("error: `{file}` has no manifest\n  help: {}", without_manifest(file)));
        return Exit::Nothing;
    }
    if injected.asks_for_nothing() {
        say(
            "note: no pod template asks for a gate\n  help: annotate the pod template: `reload-gate.dev/inject: PRESET`",
        );
    }
    if injected.refused > 0 { Exit::Rejected } else { Exit::Accepted }
}

fn without_manifest(file: &str) -> &'static str {
    if file == STDIN {
        "run the command in front of the pipe alone: it printed nothing, and may have failed"
    } else {
        "name a file with the manifests of the pods"
    }
}

fn read(file: &str) -> std::io::Result<String> {
    if file != STDIN {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
