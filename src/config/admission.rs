//! Rules of the admission webhook: the key `admission` of the configuration file. Pure.

use core::net::SocketAddr;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use tracing_subscriber::filter::EnvFilter;

use super::check::{Assignment, Assignments, Rule, assignment_of_rule, config_file};
use super::file::{AdmissionEntry, ConfigPart, TogetherEntry};
use super::layer::{ErrorList, GivenValue, Layers};
use super::settings::{
    APP, BUILTIN, CONFIG, CONTEXT, KUBERNETES_SERVICE_ACCOUNT, LISTEN, LOG_FORMAT, LOG_LEVEL, MAIN, NGINX_VERSION,
    PRESET, SETTINGS, SettingSpec,
};
use super::validators::with_files;
use super::{ConfigError, SettingOrigin, UserInput, flags, in_order, resolve};
use crate::flow::validate::Validator;
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
    /// Remarks on what has no effect, for people.
    pub remarks: Vec<String>,
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
    let file = config_file(input, ConfigPart::Admission, &flags, &errors);
    let command = Layers { layers: vec![flags.clone()], directory: &input.directory, errors: &errors };
    let listen = command.get(LISTEN).or_else(|| listener_address(ADDRESS).ok());
    let path = command.given(CONFIG).map(|path| path.value);
    let (log_format, log_filter) = (resolve::log_format(&command, input.terminal), command.get(LOG_LEVEL));
    let service_account = command.get(KUBERNETES_SERVICE_ACCOUNT);
    let (kubeconfig, server) = (resolve::kubeconfig(&input.variables), resolve::api_server(&input.variables));
    let access = ApiAccess { kubeconfig, server, service_account, namespace: None };
    // What is left are settings of validators.
    for setting in [CONFIG.spec, KUBERNETES_SERVICE_ACCOUNT.spec, LISTEN.spec, LOG_FORMAT.spec, LOG_LEVEL.spec] {
        flags.remove(setting);
    }
    let base = Layers { layers: vec![flags.clone()], ..command.clone() };
    let lacks_rules = file.admission.is_none();
    let rules = file.admission.into_iter().flatten().filter_map(|entry| rule(entry, &base, input)).collect();
    let remarks = path
        .filter(|_| lacks_rules)
        .map(|path| format!("`{}` has no `admission`: it has no rules for the webhook", path.display()));
    let remarks = remarks.into_iter().collect();
    let assignments = Assignments { flags, directory: input.directory.clone(), ..Assignments::default() };
    // These flags are checked even if no object needs such a validator.
    let wrong = ["nginx", "tls"].map(|name| assignments.assignment_named(name).err());
    errors.extend(wrong.into_iter().flatten());
    let errors = errors.into_errors();
    let rules = AdmissionRules { rules, assignments };
    match listen.filter(|_| errors.is_empty()) {
        Some(listen) => Ok(AdmissionConfig { rules, listen, access, log_format, log_filter, remarks }),
        None => Err(in_order(errors)),
    }
}

fn rule(mut entry: AdmissionEntry, base: &Layers<'_>, input: &UserInput<'_>) -> Option<AdmissionRule> {
    let settings = with_files(std::mem::take(&mut entry.settings), input, base.errors);
    let layers = Layers { layers: [vec![settings], base.layers.clone()].concat(), ..base.clone() };
    let kind = entry.kind.as_ref().and_then(|given| kind(given, base.errors));
    let any = [GivenValue { value: "*".to_owned(), origin: SettingOrigin::Nowhere }];
    let all = |given: &[GivenValue<String>]| {
        let given = if given.is_empty() { &any[..] } else { given };
        given.iter().filter_map(|pattern| glob(pattern, base.errors)).collect::<Vec<_>>()
    };
    let (namespaces, names, keys) = (all(&entry.namespaces), all(&entry.names), all(&entry.keys));
    refuse_apart(&entry, &names, base.errors);
    let assignment = assignment_of_rule(&layers, "add `app: NAME`, `preset: FILE` or `builtin: NAME` to the rule")?;
    refuse_programs(&assignment, &layers);
    let assignment = Arc::new(assignment);
    let together: Vec<TogetherPart> =
        entry.together.into_iter().filter_map(|part| together(part, base.errors)).collect();
    Some(AdmissionRule { kind, namespaces, names, rule: Rule { files: keys, assignment }, together })
}

/// Refuses a rule whose validators need a program, since none runs here.
fn refuse_programs(assignment: &Assignment, layers: &Layers<'_>) {
    let plan = assignment.plan.clone().bundled();
    let program = plan.validators.iter().find_map(|validator| match validator {
        Validator::Command(command) => Some(&command.name),
        Validator::Builtin(_) => None,
    });
    let message = match program {
        Some(program) => format!("only the program `{program}` validates it, and no program runs here"),
        None if plan.validators.is_empty() => "this rule validates nothing".to_owned(),
        None => return,
    };
    let named = [APP.spec, PRESET.spec, BUILTIN.spec].into_iter().find_map(|setting| layers.origin(setting));
    let error = ConfigError::new(named.cloned().unwrap_or_else(|| layers.place()), message);
    layers.fail(error.help("remove the rule, or name a bundled validator: `builtin: NAME`"));
}

