use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;
use crate::flow::validate::{Builtin, Main, RootChoice, TextFormat, Tls, Validator};
use crate::sys::suggest::nearest;

/// What the user says: flags, variables, and the text of `gates.yaml`.
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
        load(&UserInput { flags, variables, read: &read, directory: "/here".into(), terminal: false })
    }

    /// The one gate.
    #[track_caller]
    fn gate(&self) -> GateConfig {
        let mut config = self.load().unwrap_or_else(|errors| panic!("{}", shown(&errors)));
        assert_eq!(config.gates.len(), 1);
        config.gates.remove(0)
    }

    /// Everything that is wrong, as it is printed.
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

/// Compares with what was seen and found good before.
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

/// Who judges.
fn names(gate: &GateConfig) -> Vec<String> {
    gate.plan.validators.iter().map(|validator| validator.name().to_owned()).collect()
}

#[test]
fn a_file_tells_every_mistake_with_its_place() {
    let text = "\
gates:
  - name: web
    app: ngnix
    wacth: /etc/nginx
    root: targt
    poll: never
    settle: fast
    timeout: 0s
    max-files: -1
    max-bytes: 16 apples
    observe: maybe
    cmdline: '('
    signal: HPU
    verify: wrokers
  - name: web
    watch: [/a, [b], {c: d}]
    watch: /b
    mount: [/a, /b, /c, /d]
    validate:
      - command: check 'unclosed
        comand: check
      - name: nothing
      - [a, list]
      - ''
      - command: [check]
        findings: ['(?P<message', '[']
    signal: USR1
    reload-url: localhost
    verify-url: ftp://x
    once: true
    ? [1]
    : 2
  - just text
  - name: ~
    process: [a]
    watch: {}
gate: x
";
    compare("every_mistake_of_a_file", &format!("{}\n{}", numbered(text), wrong_file(text)));
}

#[test]
fn flags_and_variables_tell_every_mistake_with_their_names() {
    let said = Scenario {
        flags: &[
            ("app", "haprxy"),
            ("signal", "HUPP"),
            ("reload-command", "'"),
            ("root", "remote"),
            ("timeout", "soon"),
            ("verify-timeout", "0s"),
            ("max-files", "0"),
            ("exe", "/usr/sbin/nginx"),
            ("mount", "/a"),
            ("validate", " "),
            ("log-format", "yaml"),
            ("listen", "9464"),
        ],
        variables: &[
            ("RELOAD_GATE_OBSERVE", "perhaps"),
            ("RELOAD_GATE_ONCE", "sometimes"),
            ("RELOAD_GATE_CMDLINE", "*"),
            ("RELOAD_GATE_VERIFY", "worker"),
            ("RELOAD_GATE_VERIFY_URL", "localhost:80"),
        ],
        file: None,
    };
    compare("every_mistake_of_flags_and_variables", &said.errors());
}

#[test]
fn what_is_missing_says_what_to_say() {
    let cases = [
        wrong_flags(&[]),
        wrong_flags(&[("watch", "/a")]),
        wrong_flags(&[("watch", "/a"), ("signal", "HUP")]),
        wrong_flags(&[("watch", "/a"), ("reload-command", "true"), ("verify", "workers")]),
        wrong_file("gates:\n  - {app: nginx, watch: /a}\n  - app: haproxy\n  - watch: /b\n"),
        wrong_file("gates:\n  - {app: nginx, watch: /a}\n  - {app: nginx, watch: /b}\n"),
        Scenario { flags: &[("config", "none.yaml")], ..Scenario::default() }.errors(),
    ];
    compare("what_is_missing", &cases.join("\n"));
}

#[test]
fn a_file_that_is_no_configuration_says_what_one_looks_like() {
    let texts = [
        "",
        "# only a comment\n",
        "just text\n",
        "- a\n- list\n",
        "gates: nginx\n",
        "gates: []\n",
        "gate:\n  - app: nginx\n",
        "gates:\n  - app: nginx\n   watch: /a\n",
        "gates: [{app: nginx\n",
        "gates:\n  - *a\n",
        "gates: [[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]\n",
        "a: \"\\q\"\n",
    ];
    compare(
        "what is no configuration",
        &texts.map(|text| format!("{}\n{}", numbered(text), wrong_file(text))).join("\n"),
    );
}

