//! Findings of the presets' patterns in the programs' output; the outputs are those of nginx 1.22, HAProxy 2.6 and
//! gunicorn 20.1.

use super::super::*;
use super::{check, directory, lines, plan, printing, said, source, tree, validate};
use crate::config::{self, SETTINGS, UserInput};
use crate::sys::skipped::skip;

/// The validator of a preset.
fn of(app: &str) -> CommandValidator {
    let flags = [("app", app), ("watch", "/config"), ("observe", "true")];
    let setting = |name| SETTINGS.iter().find(|setting| setting.name == name).expect("it is a setting");
    let input = UserInput {
        flags: flags.map(|(name, value)| (setting(name), value.to_owned())).into(),
        variables: Vec::new(),
        read: &|_| unreachable!("no file is named"),
        directory: "/".into(),
        is_directory: &|_| false,
        terminal: false,
    };
    match config::load(&input).expect("it is valid").gates.remove(0).plan.validators.remove(0) {
        Validator::Command(check) => *check,
        Validator::Builtin(builtin) => panic!("a command is wanted: {builtin:?}"),
    }
}

/// The preset's patterns make these findings of each output; `{config}` is the one file there is.
#[track_caller]
pub(super) fn reads(app: &str, cases: &[(&str, &[&str])]) {
    let patterns = of(app).patterns;
    for (output, expected) in cases {
        let here = directory(&[("app.conf", "")]);
        let check = CommandValidator { patterns: patterns.clone(), ..printing(output, 1) };
        let validation = validate(&plan(vec![check]), &tree(&["app.conf"]), &[source(here.path())]);
        let config = here.path().join("app.conf").display().to_string();
        let found: Vec<String> = lines(&validation).into_iter().map(|line| line.replace(&config, "{config}")).collect();
        assert_eq!(found, *expected, "{output}");
    }
}

/// Output of nginx with these lines.
fn by_nginx(lines: &str) -> String {
    format!("{lines}\nnginx: configuration file /etc/nginx/nginx.conf test failed\n")
}

#[test]
fn nginx_is_understood() {
    reads(
        "nginx",
        &[
            // By the error log on standard error, and by standard error before there is a log.
            (
                &by_nginx(
                    "2026/11/23 11:44:44 [emerg] 32350#32350: unknown directive \"lisen\" in /etc/nginx/nginx.conf:4",
                ),
                &["wrong /etc/nginx/nginx.conf:4: unknown directive \"lisen\""],
            ),
            (
                &by_nginx("nginx: [emerg] unexpected end of file, expecting \"}\" in /etc/nginx/conf.d/a b.conf:12"),
                &["wrong /etc/nginx/conf.d/a b.conf:12: unexpected end of file, expecting \"}\""],
            ),
            (
                &by_nginx("nginx: [emerg] no \"events\" section in configuration"),
                &["wrong no \"events\" section in configuration"],
            ),
            (
                &by_nginx("nginx: [emerg] pcre2_compile() failed: missing closing parenthesis in \"(\" in /n.conf:2"),
                &["wrong /n.conf:2: pcre2_compile() failed: missing closing parenthesis in \"(\""],
            ),
            // What comes before the error.
            (
                &by_nginx(
                    "nginx: [alert] could not open error log file: open() \"/var/log/nginx/error.log\" failed (13: Permission denied)\n\
                     2026/11/23 11:44:44 [warn] 7#7: the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored in /n.conf:1\n\
                     2026/11/23 11:44:44 [emerg] 7#7: invalid port in \"99999\" of the \"listen\" directive in /n.conf:2",
                ),
                &[
                    "obstacle could not open error log file: open() \"/var/log/nginx/error.log\" failed (13: Permission denied)",
                    "warning /n.conf:1: the \"user\" directive makes sense only if the master process runs with super-user privileges, ignored",
                    "wrong /n.conf:2: invalid port in \"99999\" of the \"listen\" directive",
                ],
            ),
        ],
    );
}

