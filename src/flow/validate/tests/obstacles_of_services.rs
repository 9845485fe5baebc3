//! Obstacles and findings by the presets' patterns, of databases, brokers and application servers; the outputs are those of the
//! programs in Debian 12, with the paths made shorter.

use super::presets::reads;

#[test]
fn postgresql_is_understood() {
    reads(
        "postgresql",
        &[
            (
                "2026-11-26 13:29:32.827 GMT [2928] LOG:  syntax error in file \"/p.conf\" line 4, near token \"4\"\n2026-11-26 13:29:32.827 GMT [2928] FATAL:  configuration file \"/p.conf\" contains errors\n",
                &["wrong /p.conf:4: syntax error"],
            ),
            (
                "2026-11-26 13:29:32.899 GMT [2932] LOG:  invalid value for parameter \"port\": \"abc\"\n2026-11-26 13:29:32.899 GMT [2932] FATAL:  configuration file \"/p.conf\" contains errors\n",
                &["wrong invalid value for parameter \"port\": \"abc\""],
            ),
            (
                "2026-11-26 13:29:32.926 GMT [2935] LOG:  could not open configuration file \"/none.conf\": No such file or directory\n",
                &["obstacle could not open configuration file \"/none.conf\": No such file or directory"],
            ),
        ],
    );
}

#[test]
fn mariadb_is_understood() {
    reads(
        "mariadb",
        &[
            (
                "error: Found option without preceding group in config file: /my.cnf at line: 1\nFatal error in defaults handling. Program aborted\n",
                &["wrong /my.cnf:1: Found option without preceding group"],
            ),
            (
                "2026-11-26 13:29:33 0 [Warning] Could not increase number of max_open_files to more than 20000 (request: 32184)\n2026-11-26 13:29:33 0 [ERROR] mariadbd: unknown variable 'nonsense=3'\n",
                &["wrong unknown variable 'nonsense=3'"],
            ),
        ],
    );
}

#[test]
fn pgbouncer_is_understood() {
    reads(
        "pgbouncer",
        &[
            (
                "2026-11-26 17:32:55.746 UTC [30986] ERROR unrecognized connection parameter: nonsense\n2026-11-26 17:32:55.746 UTC [30986] ERROR invalid value \"nonsense=5\" for parameter app in configuration (/p.ini:3)\n2026-11-26 17:32:55.746 UTC [30986] FATAL cannot load config file\n",
                &[
                    "wrong /p.ini:3: unrecognized connection parameter: nonsense",
                    "wrong /p.ini:3: invalid value \"nonsense=5\" for parameter app",
                ],
            ),
            (
                "2026-11-26 17:32:55.710 UTC [30976] ERROR syntax error in configuration (/p.ini:7), stopping loading\n2026-11-26 17:32:55.710 UTC [30976] FATAL cannot load config file\n",
                &["wrong /p.ini:7: syntax error"],
            ),
            (
                "2026-11-26 17:32:55.738 UTC [30984] ERROR could not load file \"/none/x.ini\": No such file or directory\n2026-11-26 17:32:55.738 UTC [30984] ERROR error processing include file in configuration (/p.ini:11), stopping loading\n2026-11-26 17:32:55.738 UTC [30984] FATAL cannot load config file\n",
                &["obstacle could not load file \"/none/x.ini\": No such file or directory"],
            ),
            (
                "2026-11-26 17:32:55.730 UTC [30982] ERROR TLS setup failed: failed to load certificate file \"/none/c\": (null)\n2026-11-26 17:32:55.730 UTC [30982] FATAL TLS setup failed\n",
                &[
                    "obstacle TLS setup failed: failed to load certificate file \"/none/c\": (null)",
                    "obstacle TLS setup failed",
                ],
            ),
            // A missing file of users is logged, and it starts.
            (
                "2026-11-26 17:32:55.722 UTC [30980] ERROR could not open auth_file /none/users.txt: No such file or directory\n2026-11-26 17:32:55.724 UTC [30980] FATAL could not find user 'reload-gate-check-{mark}' to switch to\n",
                &[],
            ),
        ],
    );
}

