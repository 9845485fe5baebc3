//! Findings that need more than a small configuration; `tests/documented.rs` has the others.

use std::borrow::Cow;

use reload_gate_contract::{Absent, Files, Finding, MemoryFiles, Severity, Verdict};
use reload_gate_nginx::{Build, Context, Options, Version, check, codes};

const MAIN: &str = "/etc/nginx/nginx.conf";

fn options() -> Options {
    let modules = ["ngx_stream_module", "ngx_mail_module"].map(str::to_owned).to_vec();
    Options { version: Version::new(1, 22, 1), build: Build::Debian, modules, ..Options::default() }
}

fn judge(text: &str, options: &Options) -> Vec<Finding> {
    judge_files(&[("nginx.conf", text)], options)
}

fn judge_files(files: &[(&str, &str)], options: &Options) -> Vec<Finding> {
    let files: MemoryFiles = files.iter().map(|(name, text)| (format!("/etc/nginx/{name}"), *text)).collect();
    check(MAIN, &files, options)
}

/// A finding as a heading has it.
fn heading(finding: &Finding) -> String {
    let place = finding.place.as_ref().and_then(|place| Some(format!("{}:{}", place.line?, place.column?)));
    format!("{} {} {}", finding.code, place.unwrap_or_default(), finding.message)
}

#[test]
fn files_outside_are_no_errors_of_the_configuration() {
    let text = "ssl_engine qat;\nevents {}\nhttp {\n    include missing.conf;\n    server {\n        listen 18443 ssl;\n        \
                ssl_certificate cert.pem;\n        ssl_certificate_key key.pem;\n        ssl_crl crl.pem;\n    }\n}\n";
    let findings = judge(text, &options());
    let headings: Vec<_> = findings.iter().map(heading).collect();
    let engine = "missing-engine 1:12 ENGINE_by_id(\"qat\") failed";
    let include = "missing-include 4:13 open() \"/etc/nginx/missing.conf\" failed (2: No such file or directory)";
    let certificate =
        "missing-certificate 7:25 cannot load certificate \"/etc/nginx/cert.pem\" (2: No such file or directory)";
    let key =
        "missing-certificate 8:29 cannot load certificate key \"/etc/nginx/key.pem\" (2: No such file or directory)";
    let file = "missing-file 9:17 cannot load file \"/etc/nginx/crl.pem\" (2: No such file or directory)";
    assert_eq!(headings, [engine, include, certificate, key, file]);
    assert!(findings.iter().all(|finding| finding.cause == reload_gate_contract::Cause::Environment));
}

