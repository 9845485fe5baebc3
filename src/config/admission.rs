//! Rules of the admission webhook: the key `admission` of the configuration file. Pure.

use core::net::SocketAddr;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use tracing_subscriber::filter::EnvFilter;

use super::check::{Assignments, Rule, assignment_of_rule, config_file};
use super::file::{AdmissionEntry, TogetherEntry};
use super::layer::{ErrorList, GivenValue, Layers};
use super::settings::{
    CONFIG, CONTEXT, KUBERNETES_SERVICE_ACCOUNT, LISTEN, LOG_FORMAT, LOG_LEVEL, MAIN, NGINX_VERSION, SETTINGS,
    SettingSpec,
};
use super::validators::with_files;
use super::{ConfigError, SettingOrigin, UserInput, flags, in_order, resolve};
use crate::report::log::LogFormat;
use crate::sys::kubernetes::ApiAccess;
use crate::sys::suggest::suggestion;

/// Settings that an object may have as annotations.
pub const OBJECT_SETTINGS: [&SettingSpec; 3] = [MAIN.spec, CONTEXT.spec, NGINX_VERSION.spec];

/// Settings of the webhook that `run` and `check` have as well.
pub const WEBHOOK_SETTINGS: [&str; 11] = [
    "config",
    "kubernetes-service-account",
    "listen",
    "log-format",
    "log-level",
    "nginx-version",
    "nginx-build",
    "nginx-allow",
    "nginx-hygiene",
    "tls-name",
    "tls-warn",
];

/// Address of the webhook, unless one is given.
const ADDRESS: &str = ":8443";

const KINDS: [&str; 2] = ["ConfigMap", "Secret"];

/// Settings of the webhook by flags, variables and the configuration file.
#[derive(Debug)]
pub struct AdmissionConfig {
    /// Rules, and settings of validators.
    pub rules: AdmissionRules,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Address of the API server and the account of the pod.
    pub access: ApiAccess,
    /// Format of events.
    pub log_format: LogFormat,
    /// Selection of spans and decisions in the log.
    pub log_filter: EnvFilter,
}

/// Rules of the admission webhook.
#[derive(Debug, Default)]
pub struct AdmissionRules {
    /// The rules; all that cover an object apply, the first of them to each key.
    pub rules: Vec<AdmissionRule>,
    /// Settings of validators that objects name.
    pub assignments: Assignments,
}

/// Rule of the admission webhook.
#[derive(Clone, Debug)]
pub struct AdmissionRule {
    /// Kind of its objects; `None` for both.
    pub kind: Option<&'static str>,
    /// Patterns of namespaces.
    pub namespaces: Vec<GlobMatcher>,
    /// Patterns of names.
    pub names: Vec<GlobMatcher>,
    /// Patterns of keys, and their validators.
    pub rule: Rule,
    /// ConfigMaps that one program reads, and that are validated together.
    pub together: Vec<TogetherPart>,
}

/// ConfigMap of several that one program reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TogetherPart {
    /// Name.
    pub name: String,
    /// Directory at which the program sees it.
    pub mount: PathBuf,
}

/// Resolves the settings of the admission webhook.
///
/// # Errors
/// All errors at once.
pub fn admission(input: &UserInput<'_>) -> Result<AdmissionConfig, Vec<ConfigError>> {
    let errors = ErrorList::default();
    let is_own = |setting: &SettingSpec| WEBHOOK_SETTINGS.contains(&setting.name);
    let is_variable = |name: &OsString| SETTINGS.iter().any(|setting| is_own(setting) && *name == *setting.variable());
    let variables: Vec<_> = input.variables.iter().filter(|(name, _)| is_variable(name)).cloned().collect();
    let variables = flags::variables_layer(&variables, true, &mut Vec::new(), &errors);
    let mut flags = flags::layer(&input.flags);
    flags.add_below(&variables);
    let file = config_file(input, &flags, &errors);
    let command = Layers { layers: vec![flags.clone()], directory: &input.directory, errors: &errors };
    let listen = command.get(LISTEN).or_else(|| listener_address(ADDRESS).ok());
    let (log_format, log_filter) = (resolve::log_format(&command, input.terminal), command.get(LOG_LEVEL));
    let service_account = command.get(KUBERNETES_SERVICE_ACCOUNT);
    let server = resolve::api_server(&input.variables);
    let access = ApiAccess { kubeconfig: None, server, service_account, namespace: None };
    // What is left are settings of validators.
    for setting in [CONFIG.spec, KUBERNETES_SERVICE_ACCOUNT.spec, LISTEN.spec, LOG_FORMAT.spec, LOG_LEVEL.spec] {
        flags.remove(setting);
    }
    let base = Layers { layers: vec![flags.clone()], ..command.clone() };
    let rules = file.admission.into_iter().filter_map(|entry| rule(entry, &base, input)).collect();
    let assignments = Assignments { flags, directory: input.directory.clone(), ..Assignments::default() };
    // These flags are checked even if no object needs such a validator.
    let wrong = ["nginx", "tls"].map(|name| assignments.assignment_named(name).err());
    errors.extend(wrong.into_iter().flatten());
    let errors = errors.into_errors();
    let rules = AdmissionRules { rules, assignments };
    match listen.filter(|_| errors.is_empty()) {
        Some(listen) => Ok(AdmissionConfig { rules, listen, access, log_format, log_filter }),
        None => Err(in_order(errors)),
    }
}

