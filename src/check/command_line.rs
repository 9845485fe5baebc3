//! Configuration files that the command line of a container names. Pure.

use std::path::PathBuf;

/// Programs of a preset or of a bundled schema, and the options that name their configuration, from the manual of each program.
const OPTIONS: [(&str, &[&str], &[&str]); 35] = [
    ("alertmanager", &["alertmanager"], &["--config.file"]),
    ("apache2", &["apache2", "httpd"], &["-f"]),
    ("bird", &["bird"], &["-c"]),
    ("blackbox-exporter", &["blackbox_exporter", "blackbox-exporter"], &["--config.file"]),
    ("caddy", &["caddy"], &["--config", "-c"]),
    ("dnsdist", &["dnsdist"], &["-C", "--config"]),
    ("dnsmasq", &["dnsmasq"], &["-C", "--conf-file"]),
    ("dovecot", &["dovecot"], &["-c"]),
    ("envoy", &["envoy"], &["-c", "--config-path"]),
    ("fluent-bit", &["fluent-bit"], &["-c", "--config"]),
    ("fluentd", &["fluentd"], &["-c", "--config"]),
    ("gunicorn", &["gunicorn"], &["-c", "--config"]),
    ("haproxy", &["haproxy"], &["-f"]),
    ("keepalived", &["keepalived"], &["-f", "--use-file"]),
    ("lighttpd", &["lighttpd"], &["-f"]),
    ("logstash", &["logstash"], &["-f", "--path.config"]),
    ("loki", &["loki", "grafana-loki"], &["-config.file", "--config.file"]),
    ("mimir", &["mimir", "grafana-mimir"], &["-config.file", "--config.file"]),
    ("mosquitto", &["mosquitto", "eclipse-mosquitto"], &["-c", "--config-file"]),
    ("named", &["named"], &["-c"]),
    ("nats-server", &["nats-server", "nats"], &["-c", "--config"]),
    ("nginx", &["nginx", "nginx-debug", "openresty"], &["-c"]),
    (
        "otelcol",
        &[
            "otelcol",
            "otelcol-contrib",
            "otelcol-k8s",
            "opentelemetry-collector",
            "opentelemetry-collector-contrib",
            "opentelemetry-collector-k8s",
        ],
        &["--config"],
    ),
    ("php-fpm", &["php-fpm"], &["-y", "--fpm-config"]),
    ("prometheus", &["prometheus"], &["--config.file"]),
    ("promtail", &["promtail"], &["-config.file", "--config.file"]),
    ("rsyslog", &["rsyslogd"], &["-f"]),
    ("squid", &["squid"], &["-f"]),
    ("sshd", &["sshd"], &["-f"]),
    ("telegraf", &["telegraf"], &["--config", "-config"]),
    ("tempo", &["tempo", "grafana-tempo"], &["-config.file", "--config.file"]),
    ("traefik", &["traefik"], &["--configFile", "--configfile"]),
    ("unbound", &["unbound"], &["-c"]),
    ("vector", &["vector"], &["-c", "--config", "--config-yaml", "--config-toml"]),
    ("vmagent", &["vmagent"], &["-promscrape.config", "--promscrape.config"]),
];

/// Configuration that a command line names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedConfig {
    /// Name of the preset or of the bundled schema.
    pub(super) program: &'static str,
    /// Files and directories, in order.
    pub(super) paths: Vec<PathBuf>,
    /// Option with its value, for reports.
    pub(super) words: String,
}

/// Returns the configuration that a container's words name. Where they have no command, the program is that of the image `image`.
pub(super) fn named_config(command: &[String], arguments: &[String], image: &str) -> Option<NamedConfig> {
    let words: Vec<String> = command.iter().chain(arguments).flat_map(|word| split_script(word)).collect();
    let (program, options, rest) = find_program(&words, command.is_empty(), image)?;
    let mut paths = Vec::new();
    let mut named = Vec::new();
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        // The next command of a script has options of its own.
        if matches!(word.as_str(), "&&" | "||" | ";" | "|" | "&") {
            break;
        }
        let Some((option, value)) = options.iter().find_map(|option| value_of(word, option)) else { continue };
        let Some(value) = value.map(str::to_owned).or_else(|| words.next().cloned()) else { break };
        named.push(format!("{option} {value}"));
        paths.push(PathBuf::from(value));
    }
    let words = named.join(" ");
    (!paths.is_empty()).then_some(NamedConfig { program, paths, words })
}