#[test]
fn after_a_missing_file_nothing_is_called_undefined() {
    let text = r#"
http {
    include missing.conf;
    upstream app { }
    server {
        listen 18443 ssl;
        access_log logs/a.log main;
        limit_req zone=a;
        proxy_cache pages;
        aio threads=pool;
        location / { fastcgi_pass php; }
        location /a { return 200 $section; }
    }
}
"#;
    let findings = judge(text, &options());
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

/// What is not among the files may be where nginx runs: judging goes on, and nothing is rejected because of it.
#[test]
fn missing_files_are_warnings() {
    let text = r#"
include /usr/share/nginx/modules/*.conf;
stream {
    server {
        listen 18053;
        proxy_pass 127.0.0.1:53;
    }
}
http {
    include /usr/share/nginx/mime.types;
    ours on;
    server {
        listen 18443 ssl;
        ssl_certificate /etc/ssl/site.pem;
        ssl_certificate_key /etc/ssl/site.key;
        access_log logs/a.log main;
        limit_req zone=a;
        proxy_cache pages;
        location / { fastcgi_pass php; }
        location /a { return 200 $section; }
    }
}
"#;
    let options = Options { modules: vec![], ..options() };
    let findings = judge(text, &options);
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    let certificates = ["missing-certificate", "missing-certificate"];
    assert_eq!(codes, [&["missing-include", "missing-include", "unknown-module"], &certificates[..]].concat());
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:#?}");
    assert_eq!(Verdict::of(&findings), Verdict::Accepted);
    assert_eq!(
        findings[1].message,
        "\"/usr/share/nginx/mime.types\" is not among the files that were given, and what it says was not judged"
    );
}

#[test]
fn after_what_is_not_among_the_files_errors_are_still_found() {
    let text =
        "events {}\nhttp {\n    include /usr/share/nginx/mime.types;\n    sendfile maybe;\n    nonsense on;\n}\n";
    let findings = judge(text, &options());
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["missing-include", "invalid-flag", "unknown-directive"]);
    assert_eq!(Verdict::of(&findings), Verdict::Rejected);
}

#[test]
fn global_directives_come_first() {
    let judge = |global: &str| {
        let options = Options { global: global.to_owned(), ..options() };
        judge("daemon on;\nevents {}\n", &options)
            .iter()
            .map(|finding| {
                format!("{} {}", finding.place.as_ref().map_or_else(String::new, ToString::to_string), finding.message)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(judge("pid /run/x.pid;"), [""; 0]);
    assert_eq!(judge("daemon off;"), ["/etc/nginx/nginx.conf:1:1 \"daemon\" directive is duplicate"]);
    assert_eq!(judge("http {}"), ["command line:1:1 block directives are not supported in -g option"]);
    assert_eq!(
        judge("pid x"),
        [
            "command line:1:6 unexpected end of parameter, expecting \";\"",
            "command line:1:6 a semicolon is missing here"
        ]
    );
}

#[test]
fn an_unknown_module_may_know_any_directive() {
    let findings =
        judge("load_module modules/ngx_http_of_ours_module.so;\nevents {}\nhttp {\n    ours on;\n}\n", &options());
    let headings: Vec<_> = findings.iter().map(heading).collect();
    assert_eq!(headings, ["unknown-module 4:5 unknown directive \"ours\", which an unknown module may know"]);
}

#[test]
fn a_third_party_module_may_define_any_variable() {
    let text = "load_module modules/ngx_http_js_module.so;\nevents {}\nhttp {\n    js_import main.js;\n    \
                js_set $user main.user;\n    server { listen 18080; return 200 $user; }\n}\n";
    assert_eq!(judge(text, &options()), []);
}

#[test]
fn an_allowed_directive_is_taken_with_all_that_is_in_it() {
    let options = Options { allowed_directives: vec!["ours".to_owned()], ..options() };
    assert_eq!(judge("events {}\nhttp { ours a b { whatever; } }\n", &options), []);
}

#[test]
fn files_that_include_each_other_end() {
    let files = [("nginx.conf", "events {}\ninclude a.conf;\n"), ("a.conf", "\ninclude nginx.conf;\n")];
    let headings: Vec<_> = judge_files(&files, &options()).iter().map(heading).collect();
    assert_eq!(headings, ["include-cycle 2:9 \"/etc/nginx/nginx.conf\" includes itself"]);
}

#[test]
fn a_directory_cannot_be_included() {
    let files = [("nginx.conf", "events {}\ninclude conf.d;\n"), ("conf.d/a.conf", "")];
    let headings: Vec<_> = judge_files(&files, &options()).iter().map(heading).collect();
    assert_eq!(headings, ["included-directory 2:9 pread() \"/etc/nginx/conf.d\" failed (21: Is a directory)"]);
}

/// nginx 1.22 refuses a directory that a pattern matches, with files in it or without.
#[test]
fn a_pattern_matches_directories_too() {
    let files = [
        ("nginx.conf", "events {}\ninclude conf.d/*;\ninclude sites/*/site.conf;\n"),
        ("conf.d/a/a.conf", "nonsense;\n"),
        ("sites/one/site.conf", ""),
        ("sites/two/other.conf", ""),
    ];
    let headings: Vec<_> = judge_files(&files, &options()).iter().map(heading).collect();
    assert_eq!(headings, ["included-directory 2:9 pread() \"/etc/nginx/conf.d/a\" failed (21: Is a directory)"]);
}

#[test]
fn included_files_come_in_the_order_of_their_names() {
    let main = "events {}\nhttp { include conf.d/*.conf; include none/*.conf; }\n";
    let files = [
        ("nginx.conf", main),
        ("conf.d/b.conf", "b on;"),
        ("conf.d/a.conf", "a on;"),
        ("conf.d/.hidden.conf", "h on;"),
        ("conf.d/c.txt", "c on;"),
    ];
    let messages: Vec<_> = judge_files(&files, &options()).into_iter().map(|finding| finding.message).collect();
    assert_eq!(messages, ["unknown directive \"a\"", "unknown directive \"b\""]);
}