fn rule(mut entry: AdmissionEntry, base: &Layers<'_>, input: &UserInput<'_>) -> Option<AdmissionRule> {
    let settings = with_files(std::mem::take(&mut entry.settings), input, base.errors);
    let layers = Layers { layers: [vec![settings], base.layers.clone()].concat(), ..base.clone() };
    let kind = entry.kind.and_then(|given| kind(&given, base.errors));
    let all = |given: Vec<GivenValue<String>>| {
        let given = if given.is_empty() {
            vec![GivenValue { value: "*".to_owned(), origin: SettingOrigin::Nowhere }]
        } else {
            given
        };
        given.iter().filter_map(|pattern| glob(pattern, base.errors)).collect::<Vec<_>>()
    };
    let (namespaces, names, keys) = (all(entry.namespaces), all(entry.names), all(entry.keys));
    let assignment = Arc::new(assignment_of_rule(&layers)?);
    let together = entry.together.into_iter().filter_map(|part| together(part, base.errors)).collect();
    Some(AdmissionRule { kind, namespaces, names, rule: Rule { files: keys, assignment }, together })
}

fn kind(given: &GivenValue<String>, errors: &ErrorList) -> Option<&'static str> {
    let known = KINDS.into_iter().find(|kind| *kind == given.value);
    if known.is_none() {
        let message = format!("`{}` is neither ConfigMap nor Secret{}", given.value, suggestion(&given.value, KINDS));
        errors.push(ConfigError::new(given.origin.clone(), message));
    }
    known
}

fn together(TogetherEntry { name, path }: TogetherEntry, errors: &ErrorList) -> Option<TogetherPart> {
    if !Path::new(&path.value).is_absolute() {
        let error = ConfigError::new(path.origin, format!("`{}` is no absolute path", path.value));
        errors.push(error.help("name the directory at which the program sees the ConfigMap, as `/etc/nginx`"));
        return None;
    }
    // Requests are sent for this name, so it is one and no pattern (RFC 1123, as Kubernetes' apimachinery checks it).
    let is_name = |name: &str| {
        let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        (1..=253).contains(&name.len()) && name.chars().all(is_fit) && !name.starts_with(['.', '-'])
    };
    if !is_name(&name.value) {
        errors.push(ConfigError::new(name.origin, format!("`{}` is no name of a ConfigMap", name.value)));
        return None;
    }
    Some(TogetherPart { name: name.value, mount: path.value.into() })
}

fn glob(given: &GivenValue<String>, errors: &ErrorList) -> Option<GlobMatcher> {
    let glob = Glob::new(&given.value);
    let glob = glob.map_err(|error| errors.push(ConfigError::new(given.origin.clone(), error.kind().to_string())));
    glob.ok().map(|glob| glob.compile_matcher())
}

/// Parses the address of a listener, as `--listen` of `run` does.
///
/// # Errors
/// The reason, in one line.
pub fn listener_address(text: &str) -> Result<SocketAddr, String> {
    (LISTEN.parse)(text, Path::new("/")).map_err(|invalid| invalid.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<AdmissionRules, Vec<String>> {
        let read = |_: &Path| Ok(text.to_owned());
        let input = UserInput {
            flags: vec![(CONFIG.spec, "admission.yaml".to_owned())],
            variables: Vec::new(),
            read: &read,
            is_directory: &|_| true,
            directory: "/".into(),
            terminal: false,
        };
        admission(&input).map(|config| config.rules).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_rule_has_patterns_settings_and_objects_that_belong_together() {
        let text = r"
admission:
- namespaces: [web-*]
  kind: ConfigMap
  keys: '*.conf'
  app: nginx
  nginx-version: 1.26
  together:
  - {name: main, path: /etc/nginx}
  - {name: sites, path: /etc/nginx/conf.d}
";
        let rules = rules(text).expect("it is valid").rules;
        assert_eq!(rules.len(), 1);
        let rule = &rules[0];
        assert!(rule.namespaces[0].is_match("web-a") && !rule.namespaces[0].is_match("db"));
        assert!(rule.names[0].is_match("anything") && rule.rule.files[0].is_match("web.conf"));
        assert_eq!(rule.kind, Some("ConfigMap"));
        assert_eq!(rule.together.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["main", "sites"]);
    }

    #[test]
    fn all_errors_are_reported_with_their_places() {
        let text = r"
admission:
- kind: ConfigMaps
  app: nginx
- namespaces: web
- app: nginx
  together: [{name: Main, path: /a}, {name: main, path: conf.d}, {name: main}]
- ap: nginx
- {namspaces: [x], app: nginx}
";
        let errors = rules(text).expect_err("they are wrong").join("\n");
        for expected in [
            "3:9: `ConfigMaps` is neither ConfigMap nor Secret",
            "5:3: this rule names no validator",
            "`Main` is no name of a ConfigMap",
            "`conf.d` is no absolute path",
            "it names no object and its directory",
            "unknown key `ap`",
            "9:4: unknown key `namspaces`; did you mean `namespaces`?\n  help: use `kind`, `namespaces`, `names`, `keys`, `together`, or",
        ] {
            assert!(errors.contains(expected), "{expected}: {errors}");
        }
    }
}