/// Finds the program among the words; the rest are its arguments.
fn find_program<'w>(
    words: &'w [String],
    is_entry_point: bool,
    image: &str,
) -> Option<(&'static str, &'static [&'static str], &'w [String])> {
    for (at, word) in words.iter().enumerate() {
        let name = word.rsplit('/').next().unwrap_or(word);
        if let Some((preset, _, options)) = OPTIONS.iter().find(|(_, programs, _)| programs.contains(&name)) {
            return Some((preset, options, &words[at + 1..]));
        }
        // Options and operands of another program may have the name of a program as well.
        let is_wrapper = matches!(
            name,
            "sh" | "bash" | "ash" | "exec" | "-c" | "-ec" | "-lc" | "-exc" | "tini" | "dumb-init" | "--"
        ) || name.ends_with(".sh");
        if !is_wrapper {
            break;
        }
    }
    let (preset, _, options) = OPTIONS
        .iter()
        .find(|(preset, programs, _)| is_entry_point && (programs.contains(&image) || *preset == image))?;
    Some((preset, options, words))
}

/// Returns the option and its value if `word` is `--option=VALUE`, or `-oVALUE`; no value if it is the option alone.
fn value_of<'w>(word: &'w str, option: &'static str) -> Option<(&'static str, Option<&'w str>)> {
    let rest = word.strip_prefix(option)?;
    match rest.strip_prefix('=') {
        Some(value) => Some((option, Some(value))),
        None if rest.is_empty() => Some((option, None)),
        // `-f/etc/haproxy.cfg`, and of `-config` nothing.
        None if option.len() == 2 && !option.starts_with("--") && rest.starts_with('/') => Some((option, Some(rest))),
        None => None,
    }
}

/// Splits the script of `sh -c`; any other word stays one.
fn split_script(word: &str) -> Vec<String> {
    let is_script = word.contains(char::is_whitespace);
    is_script.then(|| shell_words::split(word).ok()).flatten().unwrap_or_else(|| vec![word.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_named(command: &[&str], arguments: &[&str], image: &str, expected: Option<(&str, &[&str])>) {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let found = named_config(&words(command), &words(arguments), image);
        let found = found.as_ref().map(|found| {
            let paths: Vec<_> = found.paths.iter().filter_map(|path| path.to_str()).collect();
            (found.program, paths)
        });
        assert_eq!(found, expected.map(|(program, paths)| (program, paths.to_vec())));
    }

    #[test]
    fn options_name_the_configuration() {
        assert_named(&[], &["-c", "/etc/envoy/b.yaml"], "envoy", Some(("envoy", &["/etc/envoy/b.yaml"])));
        assert_named(&["nginx", "-g", "daemon off;", "-c", "/c.conf"], &[], "web", Some(("nginx", &["/c.conf"])));
        assert_named(&[], &["--config.file=/p.yml"], "prometheus", Some(("prometheus", &["/p.yml"])));
        assert_named(
            &["/usr/sbin/haproxy"],
            &["-W", "-f", "/a.cfg", "-f/b"],
            "x",
            Some(("haproxy", &["/a.cfg", "/b"])),
        );
        assert_named(&[], &["--config=/c.yaml"], "opentelemetry-collector", Some(("otelcol", &["/c.yaml"])));
        assert_named(&[], &["-promscrape.config=/v.yml"], "vmagent", Some(("vmagent", &["/v.yml"])));
        assert_named(&["sh", "-c", "exec nginx -c /x.conf"], &[], "web", Some(("nginx", &["/x.conf"])));
    }

    #[test]
    fn words_of_other_programs_name_nothing() {
        assert_named(&["curl", "-c", "/jar", "nginx"], &[], "nginx", None);
        assert_named(&[], &["-c", "/x"], "busybox", None);
        assert_named(&["sh", "-c", "nginx && curl -c /jar"], &[], "web", None);
    }
}