#[test]
fn a_long_word_or_comment_does_not_fit_the_buffer() {
    let long = "x".repeat(5000);
    for (text, expected) in [
        (format!("#{long}\n"), "parameter-too-long 1:1 too long parameter \"#xxxxxxxxx...\" started"),
        (format!("user {long};\n"), "parameter-too-long 1:6 too long parameter \"xxxxxxxxxx...\" started"),
        (
            format!("user '{long}';\n"),
            "parameter-too-long 1:7 too long parameter, probably missing terminating \"'\" character",
        ),
    ] {
        assert_eq!(heading(&judge(&text, &options())[0]), expected);
    }
}

#[test]
fn the_space_after_a_word_is_in_the_buffer_too() {
    let events = "events {}\n";
    let refused = |word: usize, end: &str| {
        let text = format!("pid {}{end}\n{events}", "x".repeat(word));
        judge(&text, &options()).iter().any(|finding| finding.code == codes::PARAMETER_TOO_LONG)
    };
    assert!(!refused(4094, " ;") && !refused(4095, ";"));
    assert!(refused(4095, " ;") && refused(4096, ";"));
}

#[test]
fn variables_of_certificates_are_looked_at_where_http_ends() {
    let text = "events {}\nhttp {\nserver {\nlisten 443 ssl;\nssl_certificate a$/b;\nssl_certificate_key k;\n}\n}\n";
    assert_eq!(heading(&judge(text, &options())[0]), "invalid-variable 8:1 invalid variable name");
}

#[test]
fn blocks_are_not_followed_without_end() {
    let text = format!("events {{}}\nhttp {{ server {{ {} }} }}\n", "location / { ".repeat(1000) + &"}".repeat(1000));
    let findings = judge(&text, &options());
    assert_eq!(findings[0].code, codes::NESTING_TOO_DEEP);
    assert_eq!(Verdict::of(&findings), Verdict::Inconclusive);
}

#[test]
fn there_is_an_end_of_findings() {
    let findings = judge(&"nonsense;\n".repeat(5000), &options());
    let last = findings.last().unwrap();
    assert_eq!((last.code, last.severity), (codes::TOO_MANY_FINDINGS, Severity::Note));
    assert_eq!(last.message, "4000 more findings are left out");
    assert_eq!(findings.len(), 1001);
    // Warnings are left out, but no error because of them.
    let text = format!("events {{}}\nhttp {{\n{}sendfile maybe;\n}}\n", "deny 10.0.0.1/8;\n".repeat(3000));
    let findings = judge(&text, &options());
    assert_eq!(
        findings.iter().rev().take(2).map(heading).collect::<Vec<_>>(),
        [
            "too-many-findings  2000 more findings are left out",
            "invalid-flag 3003:10 invalid value \"maybe\" in \"sendfile\" directive, it must be \"on\" or \"off\""
        ]
    );
    assert!(findings.len() < 1100);
}

#[test]
fn newer_releases_know_more_and_warn_of_more() {
    let text = "events {}\nhttp {\n    server { listen 18443 quic; http2 on; return 200; }\n    server { listen 18080 http2; }\n    \
                server { listen 18080; }\n}\n";
    assert_eq!(judge(text, &options())[0].message, "invalid parameter \"quic\"");
    let newest = judge(text, &Options::default());
    let found: Vec<_> = newest.iter().map(|finding| (finding.severity, heading(finding))).collect();
    assert_eq!(
        found,
        [
            (
                Severity::Warning,
                "deprecated-directive 4:27 the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead".to_owned()
            ),
            (
                Severity::Error,
                "no-certificate 3:12 no \"ssl_certificate\" is defined for the \"listen ... quic\" directive".to_owned()
            ),
        ]
    );
}

#[test]
fn directives_of_the_past_are_named_and_ignored() {
    let warnings = |text: &str, version| -> Vec<String> {
        let findings = judge(text, &Options { version, ..options() });
        assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:#?}");
        findings.into_iter().map(|finding| finding.message).collect()
    };
    assert_eq!(
        warnings("events {}\nhttp { http2_push_preload on; }\n", Version::new(1, 30, 0)),
        ["the \"http2_push_preload\" directive is obsolete, ignored"]
    );
    assert_eq!(
        warnings("events {}\nhttp { spdy_chunk_size 8k; }\n", Version::new(1, 10, 0)),
        ["invalid directive \"spdy_chunk_size\": ngx_http_spdy_module was superseded by ngx_http_v2_module"]
    );
}

