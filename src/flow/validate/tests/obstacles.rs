//! Obstacles, warnings and findings in several files by the presets' patterns; the outputs are those of the programs in Debian 12,
//! with the paths made shorter.

use super::presets::reads;

#[test]
fn apache2_is_understood() {
    reads(
        "apache2",
        &[
            (
                "AH00526: Syntax error on line 4 of /a/inc.conf:\nInvalid command 'Nonsense', perhaps misspelled\n",
                &["wrong /a/inc.conf:4: Invalid command 'Nonsense', perhaps misspelled"],
            ),
            (
                "apache2: Syntax error on line 3 of /a/a.conf: Syntax error on line 9 of /a/inc.conf: /a/inc.conf:9: <Directory> was not closed.\n",
                &["wrong /a/inc.conf:9: /a/inc.conf:9: <Directory> was not closed."],
            ),
            (
                "httpd: Syntax error on line 12 of /a/a.conf: Cannot load /no/mod_x.so into server: /no/mod_x.so: cannot open shared object file: No such file or directory\n",
                &[
                    "obstacle /a/a.conf:12: Cannot load /no/mod_x.so into server: /no/mod_x.so: cannot open shared object file: No such file or directory",
                ],
            ),
            (
                "AH00526: Syntax error on line 15 of /a/a.conf:\nSSLCertificateFile: file '/no.pem' does not exist or is empty\n",
                &["obstacle /a/a.conf:15: SSLCertificateFile: file '/no.pem' does not exist or is empty"],
            ),
            // The first is said of every configuration without a name.
            (
                "AH00558: apache2: Could not reliably determine the server's fully qualified domain name\nAH00534: apache2: Configuration error: No MPM loaded.\n",
                &["wrong Configuration error: No MPM loaded."],
            ),
            ("AH00543: apache2: bad user name nosuch\n", &["obstacle bad user name nosuch"]),
        ],
    );
}

#[test]
fn lighttpd_is_understood() {
    reads(
        "lighttpd",
        &[
            // At the end of a line its parser is already at the next one.
            (
                "2026-11-24 06:15:14: (configfile.c.2164) source: /l.conf line: 2 pos: 0 parser failed somehow near here: (EOL)\n",
                &["wrong /l.conf: parser failed somehow near here: (EOL)"],
            ),
            (
                "2026-11-24 06:13:24: (configfile.c.2259) include file not found: /no.conf\n",
                &["obstacle include file not found: /no.conf"],
            ),
        ],
    );
}

#[test]
fn php_fpm_is_understood() {
    reads(
        "php-fpm",
        &[
            (
                "[24-Nov-2026 06:15:14] ERROR: [pool www] cannot get uid for user 'nosuch'\n[24-Nov-2026 06:15:14] ERROR: FPM initialization failed\n",
                &["obstacle [pool www] cannot get uid for user 'nosuch'"],
            ),
            (
                "[24-Nov-2026 06:15:14] WARNING: Nothing matches the include pattern '/no.conf' from /f.conf at line 2.\n\
                 [24-Nov-2026 06:15:14] ERROR: No pool defined. at least one pool section must be specified in config file\n\
                 [24-Nov-2026 06:15:14] ERROR: failed to post process the configuration\n",
                &["obstacle No pool defined. at least one pool section must be specified in config file"],
            ),
            (
                "[24-Nov-2026 06:15:14] ERROR: No pool defined. at least one pool section must be specified in config file\n",
                &["wrong No pool defined. at least one pool section must be specified in config file"],
            ),
            (
                "[24-Nov-2026 06:15:14] ERROR: failed to open error_log (/nodir/x): No such file or directory (2)\n",
                &["obstacle failed to open error_log (/nodir/x): No such file or directory (2)"],
            ),
        ],
    );
}

#[test]
fn prometheus_is_understood() {
    reads(
        "prometheus",
        &[
            (
                "Checking /p.yml\n  SUCCESS: 1 rule files found\n\nChecking /r.yml\n  FAILED:\n     /r.yml: 5:11: group \"a\", rule 1, \"X\": could not parse expression: 1:6: parse error\n",
                &["wrong /r.yml:5:11: group \"a\", rule 1, \"X\": could not parse expression: 1:6: parse error"],
            ),
            // Several lines of one file are one finding, so that none is said to be of another file.
            (
                "Checking /r.yml\n  FAILED:\n     /r.yml: yaml: unmarshal errors:\n  line 6: field a not found\n  line 7: field b not found\n",
                &["wrong /r.yml:6: field a not found\n  line 7: field b not found"],
            ),
            (
                "Checking /p.yml\n  FAILED: parsing YAML file /p.yml: found multiple scrape configs with job name \"a\"\n",
                &["wrong /p.yml: found multiple scrape configs with job name \"a\""],
            ),
            (
                "Checking /p.yml\n  FAILED: \"/no.yml\" does not point to an existing file\n",
                &["obstacle \"/no.yml\" does not point to an existing file"],
            ),
        ],
    );
}

