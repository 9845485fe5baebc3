//! Error messages, and their places.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;
use crate::sys::suggest::nearest;

#[test]
fn a_file_reports_every_error_with_its_place() {
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
fn flags_and_variables_report_every_error_with_their_names() {
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
fn a_missing_setting_is_named() {
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
fn a_file_that_is_no_configuration_gets_an_example() {
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
        "files_that_are_no_configuration",
        &texts.map(|text| format!("{}\n{}", numbered(text), wrong_file(text))).join("\n"),
    );
}

#[test]
fn a_setting_of_one_gate_cannot_be_a_flag_for_several() {
    let said = Scenario {
        flags: &[("signal", "HUP"), ("once", "true")],
        variables: &[("RELOAD_GATE_WATCH", "/c"), ("RELOAD_GATE_LOG_FORMAT", "text")],
        file: Some("gates:\n  - {app: nginx, watch: /a}\n  - {app: haproxy, watch: /b}\n"),
    };
    compare("several_gates_at_once", &said.errors());
}

#[test]
fn an_empty_value_is_the_only_error() {
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
fn an_unknown_variable_with_our_prefix_is_a_warning() {
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
fn a_value_that_is_no_utf8_is_an_error_in_our_variables() {
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
fn a_misspelt_placeholder_gets_a_suggestion() {
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
    let file = "gates: [{watch: /a, signal: none, validate: [{command: [sh, -c, 'cat {config}']}]}]";
    assert!(wrong_file(file).contains(": `{config}` is in a script, which would execute"), "{}", wrong_file(file));
    for (setting, line) in [("validate", "sh -c 'cat {config}'"), ("reload-command", "bash -c 'ls {dir}'")] {
        let flags = &[("watch", "/a"), ("process", "p"), (setting, line)];
        let said = wrong_flags(&[flags, &[("signal", "none")][..usize::from(setting == "validate")]].concat());
        assert!(said.contains("is in a script, which would execute the name of a file"), "{said}");
        assert!(said.contains("help: pass it as an argument"), "{said}");
    }
    let file = "gates: [{watch: /a, signal: none, validate: [{command: [a], running: [b, '{arg}']}]}]";
    assert!(wrong_file(file).contains(": unknown placeholder `{arg}`; did you mean `{argv}`?"));
}

#[test]
fn a_suggestion_is_near_the_given_word() {
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