#[test]
fn a_body_has_variables_and_grpc_has_one_buffer() {
    let text =
        |line| format!("events {{}}\nhttp {{\n    server {{\n        listen 18080;\n        {line}\n    }}\n}}\n");
    let body: Vec<_> = judge(&text("proxy_set_body $bdy;"), &options()).iter().map(heading).collect();
    assert_eq!(body, ["unknown-variable 5:24 unknown \"bdy\" variable"]);
    assert_eq!(judge(&text("grpc_buffer_size 1m;"), &options()), []);
}

#[test]
fn a_map_takes_the_sizes_of_its_hash_as_they_are() {
    let text = "events {}\nhttp {\n    map $uri $section { default x; }\n    map_hash_max_size 4096;\n}\n";
    let findings = judge(text, &options());
    assert_eq!(heading(&findings[0]), "duplicate-directive 4:5 \"map_hash_max_size\" directive is duplicate");
    assert_eq!(findings[0].help.as_deref(), Some("`map` on line 3 sets it already"));
    let before = "events {}\nhttp {\n    map_hash_bucket_size 128;\n    map $uri $section { default x; }\n}\n";
    assert_eq!(judge(before, &options()), []);
}

#[test]
fn a_directive_and_the_one_it_replaced_are_the_same() {
    let text = "events {}\nstream {\n    proxy_downstream_buffer 8k;\n    proxy_buffer_size 8k;\n}\n";
    let headings: Vec<_> = judge(text, &options()).iter().map(heading).collect();
    let deprecated = "deprecated-directive 3:5 the \"proxy_downstream_buffer\" directive is deprecated, use the \
                      \"proxy_buffer_size\" directive instead";
    assert_eq!(headings, [deprecated, "duplicate-directive 4:5 \"proxy_buffer_size\" directive is duplicate"]);
}

#[test]
fn directives_are_validated_by_the_version_that_had_them() {
    let first = |line: &str, version| {
        let text = format!("events {{}}\nhttp {{\n    server {{\n        listen 18080;\n        {line}\n    }}\n}}\n");
        judge(&text, &Options { version, ..options() }).first().map(heading)
    };
    let (old, newest) = (Version::new(1, 18, 0), Version::new(1, 31, 4));
    assert_eq!(
        first("http2_push off; http2_push /a;", old).as_deref(),
        Some("incompatible-parameters 5:36 \"http2_push\" directive URI cannot be used with \"off\" parameter")
    );
    assert_eq!(first("proxy_redirect false;", old), None);
    assert!(first("proxy_redirect false;", Version::new(1, 20, 0)).is_some());
    assert_eq!(
        first("tunnel_pass nowhere;", newest).as_deref(),
        Some("no-port-in-upstream 5:21 no port in upstream \"nowhere\"")
    );
    assert_eq!(first("tunnel_pass;", newest), None);
}

#[test]
fn before_1_15_0_a_certificate_alone_asked_for_its_key() {
    let text = "events {}\nstream {\n    server {\n        listen 18053 ssl;\n        return a;\n        ssl_certificate c.pem;\n    \
                }\n}\n";
    let found = |version| judge(text, &Options { version, ..options() }).first().map(heading);
    let alone = "certificate-without-key 6:25 no \"ssl_certificate_key\" is defined for certificate \"c.pem\"";
    assert_eq!(found(Version::new(1, 14, 2)).as_deref(), Some(alone));
    let listening =
        "certificate-without-key 4:25 no \"ssl_certificate_key\" is defined for the \"listen ... ssl\" directive";
    assert_eq!(found(Version::new(1, 22, 1)).as_deref(), Some(listening));
}

/// Files of which nothing is known but the main file.
struct Alone(&'static str);

impl Files for Alone {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        if path == MAIN { Ok(Cow::Borrowed(self.0.as_bytes())) } else { Err(Absent::Unknown) }
    }

    fn list(&self, _: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        Err(Absent::Unknown)
    }
}