#[test]
fn alertmanager_is_understood() {
    reads(
        "alertmanager",
        &[
            (
                "Checking '/am.yml'  FAILED: undefined receiver \"x\" used in route\n\namtool: error: failed to validate 1 file(s)\n",
                &["wrong /am.yml: undefined receiver \"x\" used in route"],
            ),
            (
                "Checking '/am.yml'  SUCCESS\nFound:\n - 1 templates\n  FAILED: template: t.tmpl:3: function \"nonsense\" not defined\n",
                &["wrong t.tmpl:3: function \"nonsense\" not defined"],
            ),
        ],
    );
}

#[test]
fn blackbox_exporter_is_understood() {
    reads(
        "blackbox-exporter",
        &[
            (
                "ts=2026 caller=main.go:82 level=error msg=\"Error loading config\" err=\"error reading config file: open /b.yml: permission denied\"\n",
                &["obstacle error reading config file: open /b.yml: permission denied"],
            ),
            (
                "ts=2026 level=error err=\"error parsing config file: \\\"Could not compile regular expression\\\" regexp=\\\"(\\\"\"\n",
                &["wrong \\\"Could not compile regular expression\\\" regexp=\\\"(\\\""],
            ),
        ],
    );
}

#[test]
fn named_is_understood() {
    reads(
        "named",
        &[("/n.conf:1: parsing failed: file not found\n", &["obstacle /n.conf:1: parsing failed: file not found"])],
    );
}

#[test]
fn unbound_is_understood() {
    reads(
        "unbound",
        &[
            (
                "/u.conf:1: error: cannot open include file '/no.conf': No such file or directory\nread /u.conf failed: 1 errors in configuration file\n",
                &["obstacle /u.conf:1: cannot open include file '/no.conf': No such file or directory"],
            ),
            (
                "[1795500914] unbound-checkconf[7830:0] fatal error: user 'nosuchuser' does not exist.\n",
                &["obstacle user 'nosuchuser' does not exist."],
            ),
            (
                "[1795500914] unbound-checkconf[7850:0] fatal error: cannot parse interface specified as '999.1.1.1'\n",
                &["wrong cannot parse interface specified as '999.1.1.1'"],
            ),
        ],
    );
}

#[test]
fn dnsmasq_is_understood() {
    reads(
        "dnsmasq",
        &[
            ("\ndnsmasq: bad dhcp-range at line 1 of /d.conf\n", &["wrong /d.conf:1: bad dhcp-range"]),
            (
                "\ndnsmasq: cannot read /no.conf: No such file or directory\n",
                &["obstacle cannot read /no.conf: No such file or directory"],
            ),
        ],
    );
}

#[test]
fn knot_is_understood() {
    reads(
        "knot",
        &[
            (
                "error: config, file '/k.conf', line 2 (tabulator character is not allowed)\nerror: failed to load configuration file\n",
                &["wrong /k.conf:2: (tabulator character is not allowed)"],
            ),
            (
                "error: config, file '/k.conf', line 1, item 'include', value '/no.conf' (file error)\n",
                &["obstacle /k.conf:1: item 'include', value '/no.conf' (file error)"],
            ),
        ],
    );
}

#[test]
fn bird_is_understood() {
    reads(
        "bird",
        &[(
            "bird: /b.conf:1:10 Unable to open included file /no.conf: No such file or directory\n",
            &["obstacle /b.conf:1:10: Unable to open included file /no.conf: No such file or directory"],
        )],
    );
}

#[test]
fn dnsdist_is_understood() {
    reads(
        "dnsdist",
        &[
            (
                "Fatal error: [string \"chunk\"]:2: ')' expected (to close '(' at line 1) near 'bar'\n",
                &["wrong {config}:2: ')' expected (to close '(' at line 1) near 'bar'"],
            ),
            (
                "Fatal Lua error: Exception thrown by a callback function called by Lua. \nstack traceback:\n\t[C]: in function 'setLocal'\n\t[string \"chunk\"]:1: in main chunk\nFatal pdns error: Unable to convert presentation address 'x.y.z'\n",
                &["wrong {config}:1: Unable to convert presentation address 'x.y.z'"],
            ),
        ],
    );
}

