//! Names that a checker does not know. Another version or build of the program may know them, so they reject a configuration only where
//! the checker is that of the image, or where a known name is near.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;
use reload_gate_contract::{Cause, Finding, Severity};
use reload_gate_nginx::directives;

use super::images::ImageReference;
use crate::flow::validate::{CommandValidator, ValidationPlan, Validator};
use crate::sys::exec::{self, Command};
use crate::sys::suggest::nearest;

/// Time limit for a program that prints its version.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Messages about an unknown name, with the name where the message has one.
static UNKNOWN: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        r#"field (?P<name>\S+) not found in type"#,
        r#"no\s+such\s+(?:field|option|keyword|directive):?\s*['"]?(?P<name>[\w.-]+)"#,
        r#"(?i)\b(?:unknown|unrecogni[sz]ed|unsupported|undefined)\b(?:\s+(?:or invalid\s+)?[a-z]+){0,3}?:?\s+['"`](?P<name>[\w.$@/-]+)['"`]"#,
        r#"(?i)\bvariable reference for '(?P<name>\w+)'.* can not be found"#,
        r#"(?i)\b(?:unknown|unrecogni[sz]ed|has unknown)\s+(?:field|fields|keyword|option|directive|parameter|key|fetch|section|command|module|type|name)"#,
        r#"(?i)\b(?:is|was) not (?:recogni[sz]ed|known|supported|compiled in|built in)\b"#,
        r#"(?i)\bno such (?:directive|option|keyword|module)\b"#,
        // Prometheus 3 accepts names in UTF-8, which older versions reject.
        r#"\binvalid (?:recording rule|label|annotation|metric) name\b"#,
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// First number with a dot in the output of a program with its version.
static VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(?P<version>[0-9]+\.[0-9]+(?:\.[0-9]+)*)").ok());

/// Common names of configurations, by program.
const NAMES: [(&str, &str); 6] = [
    (
        "envoy",
        "node static_resources dynamic_resources layered_runtime admin listeners clusters secrets address socket_address port_value \
         filter_chains filters listener_filters typed_config stat_prefix route_config virtual_hosts domains routes match prefix route \
         cluster http_filters connect_timeout lb_policy load_assignment cluster_name endpoints lb_endpoints endpoint access_log \
         codec_type transport_socket health_checks circuit_breakers",
    ),
    (
        "promtool",
        "global scrape_interval scrape_timeout evaluation_interval external_labels scrape_configs rule_files alerting alertmanagers \
         remote_write remote_read job_name metrics_path scheme static_configs targets labels relabel_configs metric_relabel_configs \
         source_labels separator target_label regex replacement action honor_labels honor_timestamps params basic_auth authorization \
         bearer_token_file tls_config groups rules alert record expr annotations interval name",
    ),
    (
        "amtool",
        "global route receivers receiver inhibit_rules templates group_by group_wait group_interval repeat_interval routes matchers \
         match match_re continue resolve_timeout webhook_configs slack_configs email_configs pagerduty_configs opsgenie_configs \
         send_resolved source_match target_match equal mute_time_intervals time_intervals channel",
    ),
    (
        "nats-server",
        "port host listen server_name http http_port monitor_port cluster leafnodes gateway jetstream store_dir max_mem_store \
         max_file_store authorization accounts operator resolver tls debug trace logtime log_file pid_file max_connections max_payload \
         routes users user password token permissions include",
    ),
    (
        "haproxy",
        "global defaults frontend backend listen resolvers peers mode bind server default_backend use_backend balance option timeout \
         maxconn log stats http-request http-response acl redirect errorfile cookie nameserver daemon user group chroot tcp-request \
         monitor-uri compression retries hash-type default-server server-template",
    ),
    (
        "prometheus-blackbox-exporter",
        "modules prober timeout http tcp dns icmp grpc method headers preferred_ip_protocol valid_status_codes",
    ),
];

/// Versions of the programs that were asked, by program.
#[derive(Debug, Default)]
pub(super) struct VersionCache(Mutex<BTreeMap<String, Option<CheckerVersion>>>);

/// Version of a checker.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CheckerVersion {
    number: String,
    /// True if a distribution built it, with features of its own choice.
    is_of_distribution: bool,
}

/// Applies the rule of this module to the findings of the plan's commands.
pub(super) async fn weigh(
    findings: Vec<Finding>,
    plan: &ValidationPlan,
    preset: &str,
    image: &ImageReference,
    versions: &VersionCache,
) -> Vec<Finding> {
    let command = plan.validators.iter().find_map(|validator| match validator {
        Validator::Command(command) => Some(command),
        Validator::Builtin(_) => None,
    });
    let Some(command) = command else { return findings };
    let mut weighed = Vec::with_capacity(findings.len());
    for finding in findings {
        let is_error = finding.severity == Severity::Error && finding.cause == Cause::Config;
        let is_of_command = finding.source.as_deref() == Some(&command.name);
        weighed.push(match unknown_name(&finding.message).filter(|_| is_error && is_of_command) {
            Some(name) => weigh_one(finding, name.as_deref(), command, preset, image, versions).await,
            None => finding,
        });
    }
    weighed
}