#[test]
fn modules_that_may_be_loaded_hide_no_typo() {
    let text = "include modules-enabled/*.conf;\nevents {}\nhttp {\n    sendfil on;\n    brotli on;\n    server {\n        \
                listn 80;\n        vod hls;\n    }\n}\n";
    let findings = check(MAIN, &Alone(text), &Options { modules: vec![], ..options() });
    let rest = "/etc/nginx/modules-enabled/*.conf";
    assert_eq!(
        findings.iter().map(heading).collect::<Vec<_>>(),
        [
            &*format!(
                "missing-include 1:9 it is not known which files \"{rest}\" means, and what they say was not judged"
            ),
            "unknown-directive 4:5 unknown directive \"sendfil\"",
            "unknown-directive 7:9 unknown directive \"listn\"",
            "unknown-module 8:9 unknown directive \"vod\", which an unknown module may know",
        ]
    );
    assert_eq!(findings[2].help.as_deref(), Some("did you mean `listen`?"));
}

#[test]
fn lua_hides_neither_an_unknown_directive_nor_an_unknown_variable() {
    let text = "load_module modules/ndk_http_module.so;\nload_module modules/ngx_http_lua_module.so;\nevents {}\nhttp {\n    \
                server {\n        listen 18080;\n        set_by_lua_block $user { return 1 }\n        LINE\n    }\n}\n";
    let judge = |line| judge(&text.replace("LINE", line), &options()).iter().map(heading).collect::<Vec<_>>();
    assert_eq!(judge("return 200 $user;"), [""; 0]);
    assert_eq!(judge("return 200 $usr;"), ["unknown-variable 8:20 unknown \"usr\" variable"]);
    assert_eq!(judge("nonsense on;"), ["unknown-directive 8:9 unknown directive \"nonsense\""]);
}

#[test]
fn each_absent_module_has_one_finding() {
    let text = "events {}\nhttp {\n    brotli on;\n    brotli_types text/css;\n    server { brotli off; echo a; }\n}\n";
    let headings: Vec<_> = judge(text, &options()).iter().map(heading).collect();
    let directive = |place, name| format!("unknown-directive {place} unknown directive \"{name}\"");
    assert_eq!(headings, [directive("3:5", "brotli"), directive("5:26", "echo")]);
}

#[test]
fn openresty_and_plus_have_directives_of_their_own() {
    let text = "events {}\nhttp {\n    upstream a { zone a 64k; server 127.0.0.1 slow_start=30s; }\n    server {\n        \
                listen 80;\n        location / { content_by_lua_block { ngx.say(1) } }\n        location /a { health_check; }\n    }\n}\n";
    let found = |build| {
        let options = Options { build, ..Options::default() };
        judge(text, &options).iter().map(heading).collect::<Vec<_>>()
    };
    let slow_start = "invalid-parameter 3:47 invalid parameter \"slow_start=30s\"";
    let lua = "unknown-directive 6:22 unknown directive \"content_by_lua_block\"";
    let health_check = "unknown-directive 7:23 unknown directive \"health_check\"";
    assert_eq!(found(Build::NginxOrg), [slow_start, lua, health_check]);
    assert_eq!(found(Build::OpenResty), [slow_start, health_check]);
    assert_eq!(found(Build::Plus), [lua]);
    for build in Build::ALL {
        assert_eq!(build.as_str().parse(), Ok(build));
    }
}

#[test]
fn a_missing_semicolon_is_found_where_it_is_missing() {
    let found = |text: &str| -> Vec<(String, String)> {
        let of = |finding: &Finding| (heading(finding), finding.help.clone().unwrap_or_default());
        judge(text, &options()).iter().map(of).collect()
    };
    let one =
        found("events {}\nhttp {\n    server {\n        listen 18080\n        server_name a.example;\n    }\n}\n");
    assert_eq!(one[0].0, "invalid-parameter 5:9 invalid parameter \"server_name\"");
    assert_eq!(one[0].1, "write a `;` before `server_name`, which begins a directive of its own");
    assert_eq!(one[1].0, "missing-semicolon 4:21 a semicolon is missing here");
    assert_eq!(one.len(), 2);
    let last = found("events {}\nhttp {\n    sendfile on\n}\n");
    assert_eq!(
        last[0],
        ("unexpected-token 4:1 unexpected \"}\"".to_owned(), "end `sendfile on` with a `;`".to_owned())
    );
    assert_eq!(last[1].0, "missing-semicolon 3:16 a semicolon is missing here");
    // nginx accepts it, although it swallows the second line.
    let silent = found("events {}\nhttp {\n    server {\n        server_name a.example\n        root srv;\n    }\n}\n");
    assert_eq!(
        silent.iter().map(|(heading, _)| &**heading).collect::<Vec<_>>(),
        ["missing-semicolon 4:30 a semicolon is missing here"]
    );
}

