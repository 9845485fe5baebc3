//! Names that a checker does not know. Another version or build of the program may know them, so they reject a configuration only where
//! the checker is that of the image, or where a known name is near.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use regex::Regex;
use reload_gate_contract::{Cause, Finding, Place, Severity};
use reload_gate_nginx::directives;

use super::images::ImageReference;
use crate::flow::validate::{CommandValidator, ValidationPlan, Validator};
use crate::sys::exec::{self, Command};
use crate::sys::suggest::nearest;

/// Time limit for a program that prints its version.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Messages about an unknown name, or an unknown value of a known set, with the name where the message has one.
static UNKNOWN: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        r#"field (?P<name>\S+) not found in type"#,
        r#"no\s+such\s+(?:field|option|keyword|directive):?\s*['"]?(?P<name>[\w.-]+)"#,
        r#"(?i)\bunknown variable '(?P<name>[\w.-]+)(?:=[^']*)?'"#,
        r#"(?i)\b(?:unknown|unrecogni[sz]ed|unsupported|undefined)\b(?:\s+(?:or invalid\s+)?[a-z]+){0,3}?:?\s+['"`](?P<name>[\w.$@/-]+)['"`]"#,
        r#"(?i)\bvariable reference for '(?P<name>\w+)'.* can not be found"#,
        // pgbouncer, dovecot and caddy.
        r#"(?i)\b(?:unknown|unrecogni[sz]ed)\s+(?:[a-z]+\s+){0,2}(?:parameter|setting|option|property|directive|subdirective):\s+(?:\w+/)?(?P<name>[\w.-]+)"#,
        r#"(?i)\b(?:unknown|unrecogni[sz]ed|has unknown)\s+(?:field|fields|keyword|option|directive|parameter|key|fetch|section|command|module|type|name|setting|property)"#,
        r#"(?i)\b(?:is|was) not (?:recogni[sz]ed|known|supported|compiled in|built in)\b"#,
        r#"(?i)\bno such (?:directive|option|keyword|module)\b"#,
        r#"\bmodule not registered\b"#,
        r#"\binvalid section "(?P<name>[\w.-]+)" in configuration\b"#,
        // HAProxy names what it knows.
        r#"\bexpects '.*', but got '(?P<name>[\w.-]+)'"#,
        // Redis, which names neither.
        r#"\bBad directive or wrong number of arguments\b"#,
        r#"\bargument\(s\) must be one of\b"#,
        // Prometheus 3 and Alertmanager 0.27 accept names in UTF-8, which older versions reject.
        r#"\binvalid (?:recording rule|label|annotation|metric) name\b"#,
        r#"\bbad matcher format: .*[^\x00-\x7F]"#,
        r#"\bunexpected string .* in label matching\b"#,
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// Messages about a name that the configuration itself has to define, so that no version knows it.
static OWN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bundefined (?P<kind>receiver|(?:mute |active )?time[ _]interval)\b").ok());

/// Messages about a value that the machine has to know, with the value.
static OF_MACHINE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"invalid value for parameter "lc_\w+": "(?P<locale>[^"]*)""#).ok());

/// Number with a dot in the output of a program with its version.
static VERSION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\w.]|\bv)(?P<version>[0-9]+\.[0-9]+(?:\.[0-9]+)*)").ok());

/// Products whose programs answer to the name of another one: mark in the output with the version, and names of images of the other one.
const PRODUCTS: [(&str, &[&str]); 2] = [("MariaDB", &["mysql", "percona"]), ("Valkey", &["redis"])];