#[test]
fn uwsgi_is_understood() {
    reads(
        "uwsgi",
        &[
            (
                "*** Operational MODE: single process ***\n  File \"/a/app.py\", line 1\n    def application(e, s:\n                   ^\nSyntaxError: '(' was never closed\nfailed to compile /a/app.py\nunable to load app 0 (mountpoint='') (callable not found or import error)\n*** no app loaded. GAME OVER ***\n",
                &["wrong /a/app.py:1: SyntaxError: '(' was never closed"],
            ),
            (
                "*** Operational MODE: single process ***\nModuleNotFoundError: No module named 'nosuch'\nunable to load app 0 (mountpoint='') (callable not found or import error)\n*** no app loaded. GAME OVER ***\n",
                &[
                    "wrong *** Operational MODE: single process ***; ModuleNotFoundError: No module named 'nosuch'; unable to load app 0 (mountpoint='') (callable not found or import error); *** no app loaded. GAME OVER ***",
                ],
            ),
            (
                "failed to open python file /a/none.py\nunable to load app 0 (mountpoint='') (callable not found or import error)\n*** no app loaded. GAME OVER ***\n",
                &["obstacle failed to open python file /a/none.py"],
            ),
            (
                "[uWSGI] getting INI configuration from /u.ini\nrealpath() of /none.ini failed: No such file or directory [core/utils.c line 3662]\n",
                &["obstacle realpath() of /none.ini failed: No such file or directory"],
            ),
            (
                "*** WARNING: Can't find section \"uwsgi\" in INI configuration file /u.ini ***\n[strict-mode] unknown config directive: reload-gate-end-{mark}\n",
                &["warning Can't find section \"uwsgi\" in INI configuration file /u.ini"],
            ),
            (
                "!!! UNABLE to load uWSGI plugin: /a/no_plugin.so: cannot open shared object file: No such file or directory !!!\n[strict-mode] unknown config directive: wsgi-file\n",
                &[
                    "obstacle UNABLE to load uWSGI plugin: /a/no_plugin.so: cannot open shared object file: No such file or directory !!!",
                ],
            ),
            ("[strict-mode] unknown config directive: reload-gate-end-{mark}\n", &[]),
        ],
    );
}

#[test]
fn mosquitto_is_understood() {
    reads(
        "mosquitto",
        &[
            (
                "1795715206: Error: A listener with port 0 must provide a Unix socket path.\n1795715206: Error found at /m.conf:1.\n",
                &["wrong /m.conf:1: A listener with port 0 must provide a Unix socket path"],
            ),
            (
                "1795714316: Error: Unable to open include_dir '/nodir'.\n1795714316: Error found at /m.conf:6.\n",
                &["obstacle /m.conf:6: Unable to open include_dir '/nodir'"],
            ),
            (
                "1795714316: Error: Unable to open config file /no.conf.\n",
                &["obstacle Unable to open config file /no.conf"],
            ),
            ("1795714316: Error: Invalid port specified (0).\n", &[]),
        ],
    );
}

#[test]
fn redis_is_understood() {
    let redis = |rest: &str| {
        format!("\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line {rest}\n")
    };
    reads(
        "redis",
        &[
            (
                &redis("1\n>>> 'port abc'\nargument couldn't be parsed into an integer"),
                &["wrong {config}:1: argument couldn't be parsed into an integer"],
            ),
            (
                &redis("2\n>>> 'dir /none'\nNo such file or directory"),
                &["obstacle {config}:2: No such file or directory"],
            ),
            (
                "30144:C 26 Nov 2026 17:31:56.964 # Fatal error, can't open config file '/none/x.conf': No such file or directory\n",
                &["obstacle Fatal error, can't open config file '/none/x.conf': No such file or directory"],
            ),
            (&redis("4\n>>> 'reload-gate-end-{mark} \"yes\"'\nBad directive or wrong number of arguments"), &[]),
        ],
    );
}

#[test]
fn vmagent_is_understood() {
    let vmagent = |rest: &str| {
        format!(
            "2026-11-26T17:33:23.873Z\tfatal\tVictoriaMetrics/app/vmagent/main.go:94\terror when checking -promscrape.config: {rest}\n"
        )
    };
    reads(
        "vmagent",
        &[
            (
                &vmagent(
                    "cannot parse Prometheus config from \"/v.yml\": cannot unmarshal data: yaml: line 4: did not find expected '-' indicator; pass -promscrape.config.strictParse=false command-line flag for ignoring unknown fields in yaml config",
                ),
                &["wrong /v.yml:4: did not find expected '-' indicator"],
            ),
            (
                &vmagent(
                    "cannot parse Prometheus config from \"/v.yml\": cannot parse `scrape_config`: cannot parse `relabel_configs` for `job_name` \"app\": error when parsing `relabel_config` #1: unknown `action` \"nonsense\"",
                ),
                &[
                    "wrong /v.yml: cannot parse `scrape_config`: cannot parse `relabel_configs` for `job_name` \"app\": error when parsing `relabel_config` #1: unknown `action` \"nonsense\"",
                ],
            ),
            (
                &vmagent(
                    "cannot read Prometheus config from \"/v.yml\": cannot read \"/v.yml\": open /v.yml: no such file or directory",
                ),
                &["obstacle cannot read \"/v.yml\": open /v.yml: no such file or directory"],
            ),
        ],
    );
}