#[test]
fn what_gates_have_in_common_is_said_once() {
    let text = "gates:\n  - &all {name: a, watch: /a, signal: none}\n  - {<<: *all, name: b, watch: /b}\n";
    let config =
        Scenario { file: Some(text), ..Scenario::default() }.load().unwrap_or_else(|errors| panic!("{errors:?}"));
    let gates: Vec<_> = config.gates.iter().map(|gate| (&*gate.name, &gate.sources[0].path)).collect();
    assert_eq!(gates, [("a", &"/a".into()), ("b", &"/b".into())]);
}

#[test]
fn what_is_of_one_gate_cannot_be_said_of_several() {
    let said = Scenario {
        flags: &[("signal", "HUP"), ("once", "true")],
        variables: &[("RELOAD_GATE_WATCH", "/c"), ("RELOAD_GATE_LOG_FORMAT", "text")],
        file: Some("gates:\n  - {app: nginx, watch: /a}\n  - {app: haproxy, watch: /b}\n"),
    };
    compare("several_gates_at_once", &said.errors());
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
fn who_chooses_another_means_hides_the_whole_choice_below() {
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
fn the_variables_of_the_shell_sidecar_are_understood() {
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

#[test]
fn an_empty_value_is_a_mistake_that_says_so_and_nothing_else() {
    let said = |place: &str| {
        format!(
            "error: {place}: the value is empty\n  help: leave the setting out, or check that the variable in its value is set\n"
        )
    };
    // Every setting that takes a value; of a validator it is the command that is empty.
    for setting in SETTINGS.iter().filter(|setting| setting.name != "validate") {
        let name = setting.name;
        let whole = [("watch", "/a"), ("signal", "none"), ("process", "p")];
        let others: Vec<_> = whole.into_iter().filter(|(other, _)| *other != name).collect();
        for nothing in ["", " "] {
            let errors = wrong_flags(&[&others[..], &[(name, nothing)]].concat());
            assert!(errors.contains(&said(&format!("`--{name}`"))), "{errors}");
            let variable = settings::find(name).expect("it is a setting").variable();
            let errors = Scenario { flags: &others, variables: &[(&variable, nothing)], file: None }.errors();
            assert!(errors.contains(&said(&format!("variable `{variable}`"))), "{errors}");
        }
    }
    let watch = Scenario { flags: &[("signal", "none")], variables: &[("RELOAD_GATE_WATCH", "\n")], file: None };
    assert_eq!(watch.errors(), said("variable `RELOAD_GATE_WATCH`"));
    assert_eq!(wrong_flags(&[("signal", ""), ("watch", "/a"), ("process", "p")]), said("`--signal`"));
    assert_eq!(wrong_file("gates: [{watch: [/a, ''], signal: none}]"), said("gates.yaml:1:22"));
    assert!(wrong_flags(&[("watch", "/a"), ("signal", "none"), ("validate", "")]).contains("the command is empty"));
}

#[test]
fn a_variable_of_ours_that_is_not_known_is_a_warning() {
    let variables = [
        ("RELOAD_GATE_VALIDAET", "x"),
        ("RELOAD_GATE_SERVICE_HOST", "10.0.0.1"),
        ("OTHER", "x"),
        ("RELOAD_GATE_WATCH", "/a"),
        ("RELOAD_GATE_SIGNAL", "none"),
    ];
    let config = Scenario { variables: &variables, ..Scenario::default() }.load().expect("it is valid");
    assert_eq!(
        config.warnings,
        [
            "variable `RELOAD_GATE_VALIDAET` is not known and was ignored; did you mean `RELOAD_GATE_VALIDATE`?",
            "variable `RELOAD_GATE_SERVICE_HOST` is not known and was ignored"
        ]
    );
}

#[test]
fn a_value_that_is_no_text_is_wrong_where_it_matters() {
    let odd = OsStr::from_bytes(b"/\xff").to_owned();
    let flags = &[("signal", "none"), ("watch", "/a")];
    let with = |name: &str| Scenario { flags, ..Scenario::default() }.load_with(vec![(name.into(), odd.clone())]);
    assert_eq!(
        shown(&with("RELOAD_GATE_NAME").expect_err("wrong")),
        "error: variable `RELOAD_GATE_NAME`: the value is no UTF-8\n"
    );
    assert!(with("OTHER").is_ok() && with("RELOAD_GATE_OTHER").is_ok() && with("FILE").is_ok());
}

#[test]
fn bundled_validators_are_asked_as_the_settings_say() {
    let gate = of_flags(&[
        ("watch", "/a"),
        ("observe", "true"),
        ("builtin", "tls"),
        ("builtin", "ini"),
        ("tls-name", "*.example.org"),
        ("tls-name", "2001:db8::1"),
        ("tls-warn", "3d"),
    ]);
    let bundled = gate.plan.validators.into_iter().map(|validator| match validator {
        Validator::Builtin(builtin) => builtin,
        Validator::Command(check) => panic!("{check:?}"),
    });
    let names = vec!["*.example.org".to_owned(), "2001:db8::1".to_owned()];
    let tls = Tls { names, warn_before: Duration::from_secs(3 * 24 * 60 * 60) };
    assert_eq!(bundled.collect::<Vec<_>>(), [Builtin::Tls(tls), Builtin::Structured(TextFormat::Ini)]);
    let wrong =
        wrong_flags(&[("watch", "/a"), ("observe", "true"), ("builtin", "tls"), ("tls-name", "example.org:443")]);
    assert!(wrong.contains("`example.org:443` is no host name"), "{wrong}");
}

#[test]
fn a_schema_is_read_at_the_start() {
    let flags =
        |schema: &'static str| [("watch", "/a"), ("observe", "true"), ("builtin", "json-schema"), ("schema", schema)];
    let gate = of_flags(&flags("schema.json"));
    assert!(matches!(gate.plan.validators[..], [Validator::Builtin(Builtin::JsonSchema(_))]), "{gate:?}");
    let wrong = wrong_flags(&flags("gone.json"));
    assert!(wrong.contains("`--schema`: cannot read `gone.json`"), "{wrong}");
    let wrong = wrong_flags(&flags("wrong.json"));
    assert!(wrong.contains("`--schema`: the file is no JSON Schema: wrong.json:2:11: "), "{wrong}");
    let wrong = wrong_flags(&flags("schema.json")[..3]);
    assert!(wrong.contains("`--builtin`: `json-schema` needs a schema"), "{wrong}");
    let wrong = wrong_flags(&[("watch", "/a"), ("observe", "true"), ("builtin", "json"), ("schema", "schema.json")]);
    assert!(wrong.contains("`--schema`: no validator uses the schema"), "{wrong}");
}

#[test]
fn every_setting_is_said_by_flag_by_variable_and_by_key() {
    // A value for each that is not the default.
    let values: BTreeMap<&str, &str> = [
        ("app", "none"),
        ("watch", "/a"),
        ("main", "b.conf"),
        ("mount", "/m"),
        ("name", "web"),
        ("max-bytes", "7"),
        ("max-files", "8"),
        ("publish", "/p"),
        ("stage", "/s"),
        ("on-empty", "fail"),
        ("require", "r.conf"),
        ("max-shrink", "50"),
        ("validate", "check {config}"),
        ("builtin", "nginx"),
        ("nginx-version", "1.10.0"),
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
    ]
    .into();
    let others = ["schema", "reload-url", "reload-command", "verify-url", "verify-command"];
    let of_gate = SETTINGS.iter().filter(|setting| setting.of_gate).map(|setting| setting.name);
    let missing: Vec<_> = of_gate.filter(|name| !values.contains_key(name) && !others.contains(name)).collect();
    assert!(missing.is_empty(), "a new setting wants a line here: {missing:?}");

    let flags: Vec<_> = values.iter().map(|(name, value)| (*name, *value)).collect();
    let by_flag = Scenario { flags: &flags, ..Scenario::default() }.gate();
    let names: Vec<_> = values.keys().map(|name| settings::find(name).expect("it is a setting").variable()).collect();
    let variables: Vec<_> = names.iter().map(String::as_str).zip(values.values().copied()).collect();
    let by_variable = Scenario { variables: &variables, ..Scenario::default() }.gate();
    let keys: String = values.iter().map(|(name, value)| format!("    {name}: '{value}'\n")).collect();
    let text = format!("gates:\n  -\n{keys}");
    let by_key = Scenario { file: Some(&text), ..Scenario::default() }.gate();
    assert_eq!(format!("{by_flag:#?}"), format!("{by_variable:#?}"));
    assert_eq!(format!("{by_flag:#?}"), format!("{by_key:#?}"));
    compare("every_setting", &format!("{by_flag:#?}\n"));
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
    assert_eq!((gate.limits.bytes, gate.limits.files), (16 << 20, 10_000));
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
fn a_misspelt_placeholder_names_the_right_one() {
    let load = |check| {
        let flags = &[("watch", "/a"), ("signal", "none"), ("validate", check)];
        Scenario { flags, ..Scenario::default() }.load().map(|_| ()).map_err(|errors| shown(&errors))
    };
    let said = |name: &str, meant: &str| {
        let help = "`{config}` is the main file and `{dir}` its directory; write a blank inside of literal braces, as `{ print }`";
        Err(format!("error: `--validate`: unknown placeholder `{{{name}}}`{meant}\n  help: {help}\n"))
    };
    assert_eq!(load("cat {conf}"), said("conf", "; did you mean `{config}`?"));
    assert_eq!(load("cat --file={cofnig}"), said("cofnig", "; did you mean `{config}`?"));
    assert_eq!(load("cat {dirs}/x"), said("dirs", "; did you mean `{dir}`?"));
    assert_eq!(load("{exec} -t"), said("exec", "; did you mean `{exe}`?"));
    assert_eq!(load("cat {file}"), said("file", ""));
    for right in
        ["cat {config} {dir}/x", "{exe} {options}", "find {dir} -exec x {} +", "sh -c 'echo ${name} {A} {a b} { a } {'"]
    {
        assert_eq!(load(right), Ok(()), "{right}");
    }
    let file = "gates: [{watch: /a, signal: none, validate: [{command: [a], running: [b, '{arg}']}]}]";
    assert!(wrong_file(file).contains(": unknown placeholder `{arg}`; did you mean `{argv}`?"));
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
        assert_eq!(gate.limits.bytes, expected, "{text}");
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
fn every_preset_is_a_whole_program() {
    for preset in presets() {
        let gate = of_flags(&[("app", preset.name), ("watch", "/a"), ("name", "web")]);
        assert!(!gate.selector.is_empty() && !gate.plan.validators.is_empty(), "{gate:?}");
        // Who is told nothing is told so by a word.
        let silent = preset.given_text(settings::SIGNAL.spec).is_some_and(|signal| signal == "none");
        assert_eq!(gate.policy.reload, !silent, "{}", preset.name);
        assert_eq!(gate.plan.main, Main::Usual(preset.files[0].clone().into()));
        assert!(!preset.about.is_empty() && preset.text.contains(&preset.about));
        let Some(process) = preset.given_text(settings::PROCESS.spec) else { continue };
        let implied = of_flags(&[("process", process), ("watch", "/a"), ("name", "web")]);
        assert_eq!(format!("{gate:?}"), format!("{implied:?}"), "its process implies it");
        let none = of_flags(&[("app", "none"), ("process", process), ("watch", "/a"), ("signal", "HUP")]);
        assert!(none.plan.validators.is_empty(), "`none` turns that off");
    }
}

#[test]
fn no_two_presets_are_of_one_process_or_file() {
    let all = presets();
    let mut snapshot = BTreeSet::new();
    for preset in all {
        for file in &preset.files {
            assert!(snapshot.insert(file.clone()), "{file} is of two programs");
        }
        let process = preset.given_text(settings::PROCESS.spec);
        assert!(process.is_none_or(|process| snapshot.insert(format!("{process} (process)"))), "{}", preset.name);
    }
}

#[test]
fn own_words_about_the_process_replace_what_the_preset_knows_of_it() {
    let master = |flags: &[(&'static str, &str)]| {
        of_flags(&[&[("app", "nginx"), ("watch", "/a")], flags].concat()).selector.master.is_some()
    };
    assert!(master(&[]) && master(&[("process", "mynginx")]));
    for own in [("cmdline", "x"), ("exe", "/x"), ("pid-file", "/x")] {
        assert!(!master(&[own]), "{own:?}");
    }
}

#[test]
fn judging_alone_needs_no_means() {
    for assignments in [("observe", "true"), ("once", "true"), ("signal", "none"), ("signal", "NONE")] {
        assert!(!of_flags(&[("watch", "/a"), assignments]).policy.reload, "{assignments:?}");
    }
    let config =
        Scenario { flags: &[("watch", "/a"), ("once", "true")], ..Scenario::default() }.load().expect("it is valid");
    assert!(config.once && config.gates[0].plan.without_target);
}

#[test]
fn a_gate_listens_where_it_is_told() {
    let gate = [("watch", "/a"), ("signal", "none")];
    let listen = |flags: &[(&'static str, &str)], variables: &[(&str, &str)]| {
        let flags = [&gate[..], flags].concat();
        let config = Scenario { flags: &flags, variables, ..Scenario::default() }.load().expect("it is valid");
        config.listen.map(|address| address.to_string())
    };
    assert_eq!(listen(&[], &[]), None);
    for (said, meant) in [
        (":9464", "0.0.0.0:9464"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::]:9464", "[::]:9464"),
        ("[::1]:1", "[::1]:1"),
    ] {
        assert_eq!(listen(&[("listen", said)], &[("RELOAD_GATE_LISTEN", ":1")]).as_deref(), Some(meant));
        assert_eq!(listen(&[], &[("RELOAD_GATE_LISTEN", said)]).as_deref(), Some(meant));
        let asked =
            listen_address(&[], &[("RELOAD_GATE_LISTEN".into(), said.into()), ("RELOAD_GATE_X".into(), "y".into())]);
        assert_eq!(asked.map(|address| address.to_string()).as_deref(), Ok(meant));
    }
    for said in ["", ":", ":0", "localhost:80", "9464", ":99999", "::1:80"] {
        let errors = listen_address(&named_flags(&[("listen", said)]), &[]).expect_err("it is no address");
        assert!(shown(&errors).contains("is no address to listen on"), "{said}: {}", shown(&errors));
    }
    let errors = listen_address(&[], &[]).expect_err("nothing is said");
    assert!(shown(&errors).contains("the address of the gate is unknown"), "{}", shown(&errors));
}

#[test]
fn the_nearest_word_is_near_enough() {
    let known = ["signal", "settle", "watch", "app"];
    let cases = [
        ("sginal", Some("signal")),
        ("SIGNAL", Some("signal")),
        ("setle", Some("settle")),
        ("watches", Some("watch")),
        ("ap", Some("app")),
        ("xyz", None),
        ("", None),
        ("completely-different", None),
    ];
    for (given, expected) in cases {
        assert_eq!(nearest(given, known), expected, "{given}");
    }
}

#[test]
fn events_are_text_for_people_and_json_for_programs() {
    let format = |terminal, said: &[(&'static str, &str)]| {
        let flags = [&[("watch", "/a"), ("signal", "none")], said].concat();
        let flags = named_flags(&flags);
        let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let input = UserInput { flags, variables: Vec::new(), read: &read, directory: "/".into(), terminal };
        load(&input).expect("it is valid").log_format
    };
    assert_eq!([format(true, &[]), format(false, &[])], [log::LogFormat::Text, log::LogFormat::Json]);
    let said = [format(false, &[("log-format", "text")]), format(true, &[("log-format", "json")])];
    assert_eq!(said, [log::LogFormat::Text, log::LogFormat::Json]);
}

#[test]
fn variables_are_passed_by_their_names() {
    let pass = |name: &'static str| [("validate", "true"), ("watch", "/c"), ("observe", "true"), ("pass-env", name)];
    assert_eq!(of_flags(&pass("APP_*")).plan.pass_env, ["APP_*"]);
    for name in ["PORT=80", "*", "1ST", "A*B", "$PORT", ""] {
        let said = wrong_flags(&pass(name));
        assert!(said.contains("--pass-env") && said.contains("help: "), "{said}");
    }
}

#[test]
fn a_presets_program_with_other_arguments_speaks_the_same_language() {
    let check = |flags: &[(&'static str, &str)]| {
        let Some(Validator::Command(check)) = of_flags(flags).plan.validators.pop() else { panic!("it is a command") };
        check
    };
    let own = check(&[("app", "gunicorn"), ("watch", "/c")]);
    let known = |check: &crate::flow::validate::CommandValidator| {
        let patterns = [&check.patterns.findings, &check.patterns.transient, &check.patterns.away];
        patterns.map(|patterns| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>())
    };
    assert!(known(&own).iter().all(|patterns| !patterns.is_empty()));
    for (command, same) in [
        ("gunicorn --check-config -c {config} --chdir /srv application:app", true),
        ("/opt/venv/bin/gunicorn --check-config -c {config} application:app", true),
        ("python3 -m py_compile {config}", false),
    ] {
        let said = check(&[("app", "gunicorn"), ("watch", "/c"), ("validate", command)]);
        let expected = if same { known(&own) } else { Default::default() };
        assert_eq!((known(&said), said.name.as_str()), (expected, command));
        assert_eq!(said.package, own.package.clone().filter(|_| same));
        // How it is called is the user's own.
        assert!(said.running.is_none() && said.otherwise.is_none(), "{command}");
    }
}