#[test]
fn obstacles_of_nginx_are_understood() {
    reads(
        "nginx",
        &[
            // What is not the configuration's fault.
            (
                &by_nginx(
                    "nginx: [emerg] open() \"/etc/nginx/mime.types\" failed (2: No such file or directory) in /n.conf:2",
                ),
                &["obstacle /n.conf:2: open() \"/etc/nginx/mime.types\" failed (2: No such file or directory)"],
            ),
            (
                &by_nginx("nginx: [emerg] host not found in upstream \"app.svc:80\" in /n.conf:2"),
                &["obstacle /n.conf:2: host not found in upstream \"app.svc:80\""],
            ),
            (
                &by_nginx(
                    "nginx: [emerg] cannot load certificate \"/no.pem\": BIO_new_file() failed (SSL: error:80000002:system \
                     library::No such file or directory:calling fopen(/no.pem, r) error:10000080:BIO routines::no such file)",
                ),
                &[
                    "obstacle cannot load certificate \"/no.pem\": BIO_new_file() failed (SSL: error:80000002:system library::No \
                   such file or directory:calling fopen(/no.pem, r) error:10000080:BIO routines::no such file)",
                ],
            ),
            (
                &by_nginx(
                    "nginx: [emerg] dlopen() \"/no.so\" failed (/no.so: cannot open shared object file: No such file or \
                     directory) in /n.conf:1",
                ),
                &[
                    "obstacle /n.conf:1: dlopen() \"/no.so\" failed (/no.so: cannot open shared object file: No such file or \
                   directory)",
                ],
            ),
            (
                &by_nginx("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)"),
                &["obstacle bind() to 0.0.0.0:80 failed (13: Permission denied)"],
            ),
            // A certificate that is there and broken is wrong.
            (
                &by_nginx(
                    "nginx: [emerg] cannot load certificate \"/a.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line)",
                ),
                &[
                    "wrong cannot load certificate \"/a.pem\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line)",
                ],
            ),
        ],
    );
}

/// Output of HAProxy with these lines.
fn by_haproxy(lines: &str) -> String {
    format!(
        "[NOTICE]   (32388) : haproxy version is 2.6.12-1+deb12u4\n\
         [NOTICE]   (32388) : path to executable is /usr/sbin/haproxy\n{lines}\n\
         [ALERT]    (32388) : config : Error(s) found in configuration file : /h.cfg\n\
         [ALERT]    (32388) : config : Fatal errors found in configuration.\n"
    )
}

#[test]
fn haproxy_is_understood() {
    reads(
        "haproxy",
        &[
            (
                &by_haproxy(
                    "[ALERT]    (32388) : config : parsing [/h.cfg:8] : unknown keyword 'nonsense' in 'frontend' section\n\
                     [ALERT]    (32388) : config : parsing [/h.d/9.cfg:9] : unknown keyword 'modee' in 'frontend' section; did you mean 'mode' maybe ?",
                ),
                &[
                    "wrong /h.cfg:8: unknown keyword 'nonsense' in 'frontend' section",
                    "wrong /h.d/9.cfg:9: unknown keyword 'modee' in 'frontend' section; did you mean 'mode' maybe ?",
                ],
            ),
            // Over several lines.
            (
                &by_haproxy(
                    "[ALERT]    (32402) : config : parsing [/h.cfg:8]: unmatched quote at position 29:\n  \
                     http-request set-header X \"unterminated\n                            ^",
                ),
                &["wrong /h.cfg:8: unmatched quote at position 29:"],
            ),
            // Without a place.
            (
                &by_haproxy("[ALERT]    (1) : config : Proxy 'f': unable to find required default_backend: 'nope'."),
                &["wrong Proxy 'f': unable to find required default_backend: 'nope'."],
            ),
            (
                &by_haproxy(
                    "[WARNING]  (1) : config : missing timeouts for frontend 'f'.\n   | While not properly invalid, you will\n[ALERT]    (1) : config : [/h.cfg:3] : 'server b/s' : invalid address: ':'",
                ),
                &["wrong /h.cfg:3: 'server b/s' : invalid address: ':'", "warning missing timeouts for frontend 'f'."],
            ),
            (
                &by_haproxy(
                    "[ALERT]    (1) : config : parsing [/h.cfg:7]: Missing LF on last line, file might have been truncated at position 23.",
                ),
                &["wrong /h.cfg:7: Missing LF on last line, file might have been truncated at position 23."],
            ),
            (
                "Configuration file has no error but will not start (no listener) => exit(2).\n",
                &["wrong Configuration file has no error but will not start (no listener) => exit(2)."],
            ),
        ],
    );
}