#[test]
fn postfix_is_understood() {
    reads(
        "postfix",
        &[
            (
                "postconf: fatal: file /p/master.cf: line 2: bad field count\n",
                &["wrong /p/master.cf:2: bad field count"],
            ),
            // However often it is said.
            (
                "postconf: warning: /p/main.cf, line 5: overriding earlier entry: a=b\npostconf: warning: /p/main.cf, line 5: overriding earlier entry: a=b\npostconf: fatal: macro processing error\n",
                &["warning /p/main.cf:5: overriding earlier entry: a=b", "wrong macro processing error"],
            ),
        ],
    );
}

#[test]
fn dovecot_is_understood() {
    reads(
        "dovecot",
        &[
            (
                "doveconf: Fatal: Error in configuration file /d.conf line 1: No matches\n",
                &["obstacle /d.conf:1: No matches"],
            ),
            (
                "doveconf: Fatal: Error in configuration file /d.conf: Missing '}' (section started at /d.conf:1)\n",
                &["wrong /d.conf:1: Missing '}'"],
            ),
            (
                "doveconf: Warning: Obsolete setting in /d.conf:1: ssl_protocols has been replaced\ndoveconf: Fatal: Error in configuration file /d.conf: protocols: Unknown protocol: nosuch\n",
                &[
                    "wrong /d.conf: protocols: Unknown protocol: nosuch",
                    "warning /d.conf:1: ssl_protocols has been replaced",
                ],
            ),
        ],
    );
}

#[test]
fn rsyslog_is_understood() {
    reads(
        "rsyslog",
        &[
            (
                "rsyslogd: could not load module 'nosuch', errors: nosuch.so: cannot open shared object file: No such file or directory [v8.2302.0 try https://www.rsyslog.com/e/2066 ]\n",
                &[
                    "obstacle could not load module 'nosuch', errors: nosuch.so: cannot open shared object file: No such file or directory",
                ],
            ),
            (
                "rsyslogd: version 8.2302.0, config validation run (level 1), master config /etc/rsyslog.conf\nrsyslogd: invalid or yet-unknown config file command 'Nonsense' - have you forgotten to load a module? [v8.2302.0 try https://www.rsyslog.com/e/3003 ]\n",
                &["wrong invalid or yet-unknown config file command 'Nonsense' - have you forgotten to load a module?"],
            ),
            (
                "ID for user 'nosuch' could not be found or error\n",
                &["obstacle ID for user 'nosuch' could not be found or error"],
            ),
        ],
    );
}

#[test]
fn nats_server_is_understood() {
    reads(
        "nats-server",
        &[
            (
                "nats-server: /n.conf:2:1: could not parse port \"x\"\n/n.conf:3:1: interface conversion: interface {} is string, not int64\n",
                &[
                    "wrong /n.conf:2:1: could not parse port \"x\"",
                    "wrong /n.conf:3:1: interface conversion: interface {} is string, not int64",
                ],
            ),
            ("nats-server: Parse error on line 2: 'Unexpected EOF.'\n", &["wrong {config}:2: 'Unexpected EOF.'"]),
            (
                "nats-server: /n.conf:1:0: error parsing X509 certificate/key pair: open /no.pem: no such file or directory\n",
                &[
                    "obstacle /n.conf:1: error parsing X509 certificate/key pair: open /no.pem: no such file or directory",
                ],
            ),
        ],
    );
}

#[test]
fn squid_is_understood() {
    let squid = |reason: &str| {
        format!(
            "2026/11/24 06:15:14| Processing: acl a src x (depth 0)\n2026/11/24 06:15:14| {reason}\n2026/11/24 06:15:14| Not currently OK to \
             rewrite swap log.\n2026/11/24 06:15:14| storeDirWriteCleanLogs: Operation aborted.\n2026/11/24 06:15:14| FATAL: Bungled /q.conf line \
             3: acl a src x\n"
        )
    };
    reads(
        "squid",
        &[
            (&squid("ACL not found: nonsense"), &["wrong /q.conf:3: ACL not found: nonsense"]),
            (&squid("FATAL: Unknown http_port option 'x'."), &["wrong /q.conf:3: Unknown http_port option 'x'."]),
            (
                &squid("Bad host/IP: 'x' : (-2) Name or service not known"),
                &["obstacle /q.conf:3: Bad host/IP: 'x' : (-2) Name or service not known"],
            ),
            (
                "2026/11/24 06:15:14| FATAL: Unable to find configuration file: /no.conf: (2) No such file or directory\n",
                &["obstacle Unable to find configuration file: /no.conf: (2) No such file or directory"],
            ),
        ],
    );
}

