//! Presets, built-in validators and commands.

use super::*;
use crate::flow::validate::{Builtin, TextFormat, Tls, Validator};

#[test]
fn built_in_validators_get_their_settings() {
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
fn every_preset_describes_a_whole_gate() {
    for preset in presets() {
        let gate = of_flags(&[("app", preset.name), ("watch", "/a"), ("name", "web")]);
        assert!(!gate.selector.is_empty() && !gate.plan.validators.is_empty(), "{gate:?}");
        // A preset without a reload method has the signal `none`.
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
    let mut seen = BTreeSet::new();
    for preset in all {
        for file in &preset.files {
            assert!(seen.insert(file.clone()), "{file} is of two programs");
        }
        let process = preset.given_text(settings::PROCESS.spec);
        assert!(process.is_none_or(|process| seen.insert(format!("{process} (process)"))), "{}", preset.name);
    }
}

#[test]
fn a_description_of_the_process_replaces_the_presets_knowledge_of_it() {
    let master = |flags: &[(&'static str, &str)]| {
        of_flags(&[&[("app", "nginx"), ("watch", "/a")], flags].concat()).selector.master.is_some()
    };
    assert!(master(&[]) && master(&[("process", "mynginx")]));
    for own in [("cmdline", "x"), ("exe", "/x"), ("pid-file", "/x")] {
        assert!(!master(&[own]), "{own:?}");
    }
}

#[test]
fn pass_env_takes_names_of_variables() {
    let pass = |name: &'static str| [("validate", "true"), ("watch", "/c"), ("observe", "true"), ("pass-env", name)];
    assert_eq!(of_flags(&pass("APP_*")).plan.pass_env, ["APP_*"]);
    for name in ["PORT=80", "*", "1ST", "A*B", "$PORT", ""] {
        let said = wrong_flags(&pass(name));
        assert!(said.contains("--pass-env") && said.contains("help: "), "{said}");
    }
}

#[test]
fn every_pattern_of_a_preset_is_a_regular_expression() {
    let mut patterns: Vec<_> = Vec::new();
    for preset in presets() {
        let lookup = &preset.lookup;
        let own = [&preset.whole, &preset.master, &lookup.title, &lookup.argument];
        patterns.extend(own.into_iter().flatten().cloned());
        let plan = of_flags(&[("app", preset.name), ("watch", "/c")]).plan;
        for validator in plan.validators {
            let Validator::Command(check) = validator else { continue };
            patterns
                .extend([check.patterns.findings, check.patterns.transient, check.patterns.away].into_iter().flatten());
        }
    }
    assert!(patterns.len() > 100, "{}", patterns.len());
    for pattern in patterns {
        assert!(pattern.get().is_some(), "{}", pattern.as_str());
    }
}

#[test]
fn presets_find_the_configuration_in_a_command_line() {
    let cases: [(&str, &[&str], &[&str]); 14] = [
        ("nats-server", &["nats-server", "-c", "/etc/nats.conf"], &["/etc/nats.conf"]),
        ("nats-server", &["nats-server", "-p", "4222"], &[]),
        ("unicorn", &["unicorn master -D -c /srv/unicorn.rb config.ru"], &["/srv/unicorn.rb"]),
        ("unicorn", &["unicorn master -E production --config-file config/u.rb"], &["config/u.rb"]),
        ("unicorn", &["unicorn master config.ru"], &[]),
        ("uwsgi", &["uwsgi", "--ini", "/etc/a.ini", "/etc/b.ini"], &["/etc/a.ini", "/etc/a.ini", "/etc/b.ini"]),
        ("uwsgi", &["uwsgi", "app.ini:prod"], &["app.ini"]),
        (
            "pgbouncer",
            &["pgbouncer", "-d", "-u", "nobody", "/etc/pgbouncer/pgbouncer.ini"],
            &["/etc/pgbouncer/pgbouncer.ini"],
        ),
        ("pgbouncer", &["pgbouncer", "-R", "pgbouncer.ini"], &["pgbouncer.ini"]),
        (
            "postgresql",
            &["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/pg", "-c", "config_file=/etc/pg/postgresql.conf"],
            &["/var/lib/pg", "/etc/pg/postgresql.conf"],
        ),
        (
            "sshd",
            &["sshd: /usr/sbin/sshd -D -f /srv/sshd_config [listener] 0 of 10-100 startups"],
            &["/srv/sshd_config"],
        ),
        ("mariadb", &["mariadbd", "--defaults-file=/etc/my.cnf"], &["/etc/my.cnf"]),
        ("alloy", &["alloy", "run", "--storage.path=/data", "/etc/alloy/config.alloy"], &["/etc/alloy/config.alloy"]),
        ("caddy", &["caddy", "run", "--config", "/srv/Caddyfile"], &["/srv/Caddyfile"]),
    ];
    for (name, line, expected) in cases {
        let preset = presets().iter().find(|preset| preset.name == name).expect("it is bundled");
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(preset.lookup.named(&words), expected, "{line:?}");
    }
}

#[test]
fn a_presets_program_keeps_its_patterns_with_other_arguments() {
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

#[test]
fn a_process_that_only_checks_is_known_by_the_presets_option() {
    for (app, expected) in [
        ("nginx", Some("-t")),
        ("haproxy", Some("-c")),
        ("gunicorn", Some("--check-config")),
        // Their `-c` names the configuration.
        ("bird", None),
        ("postgresql", None),
    ] {
        let gate = of_flags(&[("app", app), ("watch", "/a")]);
        assert_eq!(gate.selector.check_word.as_deref(), expected, "{app}");
    }
}