#[test]
fn obstacles_of_haproxy_are_understood() {
    reads(
        "haproxy",
        &[
            // What is not the configuration's fault.
            (
                "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n\
                 Usage : haproxy [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]\n        -v displays version\n",
                &["obstacle Usage : haproxy [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -n <maxconn> ] [ -N <maxpconn> ]"],
            ),
            (
                &by_haproxy(
                    "[ALERT]    (1) : config : [/h.cfg:7] : 'server b/s' : could not resolve address 'app.svc'.",
                ),
                &["obstacle /h.cfg:7: 'server b/s' : could not resolve address 'app.svc'."],
            ),
            (
                &by_haproxy(
                    "[ALERT]    (1) : config : parsing [/h.cfg:7] : 'bind :1' in section 'frontend' : unable to stat SSL certificate from file '/no.pem' : No such file or directory.",
                ),
                &[
                    "obstacle /h.cfg:7: 'bind :1' in section 'frontend' : unable to stat SSL certificate from file '/no.pem' : No such file or directory.",
                ],
            ),
            (
                &by_haproxy(
                    "[ALERT]    (1) : config : parsing [/h.cfg:8] : error detected while parsing ACL 'a' : failed to open pattern file </no.lst>.",
                ),
                &["obstacle /h.cfg:8: error detected while parsing ACL 'a' : failed to open pattern file </no.lst>."],
            ),
            (
                &by_haproxy(
                    "[ALERT]    (1) : config : parsing [/h.cfg:6] : errorfile : error opening file '/no.http'.",
                ),
                &["obstacle /h.cfg:6: errorfile : error opening file '/no.http'."],
            ),
            (
                "[ALERT]    (1) : config : Cannot open configuration file/directory /no.cfg : No such file or directory\n",
                &["obstacle Cannot open configuration file/directory /no.cfg : No such file or directory"],
            ),
        ],
    );
}

/// Output of gunicorn with a traceback that ends like this.
fn traceback(end: &str) -> String {
    format!(
        "Failed to read config file: /g.py\nTraceback (most recent call last):\n  \
         File \"/usr/lib/python3/dist-packages/gunicorn/app/base.py\", line 111, in get_config_from_filename\n    \
         spec.loader.exec_module(mod)\n  \
         File \"<frozen importlib._bootstrap>\", line 241, in _call_with_frames_removed\n{end}\n"
    )
}

#[test]
fn gunicorn_is_understood() {
    reads(
        "gunicorn",
        &[
            (
                &traceback("  File \"/g.py\", line 2\n    bind = [\n           ^\nSyntaxError: '[' was never closed"),
                &["wrong /g.py:2: SyntaxError: '[' was never closed"],
            ),
            (
                &traceback(
                    "  File \"/g.py\", line 3, in <module>\n    f()\n  File \"/g.py\", line 2, in f\n    raise RuntimeError('a\\nb')\nRuntimeError: a\nb",
                ),
                &["wrong /g.py:2: RuntimeError: a"],
            ),
            (
                &traceback("  File \"/g.py\", line 1, in <module>\n    assert False\nAssertionError"),
                &["wrong /g.py:1: AssertionError"],
            ),
            // An exception of any name, and frames without a line of source.
            (
                &traceback("  File \"/g.py\", line 2, in <module>\n    raise Oops('x')\n__config__.Oops: x"),
                &["wrong /g.py:2: __config__.Oops: x"],
            ),
            (
                "\nError while loading the application:\n\nTraceback (most recent call last):\n  \
                 File \"/app/wsgi.py\", line 3, in <module>\n    import nosuch\n  \
                 File \"<frozen importlib._bootstrap>\", line 1178, in _find_and_load\n  \
                 File \"<frozen importlib._bootstrap>\", line 1142, in _find_and_load_unlocked\n\
                 ModuleNotFoundError: No module named 'nosuch'\n",
                &["wrong /app/wsgi.py:3: ModuleNotFoundError: No module named 'nosuch'"],
            ),
            // Of a chain of exceptions, the last.
            (
                &(traceback(
                    "  File \"/g.py\", line 2, in <module>\n    1/0\n    ~^~\nZeroDivisionError: division by zero",
                ) + "\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  \
                       File \"/g.py\", line 4, in <module>\n    raise ValueError('bad') from e\nValueError: bad\n"),
                &["wrong /g.py:4: ValueError: bad"],
            ),
            // A value that gunicorn itself refuses, with the setting that it is of.
            (
                "Invalid value for workers: many\n\n\nError: invalid literal for int() with base 0: 'many'\n",
                &["wrong Invalid value for workers: many", "wrong invalid literal for int() with base 0: 'many'"],
            ),
            ("\nError: No such user: 'nosuch'\n", &["wrong No such user: 'nosuch'"]),
        ],
    );
}