#[test]
fn the_block_that_stays_open_is_named() {
    let help = |text: &str| judge(text, &options()).last().and_then(|finding| finding.help.clone());
    let text = "events {}\nhttp {\n    server {\n        location /a {\n        }\n        listen 80;\n}\n";
    assert_eq!(
        help(text).as_deref(),
        Some("close the block `server` (line 3 of the file) with a `}`"),
        "by its indentation"
    );
    assert_eq!(
        help("events {}\nhttp {\nserver {\n}\n").as_deref(),
        Some("close the block `http` (line 2 of the file) with a `}`")
    );
}

#[test]
fn invisible_characters_are_shown() {
    let findings = judge("\u{feff}user www-data;\nevents {}\n", &options());
    assert_eq!(heading(&findings[0]), "unknown-directive 1:1 unknown directive \"\\u{feff}user\"");
    assert_eq!(findings[0].help.as_deref(), Some("save the file as UTF-8 without a byte order mark (U+FEFF)"));
    let findings = judge("events {}\nhttp { sendfile 'on\r'; }\n", &options());
    assert_eq!(findings[0].message, "invalid value \"on\\r\" in \"sendfile\" directive, it must be \"on\" or \"off\"");
    assert_eq!(
        findings[0].help.as_deref(),
        Some("save the file with the line ends of Unix (LF), not with carriage returns")
    );
}

#[test]
fn a_long_word_is_one_finding_of_bounded_length() {
    let findings = judge(&format!("events {{}}\n{} on;\n", "x".repeat(1 << 20)), &options());
    assert_eq!(findings[0].code, codes::PARAMETER_TOO_LONG);
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|finding| finding.message.len() <= 1024));
}

#[test]
fn only_near_names_are_suggested() {
    let help = |name: &str| judge(&format!("events {{}}\nhttp {{ {name} x; }}\n"), &options())[0].help.clone();
    assert_eq!(help("rooot").as_deref(), Some("did you mean `root`?"));
    assert_eq!(help("acces_logs").as_deref(), Some("did you mean `access_log`?"));
    for far in ["hello", "foo", "cache", "port", "proxy_foo"] {
        assert_eq!(help(far), None, "{far}");
    }
}

#[test]
fn a_snippet_is_judged_in_the_blocks_around_it() {
    let found = |context: &str, main: &str, files: &[(&str, &str)]| {
        let files: MemoryFiles = files.iter().map(|(name, text)| (format!("/etc/nginx/{name}"), *text)).collect();
        let context: Context = context.parse().expect("a context");
        let options = Options { context, modules: vec![], ..options() };
        let of = |finding: &Finding| {
            format!("{} {}", finding.place.as_ref().map_or_else(String::new, ToString::to_string), finding.message)
        };
        check(&format!("/etc/nginx/{main}"), &files, &options).iter().map(of).collect::<Vec<_>>()
    };
    let site = "server {\n    listen 80;\n    include snippets/app.conf;\n    limit_req zone=elsewhere;\n    return 200 $own;\n}\n";
    let app = "location / { proxy_pass http://app; access_log /var/log/a.log main; }\n";
    let files = [("conf.d/site.conf", site), ("snippets/app.conf", app)];
    assert_eq!(found("http", "conf.d/site.conf", &files), [""; 0], "the rest is defined elsewhere");
    assert_eq!(found("http,server", "snippets/app.conf", &files), [""; 0]);
    assert_eq!(
        found("server", "conf.d/site.conf", &files),
        ["/etc/nginx/conf.d/site.conf:1:1 \"server\" directive is not allowed here"]
    );
    let typo = [("conf.d/a.conf", "server { listn 80; }\n")];
    assert_eq!(found("http", "conf.d/a.conf", &typo), ["/etc/nginx/conf.d/a.conf:1:10 unknown directive \"listn\""]);
    let two = [("conf.d/a.conf", "server { server_name a; }\n"), ("conf.d/b.conf", "server { server_name a; }\n")];
    assert_eq!(
        found("http", "conf.d/*.conf", &two),
        ["/etc/nginx/conf.d/b.conf:1:22 conflicting server name \"a\" on 0.0.0.0:80, ignored"]
    );
    assert_eq!(found("stream,server", "s.conf", &[("s.conf", "listen 53 udp;\n")]), [""; 0]);
    assert_eq!(found("mail,server", "s.conf", &[("s.conf", "listen 1025;\n")]), [""; 0]);
    let sizes = [("s.conf", "proxy_buffers 8 4k;\nproxy_busy_buffers_size 64k;\nserver { listen 80; }\n")];
    assert_eq!(found("http", "s.conf", &sizes), [""; 0], "sizes may be set elsewhere");
    let missing = found("http", "no.conf", &[("s.conf", "")]);
    assert_eq!(missing, ["/etc/nginx/no.conf open() \"/etc/nginx/no.conf\" failed (2: No such file or directory)"]);
}

