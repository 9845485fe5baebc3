//! The command `admit`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::inject::kubernetes_version;
use super::{refuse, say, user_input, without_credentials};
use crate::admit::certificate::CertificateFiles;
use crate::admit::decision::{DenialRules, Deny};
use crate::admit::{self, AdmitSettings, CertificateSource, WebhookLimits};
use crate::config::{self, SETTINGS, SettingSpec, WEBHOOK_SETTINGS, flag, given_flags, listener_address};
use crate::exit::Exit;
use crate::inject::InjectOptions;
use crate::sys::bounded;
use crate::sys::kubernetes::ApiAccess;

pub(super) fn command() -> Command {
    let own = SETTINGS.iter().filter(|setting| WEBHOOK_SETTINGS.contains(&setting.name));
    Command::new("admit")
        .about("Validate ConfigMaps and Secrets for a Kubernetes API server, and inject the sidecar into pods")
        .args(listener_flags().map(|arg| arg.help_heading("Listener")))
        .args(denial_flags().map(|arg| arg.help_heading("Denials")))
        .args(injection_flags().map(|arg| arg.help_heading("Injection")))
        .args(own.map(own_flag))
}

/// The flag of a setting of `run` or `check`, with its meaning here.
fn own_flag(setting: &'static SettingSpec) -> Arg {
    let flag = flag(setting);
    match setting.name {
        "config" => flag.help("Configuration file with the rules of `admission`").help_heading("Denials"),
        "kubernetes-service-account" => flag.help_heading("Listener"),
        "nginx-hygiene" => flag.help(
            "Warn of insecure or fragile nginx configuration, and of known vulnerabilities (built-in validator nginx) [default: on]",
        ),
        "listen" => flag.help("Address of the webhook [default: `:8443`]").help_heading("Listener"),
        _ => flag,
    }
}

fn listener_flags() -> [Arg; 6] {
    let file =
        |name: &'static str| Arg::new(name).long(name).value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    let plain = Arg::new("listen-metrics").long("listen-metrics").value_name("ADDR").value_parser(listener_address);
    let own =
        Arg::new("self-signed").long("self-signed").value_name("NAME").conflicts_with_all(["tls-cert", "tls-key"]);
    let limit = Arg::new("time-limit").long("time-limit").value_name("DURATION").value_parser(time_limit);
    [
        file("tls-cert").requires("tls-key").help("Certificate of the webhook in PEM; it is read again when it changes"),
        file("tls-key").requires("tls-cert").help("Its private key in PEM"),
        own.help(
            "Make an authority, and put it into the webhook configuration of this name; it needs the rights to get and update it",
        ),
        file("kubeconfig").help("Kubeconfig for requests to the API server [default: $KUBECONFIG, or the service account of the pod]"),
        plain.help("Address of metrics and health checks without TLS, besides those of the webhook itself"),
        limit
            .default_value("4s")
            .help("Longest time of a validation, after which the object is allowed with a warning"),
    ]
}

fn denial_flags() -> [Arg; 2] {
    let deny = Arg::new("deny").long("deny").value_name("VERDICT").default_value("rejected");
    let unchanged = Arg::new("deny-unchanged").long("deny-unchanged").action(ArgAction::SetTrue);
    let words = PossibleValuesParser::new(["rejected", "never"]);
    [
        deny.value_parser(words)
            .hide_possible_values(true)
            .help("Objects to deny: rejected ones (`rejected`), or none (`never`), so that errors are warnings"),
        unchanged.help("Deny also for errors that the stored object has already"),
    ]
}

/// The settings of injections by flags.
fn injection(matches: &ArgMatches) -> InjectOptions {
    let usual = InjectOptions::default();
    InjectOptions {
        image: matches.get_one::<String>("inject-image").cloned().unwrap_or(usual.image),
        kubernetes: matches.get_one("kubernetes-version").copied(),
    }
}

fn injection_flags() -> [Arg; 2] {
    let image = Arg::new("inject-image").long("inject-image").value_name("IMAGE");
    [
        image.help(format!(
            "Image of reload-gate, from which the binary is copied [default: {}]",
            InjectOptions::default().image
        )),
        kubernetes_version(),
    ]
}

fn time_limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if limit.is_zero() { Err("it must be above 0".to_owned()) } else { Ok(limit) }
}

/// Returns the source of the certificate; `None` if no flag names one.
fn certificate(matches: &ArgMatches) -> Option<CertificateSource> {
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let own = matches.get_one::<String>("self-signed").cloned().map(CertificateSource::OwnAuthority);
    let files = || Some(CertificateFiles { certificate: path("tls-cert")?, key: path("tls-key")? });
    own.or_else(|| files().map(CertificateSource::Files))
}

pub(super) fn admit(matches: &ArgMatches) -> Exit {
    let Some(certificate) = certificate(matches) else {
        say(
            "error: the webhook needs a certificate\n  help: name its files with `--tls-cert FILE --tls-key FILE`, or let it make one with `--self-signed NAME`",
        );
        return Exit::Usage;
    };
    let read = |path: &Path| bounded::read_to_string(path);
    let config = match config::admission(&user_input(given_flags(matches), &read)) {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    for remark in &config.remarks {
        say(&format!("warning: {remark}\n  help: add rules (docs/admission.md), or leave out `--config`"));
    }
    let kubeconfig = matches.get_one("kubeconfig").cloned().or(config.access.kubeconfig);
    let access = ApiAccess { kubeconfig, ..config.access };
    let credentials = without_credentials(&access);
    let never = matches.get_one::<String>("deny").is_some_and(|word| word == "never");
    let limits = WebhookLimits::default();
    let settings = AdmitSettings {
        listen: config.listen,
        plain: matches.get_one("listen-metrics").copied(),
        certificate,
        access,
        rules: config.rules,
        denials: DenialRules {
            deny: if never { Deny::Never } else { Deny::Rejected },
            deny_unchanged: matches.get_flag("deny-unchanged"),
        },
        injection: injection(matches),
        limits: WebhookLimits { time: matches.get_one("time-limit").copied().unwrap_or(limits.time), ..limits },
        log_format: config.log_format,
        log_filter: config.log_filter,
    };
    admit::run(settings).unwrap_or_else(|error| {
        say(&format!("error: cannot start: {error}"));
        // Only a certificate of its own needs the API server at the start.
        if let Some(help) = credentials.filter(|_| matches.contains_id("self-signed")) {
            say(&help);
        }
        Exit::Usage
    })
}