#[test]
fn sshd_is_understood() {
    reads(
        "sshd",
        &[
            (
                "/s line 1: Deprecated option UsePrivilegeSeparation\nbad addr or host: no.invalid (Name or service not known)\n",
                &[
                    "obstacle /s line 1: Deprecated option UsePrivilegeSeparation; bad addr or host: no.invalid (Name or service not known)",
                ],
            ),
            (
                "/s line 2: Directive 'Port' is not allowed within a Match block\n",
                &["wrong /s:2: Directive 'Port' is not allowed within a Match block"],
            ),
            (
                "Missing privilege separation directory: /run/sshd\n",
                &["obstacle Missing privilege separation directory: /run/sshd"],
            ),
        ],
    );
}

#[test]
fn varnish_is_understood() {
    reads(
        "varnish",
        &[
            (
                "Message from VCC-compiler:\nBackend host \"\"nosuch.invalid\"\" could not be resolved to an IP address:\n\tName or service not known\n('/v.vcl' Line 2 Pos 21)\nbackend a { .host = \"nosuch.invalid\"; }\n",
                &["obstacle /v.vcl:2:21: Backend host \"\"nosuch.invalid\"\" could not be resolved to an IP address:"],
            ),
            (
                "Message from VCC-compiler:\nCannot read file 'no.vcl' (No such file or directory)\n('/v.vcl' Line 2 Pos 9)\n",
                &["obstacle /v.vcl:2:9: Cannot read file 'no.vcl' (No such file or directory)"],
            ),
        ],
    );
}

#[test]
fn caddy_is_understood() {
    reads(
        "caddy",
        &[
            (
                "Error: adapting config using caddyfile: /c:2 - Syntax error: Unexpected token 'x', expecting '}'\n",
                &["wrong /c:2: Unexpected token 'x', expecting '}'"],
            ),
            (
                "Error: adapting config using caddyfile: parsing caddyfile tokens for 'tls': wrong argument count, at Caddyfile:3\n",
                &[
                    "wrong Caddyfile:3: adapting config using caddyfile: parsing caddyfile tokens for 'tls': wrong argument count",
                ],
            ),
            (
                "Error: loading http app module: provision tls: loading certificates: open /no.pem: no such file or directory\n",
                &[
                    "obstacle loading http app module: provision tls: loading certificates: open /no.pem: no such file or directory",
                ],
            ),
        ],
    );
}

#[test]
fn keepalived_is_understood() {
    reads(
        "keepalived",
        &[
            (
                "(/k.conf: Line 3) WARNING - interface eth9 for vrrp_instance a doesn't exist\n(/k.conf: Line 4) number '300' outside range [1, 255]\nNon-existent interface specified in configuration\n",
                &[
                    "warning /k.conf:3: interface eth9 for vrrp_instance a doesn't exist",
                    "wrong /k.conf:4: number '300' outside range [1, 255]",
                    "obstacle Non-existent interface specified in configuration",
                ],
            ),
            ("(web) Unknown interface!\n", &["obstacle (web) Unknown interface!"]),
        ],
    );
}

#[test]
fn envoy_is_understood() {
    reads(
        "envoy",
        &[
            (
                "[2026-11-24 06:15:13.842][1][critical][main] [source/server/config_validation/server.cc:76] error initializing configuration '/e.yaml': Invalid path: /e.yaml\n",
                &["obstacle /e.yaml: Invalid path: /e.yaml"],
            ),
            (
                "[x][critical][main] error initializing configuration '/e.yaml': Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason INVALID_ARGUMENT: no such field: 'nonsense') has unknown fields\n",
                &[
                    "wrong /e.yaml: Protobuf message (type envoy.config.bootstrap.v3.Bootstrap reason INVALID_ARGUMENT: no such field: 'nonsense') has unknown fields",
                ],
            ),
        ],
    );
}