async fn weigh_one(
    finding: Finding,
    name: Option<&str>,
    command: &CommandValidator,
    preset: &str,
    image: &ImageReference,
    versions: &VersionCache,
) -> Finding {
    let program = command.command.first().map(String::as_str).unwrap_or_default();
    // A variable has a name of the user's choice.
    let name = name.filter(|_| !finding.message.contains("variable"));
    if let Some(near) = name.and_then(|name| near_name(name, program)) {
        let help = finding.help.clone().or_else(|| Some(format!("did you mean `{near}`?")));
        return Finding { help, ..finding };
    }
    let version = versions.of(program).await;
    let reason = match (&version, image.version().filter(|_| image.is_of(preset))) {
        (Some(version), Some(tag)) if version.is_version(tag) && !version.is_of_distribution => return finding,
        (Some(CheckerVersion { number, .. }), Some(_)) => {
            format!("`{program}` here is {number}, which is not known to be the build in `{}`", image.text)
        }
        (Some(CheckerVersion { number, .. }), None) => {
            format!("`{program}` here is {number}, and the version that will read the file is unknown")
        }
        (None, _) => format!("the version of `{program}` is unknown"),
    };
    let help = format!("put the program of the image on the PATH: {reason}");
    Finding { cause: Cause::Environment, help: Some(help), ..finding }
}

/// Returns the well-known name of a program that is near to an unknown one.
fn near_name(name: &str, program: &str) -> Option<&'static str> {
    let known = NAMES.iter().find(|(known, _)| *known == program).map_or("", |(_, names)| *names);
    let near = match program {
        "nginx" => nearest(name, directives::every_name()),
        _ => nearest(name, known.split_whitespace()),
    };
    near.filter(|near| *near != name)
}

/// Returns `Some` if a message is about an unknown name, with the name if the message has it.
pub(super) fn unknown_name(message: &str) -> Option<Option<String>> {
    let found = UNKNOWN.iter().find_map(|pattern| pattern.captures(message))?;
    Some(found.name("name").map(|name| name.as_str().to_owned()))
}

impl CheckerVersion {
    /// Returns true if a tag such as `2.55` names this version.
    fn is_version(&self, tag: &str) -> bool {
        self.number == tag || self.number.strip_prefix(tag).is_some_and(|rest| rest.starts_with('.'))
    }

    fn parse(output: &str) -> Option<Self> {
        let number = VERSION.as_ref()?.captures(output)?.name("version")?.as_str().to_owned();
        let is_of_distribution = ["debian", "ubuntu", "+ds", "+deb", "fedora", "alpine", "dfsg"]
            .iter()
            .any(|mark| output.to_ascii_lowercase().contains(mark));
        Some(Self { number, is_of_distribution })
    }
}

impl VersionCache {
    async fn of(&self, program: &str) -> Option<CheckerVersion> {
        let cache = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = cache().get(program) {
            return version.clone();
        }
        let option = match program {
            "nginx" | "haproxy" | "named-checkconf" | "apache2" | "squid" | "lighttpd" => "-v",
            "caddy" => "version",
            _ => "--version",
        };
        let words = [program, option].map(Into::into).to_vec();
        let version = exec::run(&Command::here(words, TIMEOUT)).await.ok();
        let version = version.and_then(|finished| CheckerVersion::parse(&finished.output));
        cache().insert(program.to_owned(), version.clone());
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_unknown_names_are_known() {
        for (message, name) in [
            ("field kubernetes_sd_configs not found in type config.ScrapeConfig", Some("kubernetes_sd_configs")),
            ("message StaticResources, near 1:33: no  such  field:   'listners') has unknown fields", Some("listners")),
            ("unknown field \"por\"", Some("por")),
            ("variable reference for 'SERVER_NAME' on line 1 can not be found", Some("SERVER_NAME")),
            ("unknown keyword 'foo' in 'frontend' section", Some("foo")),
            ("unknown directive \"brotli\"", Some("brotli")),
            ("group \"g\", rule 1, \"a-b\": invalid recording rule name: a-b", None),
        ] {
            assert_eq!(unknown_name(message), Some(name.map(str::to_owned)), "{message}");
        }
        for message in
            ["could not parse expression: 1:5: parse error: unclosed left parenthesis", "yaml: line 3: did not find"]
        {
            assert_eq!(unknown_name(message), None, "{message}");
        }
    }

    #[test]
    fn a_version_has_a_number_and_a_builder() {
        let debian = "promtool, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+deb12u1)";
        let version = CheckerVersion::parse(debian).expect("it has one");
        assert_eq!(version, CheckerVersion { number: "2.42.0".to_owned(), is_of_distribution: true });
        assert!(version.is_version("2.42") && version.is_version("2.42.0") && !version.is_version("2.4"));
        assert_eq!(CheckerVersion::parse("nothing"), None);
    }
}