/// Common names of configurations, by program.
const NAMES: [(&str, &str); 7] = [
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
        "redis-server",
        "bind port tls-port timeout tcp-keepalive tcp-backlog daemonize pidfile loglevel logfile databases save dbfilename dir replicaof \
         slaveof masterauth requirepass maxclients maxmemory maxmemory-policy maxmemory-samples appendonly appendfilename appendfsync \
         rename-command include protected-mode unixsocket unixsocketperm supervised stop-writes-on-bgsave-error rdbcompression \
         rdbchecksum replica-read-only min-replicas-to-write lua-time-limit cluster-enabled cluster-config-file cluster-node-timeout \
         slowlog-log-slower-than slowlog-max-len latency-monitor-threshold notify-keyspace-events activerehashing hz \
         client-output-buffer-limit aclfile io-threads",
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
    /// Other product, and names of the images that have the one of this name.
    product: Option<(&'static str, &'static [&'static str])>,
}

/// Facts about a validation by which its findings are weighed.
pub(super) struct Weighing<'w> {
    /// Preset of the program.
    pub(super) preset: &'w str,
    pub(super) image: &'w ImageReference,
    pub(super) versions: &'w VersionCache,
    /// Returns the text of a file.
    pub(super) text: &'w dyn Fn(&str) -> Option<&'w [u8]>,
}

/// Applies the rule of this module to the findings of the plan's commands.
pub(super) async fn weigh(findings: Vec<Finding>, plan: &ValidationPlan, weighing: &Weighing<'_>) -> Vec<Finding> {
    let command = plan.validators.iter().find_map(|validator| match validator {
        Validator::Command(command) => Some(command),
        Validator::Builtin(_) => None,
    });
    let Some(command) = command else { return findings };
    let is_error = |finding: &Finding| {
        let is_of_command = finding.source.as_deref() == Some(&command.name);
        is_of_command && finding.severity == Severity::Error && finding.cause == Cause::Config
    };
    let mut weighed = Vec::with_capacity(findings.len());
    let mut unknown: Vec<(Option<Place>, Option<String>, Option<String>)> = Vec::new();
    for finding in findings {
        if !is_error(&finding) {
            weighed.push(finding);
            continue;
        }
        let finding = weighing.of_machine(finding);
        let finding = if is_error(&finding) { weighing.of_product(finding, command).await } else { finding };
        let name = unknown_name(&finding.message).filter(|_| is_error(&finding));
        weighed.push(match name {
            Some(name) => {
                let finding = weighing.one(finding, name.as_deref(), command).await;
                if finding.cause == Cause::Environment {
                    unknown.push((finding.place.clone(), name, finding.help.clone()));
                }
                finding
            }
            None => finding,
        });
    }
    // What follows an unknown name is read as something else.
    for finding in weighed.iter_mut().filter(|finding| is_error(finding)) {
        let cause = unknown.iter().find(|(place, name, _)| {
            let is_line =
                |one: &Place, other: &Place| one.file == other.file && one.line.is_some() && one.line == other.line;
            place.as_ref().zip(finding.place.as_ref()).is_some_and(|(one, other)| is_line(one, other))
                || name.as_deref().is_some_and(|name| has_word(&finding.message, name))
        });
        if let Some((_, _, help)) = cause.filter(|_| !is_near(finding)) {
            finding.cause = Cause::Environment;
            finding.help.clone_from(help);
        }
    }
    weighed
}

/// Returns true if the name that a finding is about is near to a known one, so that it is a mistake for every version.
fn is_near(finding: &Finding) -> bool {
    finding.help.as_deref().is_some_and(|help| help.starts_with("did you mean"))
}

/// Returns true if a text has a word, between other characters than those of names.
fn has_word(text: &str, word: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    text.split(|c: char| !is_of_name(c)).any(|other| other == word)
}

impl Weighing<'_> {
    /// Returns a finding about a value that the machine has to know, such as a locale, as an obstacle.
    fn of_machine(&self, finding: Finding) -> Finding {
        let found = OF_MACHINE.as_ref().and_then(|pattern| pattern.captures(&finding.message));
        let Some(locale) = found.map(|found| found["locale"].to_owned()) else { return finding };
        let help = format!("the locale `{locale}` may be missing on this machine alone: generate it here");
        Finding { cause: Cause::Environment, help: Some(help), ..finding }
    }

    /// Returns a finding of another product than that of the image as an obstacle.
    async fn of_product(&self, finding: Finding, command: &CommandValidator) -> Finding {
        let name = self.image.name();
        let is_other = |images: &[&str]| images.iter().any(|image| name.starts_with(image));
        if PRODUCTS.iter().all(|(_, images)| !is_other(images)) {
            return finding;
        }
        let program = command.command.first().map(String::as_str).unwrap_or_default();
        let product = self.versions.of(program).await.and_then(|version| version.product);
        let Some((product, _)) = product.filter(|(_, images)| is_other(images)) else { return finding };
        let help = format!(
            "put the program of the image on the PATH: `{program}` here is {product}, and the image is `{}`",
            self.image.text
        );
        Finding { cause: Cause::Environment, help: Some(help), ..finding }
    }

    async fn one(&self, finding: Finding, name: Option<&str>, command: &CommandValidator) -> Finding {
        let program = command.command.first().map(String::as_str).unwrap_or_default();
        let first_word = self.first_word(&finding).filter(|_| program == "redis-server");
        if first_word.as_deref().is_some_and(|word| is_known(word, program) && finding.message.contains("wrong number"))
        {
            return finding;
        }
        let name = name.or(first_word.as_deref());
        // A variable has a name of the user's choice.
        let name = name.filter(|_| !finding.message.contains("variable"));
        if let Some(near) = name.and_then(|name| near_name(name, program)) {
            let help = finding.help.clone().or_else(|| Some(format!("did you mean `{near}`?")));
            return Finding { help, ..finding };
        }
        let version = self.versions.of(program).await;
        let reason = match (&version, self.image.version().filter(|_| self.image.is_of(self.preset))) {
            (Some(version), Some(tag)) if version.is_version(tag) && !version.is_of_distribution => return finding,
            (Some(CheckerVersion { number, .. }), Some(_)) => {
                format!("`{program}` here is {number}, which is not known to be the build in `{}`", self.image.text)
            }
            (Some(CheckerVersion { number, .. }), None) => {
                format!("`{program}` here is {number}, and the version that will read the file is unknown")
            }
            (None, _) => format!("the version of `{program}` is unknown"),
        };
        let help = format!("put the program of the image on the PATH: {reason}");
        Finding { cause: Cause::Environment, help: Some(help), ..finding }
    }

    /// Returns the first word of the line that a finding is about.
    fn first_word(&self, finding: &Finding) -> Option<String> {
        let place = finding.place.as_ref()?;
        let line = usize::try_from(place.line?).ok()?.checked_sub(1)?;
        let text = std::str::from_utf8((self.text)(&place.file)?).ok()?;
        Some(text.lines().nth(line)?.split_whitespace().next()?.to_ascii_lowercase())
    }
}