#[test]
fn obstacles_of_gunicorn_are_understood() {
    reads(
        "gunicorn",
        &[
            // What is not the configuration's fault.
            (
                &traceback(
                    "  File \"/g.py\", line 1, in <module>\n    open('/no/file')\nFileNotFoundError: [Errno 2] No such file or directory: '/no/file'",
                ),
                &["obstacle /g.py:1: FileNotFoundError: [Errno 2] No such file or directory: '/no/file'"],
            ),
            (
                &traceback(
                    "  File \"/g.py\", line 1, in <module>\n    gethostbyname('db')\nsocket.gaierror: [Errno -3] Temporary failure in name resolution",
                ),
                &["obstacle /g.py:1: socket.gaierror: [Errno -3] Temporary failure in name resolution"],
            ),
            ("\nError: '/no.py' doesn't exist\n", &["obstacle '/no.py' doesn't exist"]),
        ],
    );
}

/// The findings of the real program for one configuration, with the directory cut off the paths.
#[track_caller]
fn really(app: &str, name: &str, content: &str) -> Option<Vec<String>> {
    let mut check = of(app);
    let program = check.command[0].clone();
    if said(self::check(&["sh", "-c", "command -v \"$0\"", &program])).verdict() != Verdict::Accepted {
        skip(&format!("{program} is not installed"));
        return None;
    }
    let here = directory(&[(name, content)]);
    if app == "nginx" {
        // Else it would use the system's pid file and log.
        let own = format!("pid {0}/pid; error_log {0}/log;", here.path().display());
        check.command.extend(["-g".into(), own, "-p".into(), here.path().display().to_string()]);
    }
    let validation = validate(&plan(vec![check]), &tree(&[name]), &[source(here.path())]);
    let cut = |line: String| line.replace(&format!("{}/", here.path().display()), "");
    Some(lines(&validation).into_iter().map(cut).collect())
}

#[test]
fn the_real_programs_still_say_it_so() {
    let proxy = "defaults\n    mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\n";
    let frontend = format!("{proxy}frontend f\n    bind 127.0.0.1:9\n");
    let cases = [
        ("nginx", "nginx.conf", "events {}\n".to_owned(), vec![]),
        (
            "nginx",
            "nginx.conf",
            "events {}\nhttp {\n    lisen 80;\n}\n".into(),
            vec!["wrong nginx.conf:3: unknown directive \"lisen\""],
        ),
        ("nginx", "nginx.conf", "http {}\n".into(), vec!["wrong no \"events\" section in configuration"]),
        (
            "nginx",
            "nginx.conf",
            "events {}\ninclude /no.conf;\n".into(),
            vec!["obstacle nginx.conf:2: open() \"/no.conf\" failed (2: No such file or directory)"],
        ),
        ("haproxy", "haproxy.cfg", frontend.clone(), vec![]),
        (
            "haproxy",
            "haproxy.cfg",
            format!("{frontend}    nonsense on\n    modee http\n"),
            vec![
                "wrong haproxy.cfg:8: unknown keyword 'nonsense' in 'frontend' section",
                "wrong haproxy.cfg:9: unknown keyword 'modee' in 'frontend' section; did you mean 'mode' maybe ?",
            ],
        ),
        (
            "haproxy",
            "haproxy.cfg",
            format!("{frontend}    default_backend nope\n"),
            vec!["wrong Proxy 'f': unable to find required default_backend: 'nope'."],
        ),
        (
            "gunicorn",
            "gunicorn.conf.py",
            "bind = [\n".into(),
            vec!["wrong gunicorn.conf.py:1: SyntaxError: '[' was never closed"],
        ),
    ];
    for (app, name, content, expected) in cases {
        if let Some(found) = really(app, name, &content) {
            assert_eq!(found, expected, "{app}: {content}");
        }
    }
}