/// Refuses objects that belong together and that the rule never validates, or not all of them.
fn refuse_apart(entry: &AdmissionEntry, names: &[GlobMatcher], errors: &ErrorList) {
    if let Some(kind) = entry.kind.as_ref().filter(|kind| kind.value == "Secret" && !entry.together.is_empty()) {
        let error = ConfigError::new(kind.origin.clone(), "`together` is about ConfigMaps, and the rule about Secrets");
        errors.push(error.help("remove `kind`"));
    }
    let mut seen: Vec<&str> = Vec::new();
    for TogetherEntry { name, .. } in &entry.together {
        if seen.contains(&name.value.as_str()) {
            let message = format!("`{}` is named twice; one ConfigMap is in one directory", name.value);
            errors.push(ConfigError::new(name.origin.clone(), message).help("remove it, or correct its name"));
        }
        seen.push(&name.value);
    }
    let is_named = |name: &&str| names.iter().any(|glob| glob.is_match(name));
    if let Some(first) = entry.names.first().filter(|_| !seen.is_empty() && !seen.iter().any(is_named)) {
        let error = ConfigError::new(first.origin.clone(), "none of the objects of `together` has such a name");
        errors.push(error.help("remove `names`: `together` has the names of the objects"));
    }
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
        resolved(text).map(|config| config.rules)
    }

    fn resolved(text: &str) -> Result<AdmissionConfig, Vec<String>> {
        let read = |_: &Path| Ok(text.to_owned());
        let input = UserInput {
            flags: vec![(CONFIG.spec, "admission.yaml".to_owned())],
            variables: Vec::new(),
            read: &read,
            is_directory: &|_| true,
            directory: "/".into(),
            terminal: false,
        };
        admission(&input).map_err(|errors| errors.iter().map(ToString::to_string).collect())
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
    /// Asserts that a file is refused with these words, and with no others of the kind.
    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let errors = rules(text).expect_err(text).join("\n");
        for expected in expected {
            assert!(errors.contains(expected), "{expected}: {errors}");
        }
        assert!(!errors.contains("gates"), "{errors}");
    }

    #[test]
    fn a_rule_that_can_never_validate_is_refused_at_its_place() {
        for (rule, expected) in [
            ("{names: [a]}", "add `app: NAME`, `preset: FILE` or `builtin: NAME` to the rule"),
            ("{app: haproxy}", "2:9: only the program `haproxy"),
            ("{app: nginx, validate: 'nginx -t'}", "2:16: `validate` has no effect in a rule of `admission`"),
            ("{validate: 'nginx -t'}", "2:4: `validate` has no effect in a rule of `admission`"),
            ("{app: nginx, watch: /etc/nginx}", "2:16: `watch` has no effect in a rule of `admission`"),
            ("{app: nginx, timeout: 5s}", "2:16: `timeout` has no effect in a rule of `admission`"),
            (
                "{app: nginx, together: [{name: a, path: /a}, {name: a, path: /b}]}",
                "2:55: `a` is named twice; one ConfigMap is in one directory",
            ),
            ("{app: nginx, kind: Secret, together: [{name: a, path: /a}]}", "2:22: `together` is about ConfigMaps"),
            ("{app: nginx, names: [b*], together: [{name: a, path: /a}]}", "2:24: none of the objects of `together`"),
        ] {
            refused(&format!("admission:\n- {rule}\n"), &[expected]);
        }
    }

    #[test]
    fn mistakes_of_the_form_have_a_help_about_rules_of_admission() {
        const FORM: &str = "write the file as `admission: [{namespaces: [web], app: nginx}]`";
        for (text, expected) in [
            ("admission: {app: nginx}\n", "`admission` is a list"),
            ("admission:\n", "`admission` is a list"),
            ("admision: [{app: nginx}]\n", "unknown key `admision`; did you mean `admission`?"),
            ("{}\n", "the file has no rules of `admission`"),
            ("", "the file is no mapping with the key `admission`"),
            ("- app: nginx\n", "the file is no mapping with the key `admission`"),
        ] {
            refused(text, &[expected, FORM]);
        }
    }

    #[test]
    fn a_file_without_rules_of_admission_is_remarked() {
        let remarks = |text: &str| resolved(text).expect("it is valid").remarks;
        let expected = "`admission.yaml` has no `admission`: it has no rules for the webhook";
        assert_eq!(remarks("gates: [{app: nginx, watch: /etc/nginx}]\n"), [expected]);
        assert_eq!(remarks("rules: [{files: a, app: nginx}]\n"), [expected]);
        assert_eq!(remarks("rules: []\n"), [expected]);
        assert_eq!(remarks("gates: []\n"), [expected]);
        assert_eq!(remarks("gates: [{app: nginx, watch: /etc/nginx}]\nadmission: []\n"), Vec::<String>::new());
    }
}