/// Returns true if a name is a well-known one of a program.
fn is_known(name: &str, program: &str) -> bool {
    NAMES.iter().any(|(known, names)| *known == program && names.split_whitespace().any(|known| known == name))
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
    if OWN.as_ref().is_some_and(|pattern| pattern.is_match(message)) {
        return None;
    }
    let found = UNKNOWN.iter().find_map(|pattern| pattern.captures(message))?;
    Some(found.name("name").map(|name| name.as_str().to_owned()))
}

/// Returns the kind of the name in a message about one that the configuration itself has to define.
pub(super) fn own_kind(message: &str) -> Option<String> {
    Some(OWN.as_ref()?.captures(message)?["kind"].to_owned())
}

impl CheckerVersion {
    /// Returns true if a tag such as `2.55` names this version.
    fn is_version(&self, tag: &str) -> bool {
        self.number == tag || self.number.strip_prefix(tag).is_some_and(|rest| rest.starts_with('.'))
    }

    fn parse(output: &str) -> Option<Self> {
        // Lines of a log in JSON have time stamps.
        let mut lines = output.lines().filter(|line| !line.starts_with('{'));
        let number = lines.find_map(|line| VERSION.as_ref()?.captures(line))?.name("version")?.as_str().to_owned();
        let product = PRODUCTS.iter().find(|(mark, _)| output.contains(mark)).copied();
        let is_of_distribution = ["debian", "ubuntu", "+ds", "+deb", "fedora", "alpine", "dfsg"]
            .iter()
            .any(|mark| output.to_ascii_lowercase().contains(mark));
        Some(Self { number, is_of_distribution, product })
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
            ("unrecognized global option: frankenphp", Some("frankenphp")),
            ("unrecognized ACME issuer property: profile", Some("profile")),
            ("getting module named 'dns.providers.x': module not registered: dns.providers.x", None),
            ("unknown variable 'gtid_mode=ON'", Some("gtid_mode")),
            ("Bad directive or wrong number of arguments", None),
            ("argument(s) must be one of the following: volatile-lru, noeviction", None),
            ("'http-request' expects 'allow', 'set-nice', but got 'pause'.", Some("pause")),
            ("Unknown setting: dovecot_config_version", Some("dovecot_config_version")),
            ("unknown parameter: pgbouncer/max_prepared_statements", Some("max_prepared_statements")),
            ("ERROR invalid section \"peers\" in configuration (/etc/p.ini:7)", Some("peers")),
            (
                "1:11: parse error: unexpected string \"\\\"http.requ\"... in label matching, expected identifier or \"}\"",
                None,
            ),
        ] {
            assert_eq!(unknown_name(message), Some(name.map(str::to_owned)), "{message}");
        }
        assert!(unknown_name("bad matcher format: foo\u{1f642}=bar").is_some());
        for message in [
            "could not parse expression: 1:5: parse error: unclosed left parenthesis",
            "yaml: line 3: did not find",
            "undefined receiver \"null\" used in route",
            "undefined time interval \"nights\" used in route",
            "bad matcher format: foo",
        ] {
            assert_eq!(unknown_name(message), None, "{message}");
        }
    }

    #[test]
    fn a_version_has_a_number_and_a_builder() {
        let debian = "promtool, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+deb12u1)";
        let version = CheckerVersion::parse(debian).expect("it has one");
        assert_eq!(version, CheckerVersion { number: "2.42.0".to_owned(), is_of_distribution: true, product: None });
        assert!(version.is_version("2.42") && version.is_version("2.42.0") && !version.is_version("2.4"));
        assert_eq!(CheckerVersion::parse("nothing"), None);
        let number = |output: &str| CheckerVersion::parse(output).map(|version| version.number);
        assert_eq!(number("nats-server: v2.9.10").as_deref(), Some("2.9.10"));
        assert_eq!(number("{\"ts\":1795807368.7}\n2.6.2\n").as_deref(), Some("2.6.2"));
        assert_eq!(number("Redis server v=7.0.15 sha=0").as_deref(), Some("7.0.15"));
        let product =
            |output: &str| CheckerVersion::parse(output).and_then(|version| version.product).map(|(name, _)| name);
        assert_eq!(product("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu"), Some("MariaDB"));
        assert_eq!(product("mysqld  Ver 8.4.0 for Linux"), None);
    }
}