#[test]
fn a_path_ends_at_a_byte_of_zero() {
    let files = [("nginx.conf", "events {}\ninclude a.conf\0x;\n"), ("a.conf", "nonsense;\n")];
    let headings: Vec<_> = judge_files(&files, &options()).iter().map(heading).collect();
    assert_eq!(headings, ["unknown-directive 1:1 unknown directive \"nonsense\""]);
}

#[test]
fn engines_of_openssl_itself_are_there() {
    assert_eq!(judge("ssl_engine dynamic;\nevents {}\n", &options()), []);
}

#[test]
fn warnings_are_those_of_nginx() {
    let found = |http: &str, version| {
        let text = format!("events {{}}\nhttp {{ {http} }}\n");
        judge(&text, &Options { version, ..Options::default() })
            .into_iter()
            .map(|finding| finding.message)
            .collect::<Vec<_>>()
    };
    let (old, new) = (Version::new(1, 22, 1), Version::new(1, 30, 4));
    let upstream = "upstream u { server 127.0.0.1; keepalive 2; least_conn; }";
    assert_eq!(found(upstream, old), ["load balancing method redefined"]);
    assert_eq!(found(upstream, new), [""; 0], "keepalive is no method since 1.29.7");
    let servers = |listens: &[&str]| {
        let server = |(at, listen): (usize, &&str)| format!("server {{ listen 80 {listen}; server_name a{at}; }} ");
        listens.iter().enumerate().map(server).collect::<String>()
    };
    let redefined = "protocol options redefined for 0.0.0.0:80";
    assert_eq!(found(&servers(&["proxy_protocol", ""]), new), [""; 0]);
    assert_eq!(found(&servers(&["", "proxy_protocol"]), new), [""; 0]);
    assert_eq!(found(&servers(&["proxy_protocol", "", "proxy_protocol"]), new), [redefined]);
    assert_eq!(found(&servers(&["proxy_protocol", "backlog=5"]), new), [redefined]);
    let default = "duplicate network \"default\", value: \"b\", old value: \"a\"";
    assert_eq!(found("geo $g { default a; default b; }", old), [default; 2]);
    let range = "duplicate default geo range value: \"b\", old value: \"a\"";
    assert_eq!(found("geo $g { ranges; default a; default b; }", old), [range]);
}

#[test]
fn a_path_to_store_at_is_not_empty_in_newer_releases() {
    let found = |version| {
        let text = "events {}\nhttp { server { location / { proxy_pass http://127.0.0.1; proxy_store \"\"; } } }\n";
        judge(text, &Options { version, ..Options::default() })
            .into_iter()
            .map(|finding| finding.message)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(Version::new(1, 27, 2)), [""; 0]);
    assert_eq!(found(Version::new(1, 27, 3)), ["empty path"]);
}

#[test]
fn files_may_include_others_very_often() {
    let files: Vec<_> =
        (0..13).map(|i| (format!("a{i}.conf"), format!("include a{}.conf;\n", i + 1).repeat(2))).collect();
    let mut files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    files.extend([("a12.conf", ""), ("nginx.conf", "events {}\ninclude a0.conf;\n")]);
    assert_eq!(judge_files(&files, &options()), [], "4,096 times the same file");
}
