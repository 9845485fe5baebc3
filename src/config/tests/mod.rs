//! Tests of the settings. The input of the user is a [`Scenario`]; error messages are compared as whole screens.

mod errors;
mod programs;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::flow::validate::{Main, RootChoice};

/// Input of the user: flags, variables, and the text of `gates.yaml`.
#[derive(Default)]
struct Scenario<'a> {
    flags: &'a [(&'static str, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    file: Option<&'a str>,
}

impl Scenario<'_> {
    fn load(&self) -> Result<Config, Vec<ConfigError>> {
        let variables = self.variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.load_with(variables)
    }

    fn load_with(&self, variables: Vec<(OsString, OsString)>) -> Result<Config, Vec<ConfigError>> {
        let file = self.file.map(|_| ("config", "gates.yaml"));
        let read = |path: &Path| match self.file {
            _ if path == Path::new("/here/schema.json") => Ok("{\"type\": \"object\"}".to_owned()),
            _ if path == Path::new("/here/wrong.json") => Ok("{\n  \"type\": \"objcet\"\n}".to_owned()),
            Some(text) if path == Path::new("/here/gates.yaml") => Ok(text.to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let flags = named_flags(&self.flags.iter().copied().chain(file).collect::<Vec<_>>());
        let is_directory = |path: &Path| path == Path::new("/etc/nginx");
        let directory = "/here".into();
        load(&UserInput { flags, variables, read: &read, is_directory: &is_directory, directory, terminal: false })
    }

    /// The one gate.
    #[track_caller]
    fn gate(&self) -> GateConfig {
        let mut config = self.load().unwrap_or_else(|errors| panic!("{}", shown(&errors)));
        assert_eq!(config.gates.len(), 1);
        config.gates.remove(0)
    }

    /// All errors, as they are printed.
    #[track_caller]
    fn errors(&self) -> String {
        shown(&self.load().expect_err("it is wrong"))
    }
}

/// Flags by their names.
fn named_flags(flags: &[(&str, &str)]) -> Flags {
    let setting = |name| settings::find(name).expect("it is a setting");
    flags.iter().map(|(name, value)| (setting(name), (*value).to_owned())).collect()
}

fn shown(errors: &[ConfigError]) -> String {
    errors.iter().map(|error| format!("error: {error}\n")).collect()
}

#[track_caller]
fn of_flags(flags: &[(&'static str, &str)]) -> GateConfig {
    Scenario { flags, ..Scenario::default() }.gate()
}

#[track_caller]
fn wrong_flags(flags: &[(&'static str, &str)]) -> String {
    Scenario { flags, ..Scenario::default() }.errors()
}

#[track_caller]
fn wrong_file(text: &str) -> String {
    Scenario { file: Some(text), ..Scenario::default() }.errors()
}

/// Compares with the accepted snapshot.
#[track_caller]
fn compare(name: &str, snapshot: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, snapshot));
}

/// A text with the numbers of its lines.
fn numbered(text: &str) -> String {
    text.lines().enumerate().map(|(index, line)| format!("{:3}  {line}\n", index + 1)).collect()
}

/// Names of the validators.
fn names(gate: &GateConfig) -> Vec<String> {
    gate.plan.validators.iter().map(|validator| validator.name().to_owned()).collect()
}

#[test]
fn gates_share_settings_by_a_merge_key() {
    let text = "gates:\n  - &all {name: a, watch: /a, signal: none}\n  - {<<: *all, name: b, watch: /b}\n";
    let config =
        Scenario { file: Some(text), ..Scenario::default() }.load().unwrap_or_else(|errors| panic!("{errors:?}"));
    let gates: Vec<_> = config.gates.iter().map(|gate| (&*gate.name, &gate.sources[0].path)).collect();
    assert_eq!(gates, [("a", &"/a".into()), ("b", &"/b".into())]);
}

#[test]
fn a_flag_hides_a_variable_hides_the_file_hides_the_preset() {
    let signal = |flag: bool, variable: bool, file: bool| {
        let said = Scenario {
            flags: if flag { &[("signal", "USR1")] } else { &[] },
            variables: if variable { &[("RELOAD_GATE_SIGNAL", "USR2")] } else { &[] },
            file: Some(if file {
                "gates: [{app: nginx, watch: /a, signal: TERM}]"
            } else {
                "gates: [{app: nginx, watch: /a}]"
            }),
        };
        said.gate().reload.describe()
    };
    let cases = [
        ((true, true, true), "SIGUSR1"),
        ((false, true, true), "SIGUSR2"),
        ((false, false, true), "SIGTERM"),
        ((false, false, false), "SIGHUP"),
        ((true, false, false), "SIGUSR1"),
    ];
    for ((flag, variable, file), expected) in cases {
        assert_eq!(signal(flag, variable, file), expected, "{flag} {variable} {file}");
    }
}

#[test]
fn a_choice_hides_the_whole_choice_of_a_lower_layer() {
    // Not: "exclude each other", since the preset's signal was not the user's word.
    let gate = of_flags(&[("app", "nginx"), ("watch", "/a"), ("reload-url", "http://x/"), ("verify-command", "true")]);
    assert_eq!((gate.reload.describe(), gate.verification.describe()), ("POST http://x/".into(), "`true`".into()));
    let file = "gates: [{watch: /a, reload-url: 'http://x/', process: app, validate: [a, b], verify-url: 'http://y/'}]";
    let said = Scenario { flags: &[("signal", "HUP"), ("validate", "c")], file: Some(file), ..Scenario::default() };
    let gate = said.gate();
    assert_eq!((gate.reload.describe(), names(&gate)), ("SIGHUP".into(), vec!["c".to_owned()]));
    assert_eq!(gate.verification.describe(), "GET http://y/");
    // Lists are one value: the paths of a lower layer are not added.
    let said =
        Scenario { variables: &[("RELOAD_GATE_WATCH", "/b\n\n /c \n")], file: Some(file), ..Scenario::default() };
    let paths: Vec<_> = said.gate().sources.into_iter().map(|source| source.path).collect();
    assert_eq!(paths, ["/b", "/c"].map(PathBuf::from));
}

#[test]
fn the_settings_of_the_gate_are_no_variables_of_a_configuration() {
    let variables = [("RELOAD_GATE_ALERT_WEBHOOK", "https://example.com/hunter2"), ("REGION", "eu")];
    let flags = &[("watch", "/a"), ("publish", "/b"), ("signal", "none"), ("expand", "true")];
    let gate = Scenario { flags, variables: &variables, ..Scenario::default() }.gate();
    let rendering = gate.rendering.expect("it renders");
    assert_eq!(rendering.variables, [("REGION".to_owned(), "eu".to_owned())].into());
}

#[test]
fn the_variables_of_the_shell_sidecar_work() {
    let legacy: &[(&str, &str)] = &[("FILE", "/etc/nginx/nginx.conf"), ("PROCESS", "nginx"), ("SIGNAL", "HUP")];
    let gate = Scenario { variables: legacy, ..Scenario::default() }.gate();
    assert_eq!((gate.name.as_str(), gate.reload.describe().as_str()), ("nginx", "SIGHUP"));
    assert_eq!(names(&gate), ["nginx -t"], "the process implies the preset");
    assert_eq!(gate.plan.main, Main::Usual("nginx.conf".into()));
    let path = PathBuf::from("/etc/nginx/nginx.conf");
    assert_eq!(gate.sources, [Source { path: path.clone(), mount: path, whole_volume: true }]);
    // What is said in this program's own words hides them one by one, wherever it is said.
    let own = |flags, variables: &[(&'static str, &'static str)]| {
        let variables = [legacy, variables].concat();
        let gate = Scenario { flags, variables: &variables, ..Scenario::default() }.gate();
        let source = gate.sources.into_iter().next().expect("one");
        (source.path.display().to_string(), source.whole_volume, gate.reload.describe())
    };
    let file = "/etc/nginx/nginx.conf".to_owned();
    assert_eq!(own(&[], &[("RELOAD_GATE_SIGNAL", "USR1")]), (file.clone(), true, "SIGUSR1".into()));
    assert_eq!(own(&[("watch", "/b")], &[]), ("/b".into(), false, "SIGHUP".into()));
    assert_eq!(own(&[], &[("RELOAD_GATE_WATCH", "/b")]), ("/b".into(), false, "SIGHUP".into()));
    // Its variables said with nothing in them are not said, as for the sidecar itself.
    assert_eq!(own(&[("signal", "USR2")], &[]), (file, true, "SIGUSR2".into()));
    let without = Scenario { variables: &[("FILE", ""), ("RELOAD_GATE_SIGNAL", "none")], ..Scenario::default() };
    assert!(without.errors().contains("there is nothing to watch"));
    // A configuration file says all; variables of so common names are somebody else's then.
    let said = Scenario { variables: legacy, file: Some("gates: [{watch: /a, signal: none}]"), ..Scenario::default() };
    assert_eq!(said.gate().sources[0].path, Path::new("/a"));
}

/// A value for each setting of a gate that is not its default.
const VALUES: &[(&str, &str)] = &[
    ("app", "none"),
    ("watch", "/a"),
    ("main", "b.conf"),
    ("mount", "/m"),
    ("name", "web"),
    ("include", "*.conf"),
    ("exclude", "cache/"),
    ("links", "refuse"),
    ("max-bytes", "7"),
    ("max-files", "8"),
    ("publish", "/p"),
    ("cluster-source", "configmap/web"),
    ("nudge", "true"),
    ("rollout", "web"),
    ("rollout-soak", "5s"),
    ("rollout-parallel", "10%"),
    ("on-api-loss", "proceed"),
    ("known-good", "configmap/web-good"),
    ("stage", "/s"),
    ("on-empty", "fail"),
    ("require", "r.conf"),
    ("max-shrink", "50"),
    ("validate", "check {config}"),
    ("builtin", "nginx"),
    ("nginx-version", "1.10.0"),
    ("nginx-build", "debian"),
    ("nginx-allow", "more_set_headers"),
    ("context", "http"),
    ("tls-name", "www.example.org"),
    ("tls-warn", "15d"),
    ("root", "local"),
    ("sandbox", "strict"),
    ("pass-env", "PORT"),
    ("timeout", "9s"),
    ("process", "p"),
    ("cmdline", "c"),
    ("exe", "/e"),
    ("pid-file", "/f"),
    ("signal", "USR1"),
    ("allow-uncaught", "true"),
    ("min-interval", "16s"),
    ("reload-budget", "3/17m"),
    ("max-lingering", "4"),
    ("verify", "workers"),
    ("verify-timeout", "11s"),
    ("redact", "always"),
    ("diff", "true"),
    ("observe", "true"),
    ("settle", "12s"),
    ("poll", "13s"),
    ("grace", "14s"),
];
/// Settings that exclude one of these, or read a file.
const OTHERS: &[&str] = &[
    "nginx-hygiene",
    "preset",
    "expand",
    "publish-as",
    "schema",
    "reload-url",
    "reload-command",
    "verify-url",
    "verify-command",
    "verify-metric",
    "verify-metric-url",
];

#[test]
fn every_setting_has_a_flag_a_variable_and_a_key() {
    let values: BTreeMap<&str, &str> = VALUES.iter().copied().collect();
    let credentials = ["bearer-file", "basic-file", "header", "ca-file", "cert-file", "key-file", "server-name"];
    let others: Vec<_> =
        OTHERS.iter().map(|name| (*name).to_owned()).chain(credentials.map(|name| format!("reload-{name}"))).collect();
    let of_gate = SETTINGS.iter().filter(|setting| setting.of_gate).map(|setting| setting.name);
    let missing: Vec<_> =
        of_gate.filter(|name| !values.contains_key(name) && !others.iter().any(|other| other == name)).collect();
    assert!(missing.is_empty(), "a new setting wants a line here: {missing:?}");

    let flags: Vec<_> = values.iter().map(|(name, value)| (*name, *value)).collect();
    let pod = ("POD_NAME", "web-0");
    let by_flag = Scenario { flags: &flags, variables: &[pod], ..Scenario::default() }.gate();
    let names: Vec<_> = values.keys().map(|name| settings::find(name).expect("it is a setting").variable()).collect();
    let variables: Vec<_> = names.iter().map(String::as_str).zip(values.values().copied()).chain([pod]).collect();
    let by_variable = Scenario { variables: &variables, ..Scenario::default() }.gate();
    let keys: String = values.iter().map(|(name, value)| format!("    {name}: '{value}'\n")).collect();
    let text = format!("gates:\n  -\n{keys}");
    let by_key = Scenario { file: Some(&text), variables: &[pod], ..Scenario::default() }.gate();
    assert_eq!(format!("{by_flag:#?}"), format!("{by_variable:#?}"));
    assert_eq!(format!("{by_flag:#?}"), format!("{by_key:#?}"));
    compare("every_setting", &format!("{by_flag:#?}\n"));
}

#[test]
fn settings_between_pods_name_what_they_lack() {
    let pod = [("POD_NAME", "web-0")];
    let errors = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let flags: Vec<_> =
            [("watch", "/a"), ("process", "app"), ("signal", "HUP")].iter().chain(flags).copied().collect();
        Scenario { flags: &flags, variables, ..Scenario::default() }.errors()
    };
    for (flags, variables, expected) in [
        (&[("rollout", "web")][..], &[][..], "`--rollout`: the name of this pod is unknown"),
        (&[("nudge", "true")], &pod, "`--nudge`: `nudge` does not know the object of the volume"),
        (&[("rollout-soak", "5s")], &pod, "`--rollout-soak`: `rollout-soak` has no effect without"),
        (
            &[("nudge", "true"), ("cluster-source", "secret/a"), ("on-api-loss", "wait")],
            &pod,
            "`on-api-loss` has no effect",
        ),
        (&[("known-good", "configmap/b")], &pod, "`known-good` has no effect without a publication"),
        (
            &[("known-good", "configmap/b"), ("cluster-source", "secret/a"), ("publish", "/p")],
            &pod,
            "the configuration is a Secret, and its known-good revision would be a ConfigMap",
        ),
        (
            &[("known-good", "secret/a"), ("cluster-source", "secret/a"), ("publish", "/p")],
            &pod,
            "would replace the object of the volume",
        ),
        (&[("rollout", "Web")], &pod, "`Web` is no name of an object"),
        (&[("rollout", "web"), ("rollout-parallel", "0%")], &pod, "`0%` lets no pod reload"),
        (&[("rollout", "web"), ("cluster-source", "web")], &pod, "`web` has no `/`"),
    ] {
        let errors = errors(flags, variables);
        assert!(errors.contains(expected), "{flags:?}: {errors}");
    }
    // A value that is wrong is one error: it has no effect for no other reason.
    for flag in [("known-good", "web"), ("rollout", "Web")] {
        let errors = errors(&[flag, ("cluster-source", "configmap/a")], &pod);
        assert!(!errors.contains("has no effect"), "{errors}");
    }
    let file = "gates:\n- {name: a, watch: /a, signal: none, publish: /p, rollout: web}\n- {name: b, watch: /b, signal: none, publish: /q, rollout: web}\n";
    let wrong = Scenario { file: Some(file), variables: &pod, ..Scenario::default() }.errors();
    assert!(wrong.contains("another gate of this pod has the roll-out group `web` too"), "{wrong}");
    let source = ("cluster-source", "configmap/a");
    let errors = errors(&[("rollout", "My_Group"), ("rollout-soak", "5s"), ("nudge", "true"), source], &pod);
    assert!(!errors.contains("has no effect"), "{errors}");
}

#[test]
fn the_account_of_a_roll_out_may_be_chosen() {
    let flags = [("watch", "/a"), ("process", "app"), ("signal", "HUP"), ("rollout", "web")];
    let flags: Vec<_> = flags.into_iter().chain([("kubernetes-service-account", "/account")]).collect();
    let variables =
        [("POD_NAME", "web-0"), ("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "6443")];
    let gate = Scenario { flags: &flags, variables: &variables, ..Scenario::default() }.gate();
    let access = gate.cluster.expect("it has a roll-out").access;
    assert_eq!(
        (access.server.as_str(), access.service_account.as_path()),
        ("https://[fd00::1]:6443", Path::new("/account"))
    );
    assert!(gate.policy.permission);
}

#[test]
fn every_default_is_valid() {
    // A gate without settings reads the default of each.
    let config = Scenario { flags: &[("watch", "/a"), ("signal", "none")], ..Scenario::default() }.load();
    assert!(config.is_ok(), "{config:?}");
    let mut names = BTreeSet::new();
    for setting in SETTINGS {
        assert!(names.insert(setting.name), "`{}` is defined twice", setting.name);
        assert!(setting.default.is_none() || matches!(setting.takes, Takes::One(_)), "{}", setting.name);
    }
}

#[test]
fn a_gate_without_settings_has_the_defaults() {
    let gate = of_flags(&[("watch", "/a"), ("signal", "none")]);
    assert_eq!((gate.reading.limits.bytes, gate.reading.limits.files), (16 << 20, 10_000));
    assert_eq!(gate.plan.timeout, Duration::from_secs(30));
    assert_eq!(gate.verify_timeout, Duration::from_secs(30));
    assert_eq!(gate.policy.quiet, Duration::from_millis(100));
    assert_eq!(gate.policy.poll, Duration::from_secs(30));
    assert_eq!(gate.policy.grace, Duration::from_secs(5));
    assert_eq!(gate.plan.root, RootChoice::Auto);
    assert_eq!(gate.plan.main, Main::Only);
    assert_eq!(gate.name, "default");
    assert!(!gate.policy.reload);
}

#[test]
fn a_size_takes_units() {
    for (text, expected) in [
        ("1", 1),
        ("16777216", 16 << 20),
        ("16k", 16 << 10),
        ("16Ki", 16 << 10),
        ("16M", 16 << 20),
        ("16MiB", 16 << 20),
        ("16mb", 16 << 20),
        ("1G", 1 << 30),
    ] {
        let gate = of_flags(&[("watch", "/a"), ("signal", "none"), ("max-bytes", text)]);
        assert_eq!(gate.reading.limits.bytes, expected, "{text}");
    }
    for text in ["0", "0M", "M", "16 M", "1.5M", "-1", "16T", "99999999999G", "16Mx", "sixteen"] {
        let said = wrong_flags(&[("watch", "/a"), ("signal", "none"), ("max-bytes", text)]);
        assert!(said.starts_with(&format!("error: `--max-bytes`: `{text}` is no size above 0\n  help: ")), "{said}");
        assert!(said.contains("`16MiB`"), "{said}");
    }
}

#[test]
fn relative_paths_begin_in_the_working_directory() {
    let flags = [
        ("watch", "conf/./x/"),
        ("mount", "/etc//app/"),
        ("exe", "bin/app"),
        ("pid-file", "../run/pid"),
        ("signal", "HUP"),
    ];
    let gate = of_flags(&flags);
    assert_eq!(gate.sources, [Source { path: "/here/conf/x".into(), mount: "/etc/app".into(), whole_volume: false }]);
    let shown = |path: Option<PathBuf>| path.expect("it is set").display().to_string();
    assert_eq!(shown(gate.selector.exe), "/here/bin/app");
    // What `..` leads to is for the file system to say.
    assert_eq!(shown(gate.selector.pid_file), "/here/../run/pid");
}

#[test]
fn validation_alone_needs_no_reload_method() {
    for flag in [("observe", "true"), ("once", "true"), ("signal", "none"), ("signal", "NONE")] {
        assert!(!of_flags(&[("watch", "/a"), ("builtin", "json"), flag]).policy.reload, "{flag:?}");
    }
    let flags = &[("watch", "/a"), ("once", "true"), ("builtin", "json")];
    let config = Scenario { flags, ..Scenario::default() }.load().expect("it is valid");
    assert!(config.once && config.gates[0].plan.without_target);
}

#[test]
fn addresses_to_listen_on() {
    let gate = [("watch", "/a"), ("signal", "none")];
    let listen = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let flags = [&gate[..], flags].concat();
        let config = Scenario { flags: &flags, variables, ..Scenario::default() }.load().expect("it is valid");
        config.listen.map(|address| address.to_string())
    };
    assert_eq!(listen(&[], &[]), None);
    for (said, meant) in [
        (":9464", "[::]:9464"),
        ("0.0.0.0:9464", "0.0.0.0:9464"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::]:9464", "[::]:9464"),
        ("[::1]:1", "[::1]:1"),
    ] {
        assert_eq!(listen(&[("listen", said)], &[("RELOAD_GATE_LISTEN", ":1")]).as_deref(), Some(meant));
        assert_eq!(listen(&[], &[("RELOAD_GATE_LISTEN", said)]).as_deref(), Some(meant));
        let asked =
            listen_address(&[], &[("RELOAD_GATE_LISTEN".into(), said.into()), ("RELOAD_GATE_X".into(), "y".into())]);
        assert_eq!(asked.map(|address| address.map(|address| address.to_string())), Ok(Some(meant.to_owned())));
    }
    for said in ["", ":", ":0", "localhost:80", "9464", ":99999", "::1:80"] {
        let errors = listen_address(&named_flags(&[("listen", said)]), &[]).expect_err("it is no address");
        assert!(shown(&errors).contains("is no address to listen on"), "{said}: {}", shown(&errors));
    }
    assert_eq!(listen_address(&[], &[]), Ok(None));
}

#[test]
fn events_are_text_on_a_terminal_and_json_elsewhere() {
    let format = |terminal, said: &[(&'static str, &str)]| {
        let flags = [&[("watch", "/a"), ("signal", "none")], said].concat();
        let flags = named_flags(&flags);
        let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let is_directory = |_: &Path| false;
        let (variables, directory) = (Vec::new(), "/".into());
        let input = UserInput { flags, variables, read: &read, is_directory: &is_directory, directory, terminal };
        load(&input).expect("it is valid").log_format
    };
    assert_eq!([format(true, &[]), format(false, &[])], [log::LogFormat::Text, log::LogFormat::Json]);
    let said = [format(false, &[("log-format", "text")]), format(true, &[("log-format", "json")])];
    assert_eq!(said, [log::LogFormat::Text, log::LogFormat::Json]);
}

#[test]
fn the_arguments_of_a_sidecar_are_flags_of_run() {
    let arguments = |words: &[&str]| run_flags(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let flags = arguments(&["run", "--watch", "/a", "--observe"]).expect("they are valid").expect("it is `run`");
    let flags: Vec<_> = flags.iter().map(|(setting, value)| (setting.name, value.as_str())).collect();
    assert_eq!(flags, [("watch", "/a"), ("observe", "true")]);
    for other in [&["status", "--wait", "1s"][..], &["--version"], &[]] {
        assert_eq!(arguments(other).map(|flags| flags.is_none()), Ok(true), "{other:?}");
    }
    let errors = arguments(&["rnu"]).map(|_| ()).expect_err("there is no such command");
    assert_eq!(shown(&errors), "error: unknown command `rnu`; did you mean `run`?\n");
    let errors = arguments(&["run", "--wacth", "/a"]).map(|_| ()).expect_err("there is no such flag");
    assert!(shown(&errors).contains("--wacth"), "{}", shown(&errors));
}

#[test]
fn a_preset_knows_the_usual_directory() {
    let paths = |flags: &[(&'static str, &str)]| {
        let sources = of_flags(flags).sources;
        sources.iter().map(|source| source.path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&[("app", "nginx")]), ["/etc/nginx"]);
    assert_eq!(paths(&[("process", "nginx")]), ["/etc/nginx"]);
    assert_eq!(paths(&[("app", "nginx"), ("watch", "/a")]), ["/a"]);
    // No directory of a program that has none, and none where the user describes volumes.
    for flags in [&[("app", "haproxy")][..], &[("app", "nginx"), ("publish", "/etc/nginx")]] {
        let errors = wrong_flags(flags);
        assert!(errors.contains("there is nothing to watch"), "{flags:?}: {errors}");
    }
}

#[test]
fn a_built_in_validator_knows_the_main_file_of_its_program() {
    let main = |builtin| of_flags(&[("watch", "/a"), ("observe", "true"), ("builtin", builtin)]).plan.main;
    assert_eq!(main("nginx"), Main::Usual("nginx.conf".into()));
    assert_eq!(main("json"), Main::Only);
}

#[test]
fn one_validation_needs_a_validator() {
    let with = |more: (&'static str, &'static str)| {
        let flags = [("watch", "/a"), ("once", "true"), more];
        Scenario { flags: &flags, ..Scenario::default() }.load().map(|_| ()).map_err(|errors| shown(&errors))
    };
    let expected = "error: `--once`: there is no validator, so nothing can be validated\n  help: add `--app NAME`, `--builtin NAME` or \
                    `--validate CMD`\n";
    assert_eq!(with(("name", "web")), Err(expected.to_owned()));
    for more in [("builtin", "json"), ("validate", "true"), ("app", "nginx"), ("require", "a"), ("publish", "/p")] {
        assert_eq!(with(more), Ok(()), "{more:?}");
    }
}

#[test]
fn the_filter_of_log_lines_has_two_variables() {
    let filter = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let flags = [&[("watch", "/a"), ("signal", "none")], flags].concat();
        let config = Scenario { flags: &flags, variables, ..Scenario::default() }.load();
        config.map(|config| config.log_filter.to_string()).map_err(|errors| shown(&errors))
    };
    assert_eq!(filter(&[], &[]), Ok("off".to_owned()));
    assert_eq!(filter(&[("log-level", "debug")], &[("RELOAD_GATE_LOG", "info")]), Ok("debug".to_owned()));
    let misspelt = filter(&[("log-level", "info,debgu")], &[]).expect_err("it is no level");
    assert!(misspelt.contains("did you mean `debug`?"), "{misspelt}");
    for variable in ["RELOAD_GATE_LOG", "RELOAD_GATE_LOG_LEVEL"] {
        assert_eq!(filter(&[], &[(variable, "reload_gate=debug")]), Ok("reload_gate=debug".to_owned()), "{variable}");
    }
    let errors = filter(&[("log-level", "a=b=c")], &[]).expect_err("it is no filter");
    assert!(errors.starts_with("error: `--log-level`: `a=b=c` is no filter of log lines: "), "{errors}");
}
