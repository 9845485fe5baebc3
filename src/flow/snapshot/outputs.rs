//! Files that a configuration names for output: logs, process ids, state and caches of the program. Pure.
//!
//! Their changes are no new configuration. What a statement means is known by its first word, which is that of one program or of several that
//! mean the same by it. A name counts below the watched sources alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

mod statements;

use statements::{Statement, StatementBlock};

use crate::sys::lexical::without_dots;

/// Number of names that are kept; a configuration with more names no further output.
const NAMES: usize = 1000;
/// Number of directories to which relative paths may belong.
const BASES: usize = 8;
/// Largest file whose statements are read, in bytes: a larger one is hardly written by hand, and reading costs several times its size.
const LARGEST: usize = 1 << 20;
/// Shortest text beside the variables in the name of a file.
const SHORTEST_LITERAL: usize = 2;

/// Statements whose first value is a file that the program writes.
const FILES: [&str; 53] = [
    // nginx.
    "access_log",
    "error_log",
    "pid",
    "lock_file",
    "state",
    // httpd.
    "errorlog",
    "customlog",
    "transferlog",
    "forensiclog",
    "pidfile",
    "scoreboardfile",
    "davlockdb",
    "secauditlog",
    "secdebuglog",
    // php-fpm.
    "access.log",
    "slowlog",
    "php_admin_value[error_log]",
    "php_value[error_log]",
    // gunicorn; haproxy, redis, unbound, nsd, pgbouncer and telegraf have some of these, too.
    "accesslog",
    "logfile",
    // haproxy.
    "server-state-file",
    // mosquitto and nats-server.
    "pid_file",
    "log_file",
    // dnsmasq.
    "dhcp-leasefile",
    "pid-file",
    "log-facility",
    // unbound and nsd: the state of RFC 5011, of transfers and of zones.
    "auto-trust-anchor-file",
    "xfrdfile",
    "zonelistfile",
    // named.
    "session-keyfile",
    "dump-file",
    "statistics-file",
    "memstatistics-file",
    "recursing-file",
    "secroots-file",
    "lock-file",
    "journal",
    // squid.
    "cache_log",
    "cache_store_log",
    "pid_filename",
    "netdb_filename",
    // lighttpd.
    "server.errorlog",
    "accesslog.filename",
    "server.pid-file",
    "server.breakagelog",
    // chrony, ntpd; dovecot; postfix; vsftpd; fluentd.
    "driftfile",
    "log_path",
    "info_log_path",
    "debug_log_path",
    "maillog_file",
    "xferlog_file",
    "vsftpd_log_file",
    "pos_file",
];

/// Statements whose first value is a directory in which the program alone writes.
const DIRECTORIES: [&str; 24] = [
    // nginx.
    "proxy_cache_path",
    "fastcgi_cache_path",
    "uwsgi_cache_path",
    "scgi_cache_path",
    "client_body_temp_path",
    "proxy_temp_path",
    "fastcgi_temp_path",
    "uwsgi_temp_path",
    "scgi_temp_path",
    // httpd.
    "cacheroot",
    "cachelockpath",
    "defaultruntimedir",
    // haproxy.
    "server-state-base",
    // squid, lighttpd.
    "coredump_dir",
    "compress.cache-dir",
    "deflate.cache-dir",
    // chrony, ntpd.
    "dumpdir",
    "ntsdumpdir",
    "logdir",
    "statsdir",
    // rsyslog; vector; nats-server; fluent-bit.
    "$workdirectory",
    "data_dir",
    "store_dir",
    "storage.path",
];

/// Names of files that named writes into its directory by itself: keys that it manages (RFC 5011), journals, zones that were added, and what it
/// renames when it is whole.
const OF_NAMED: [&str; 8] =
    ["managed-keys.bind", "*.mkeys", "*.jnl", "*.jbk", "*.nzf", "*.nzd", "tmp-??????????", "db-????????"];

/// A name that a configuration gives to an output.
#[derive(Clone, Debug)]
struct NamedOutput {
    /// The path as it is written.
    path: String,
    kind: OutputKind,
    /// The file in which it is written.
    by: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputKind {
    File,
    Directory,
}

/// The output of the program, as far as its configuration names it.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    named: Vec<NamedOutput>,
    /// Directories to which relative paths belong, where the program has such.
    bases: Vec<String>,
    /// The directory of mosquitto's database, and its name.
    persistence: (Option<String>, Option<String>),
    directories: NamedDirectories,
}

/// The directories of the tree that are named for output, as far as the configuration was read.
#[derive(Debug, Default)]
struct NamedDirectories {
    names: BTreeSet<PathBuf>,
    /// The number of outputs and of bases by then.
    of: (usize, usize),
}

/// A source: its name in the tree, and the paths by which a configuration may name it.
#[derive(Clone, Debug)]
pub(super) struct NamedSource {
    pub(super) name: PathBuf,
    pub(super) paths: Vec<PathBuf>,
}

impl Outputs {
    /// Takes in the content of the file `name`.
    pub(super) fn take_in(&mut self, name: &Path, content: &[u8]) {
        if content.len() > LARGEST {
            return;
        }
        let Some(text) = std::str::from_utf8(content).ok().filter(|text| !text.contains('\0')) else { return };
        for statement in statements::read(text) {
            if self.named.len() >= NAMES {
                return;
            }
            match statement {
                Statement::Plain(words, within) => self.statement(name, &words, &within),
                Statement::Block(block) if block.is("zone") => self.zone(name, &block),
                Statement::Block(_) => {}
            }
        }
    }

    fn statement(&mut self, by: &Path, words: &[String], within: &str) {
        let Some((first, rest)) = words.split_first() else { return };
        let first = first.trim_end_matches(':').to_ascii_lowercase();
        let value = rest.first().map(|value| value.trim_matches(['(', ')', ',', '[', ']']));
        match (first.as_str(), value, rest.get(1)) {
            ("directory" | "managed-keys-directory", Some(value), _) if within == "options" => {
                self.base(value);
                for name in OF_NAMED {
                    self.name(by, &format!("{value}/{name}"), OutputKind::File);
                    self.name(by, &format!("{value}/{name}.jnl"), OutputKind::File);
                }
            }
            // Of a channel of named's logging; that of a zone depends on its kind.
            ("file", Some(value), _) if within == "channel" => self.name(by, value, OutputKind::File),
            ("persistence_location", Some(value), _) => self.persistence.0 = Some(value.to_owned()),
            ("persistence_file", Some(value), _) => self.persistence.1 = Some(value.to_owned()),
            ("log_dest", Some("file"), Some(path)) => self.name(by, path, OutputKind::File),
            ("cache_dir", Some(_), Some(path)) => self.name(by, path, OutputKind::Directory),
            (first, Some(value), _) if FILES.contains(&first) => self.name(by, value, OutputKind::File),
            (first, Some(value), _) if DIRECTORIES.contains(&first) => {
                if first == "server-state-base" {
                    self.base(value);
                }
                self.name(by, value, OutputKind::Directory);
            }
            _ => {}
        }
        if first == "persistence_location" || first == "persistence_file" {
            let (location, file) = self.persistence.clone();
            let path = format!("{}/{}", location.unwrap_or_default(), file.as_deref().unwrap_or("mosquitto.db"));
            self.name(by, &format!("{path}.new"), OutputKind::File);
            self.name(by, &path, OutputKind::File);
        }
    }

    /// A zone of named, which writes those that it transfers, and those that clients update (`allow-update`, `update-policy`).
    fn zone(&mut self, by: &Path, block: &StatementBlock) {
        let value = |name: &str| block.inner.iter().find(|words| words[0] == name).and_then(|words| words.get(1));
        let Some(file) = value("file") else { return };
        let is_transferred =
            value("type").is_some_and(|kind| matches!(kind.as_str(), "slave" | "secondary" | "stub" | "mirror"));
        let is_set = |name: &str| {
            let words = block.inner.iter().find(|words| words[0] == name);
            words.is_some_and(|words| words.get(1).is_some_and(|value| value != "none"))
        };
        if is_transferred || is_set("allow-update") || is_set("update-policy") {
            self.name(by, file, OutputKind::File);
        }
        for end in ["jnl", "jbk", "signed", "signed.jnl"] {
            self.name(by, &format!("{file}.{end}"), OutputKind::File);
        }
    }

    fn base(&mut self, directory: &str) {
        if self.bases.len() < BASES {
            self.bases.push(directory.to_owned());
        }
    }

    fn name(&mut self, by: &Path, path: &str, kind: OutputKind) {
        let is_path = path.contains(['/', '.']) && !path.starts_with(['|', '$', '%']);
        if is_path {
            self.named.push(NamedOutput { path: path.to_owned(), kind, by: by.to_owned() });
        }
    }

    /// Returns true if the directory `name` of the tree is one in which the program alone writes. One with a file that names outputs is
    /// none.
    pub(super) fn is_directory(&mut self, sources: &[NamedSource], name: &Path) -> bool {
        let of = (self.named.len(), self.bases.len());
        if self.directories.of != of {
            let named = self.named.iter().filter(|named| named.kind == OutputKind::Directory);
            let names = named.flat_map(|named| self.names(named, sources)).collect();
            self.directories = NamedDirectories { names, of };
        }
        self.directories.names.contains(name) && self.may_be_output(name)
    }

    /// Returns the names that are outputs, as a matcher of files.
    pub(super) fn matcher(&self, sources: &[NamedSource]) -> OutputFiles<'_> {
        let mut found = OutputFiles { outputs: self, directories: Vec::new(), files: Vec::new() };
        for named in &self.named {
            for name in self.names(named, sources) {
                match named.kind {
                    OutputKind::Directory if self.may_be_output(&name) => found.directories.push(name),
                    OutputKind::Directory => {}
                    OutputKind::File => found.files.extend(pattern(&name)),
                }
            }
        }
        found
    }

    /// Returns true unless a file that names outputs lies below `name`: it is configuration.
    fn may_be_output(&self, name: &Path) -> bool {
        !self.named.iter().any(|named| named.by.starts_with(name))
    }

    /// The names in the tree that a path may mean. A relative path belongs to a directory that the configuration gives, else to that of its
    /// file or to the top of a source.
    fn names(&self, named: &NamedOutput, sources: &[NamedSource]) -> impl Iterator<Item = PathBuf> {
        let path = Path::new(&named.path);
        let mut found = Vec::new();
        if path.is_absolute() {
            found.extend(below(sources, path));
        } else {
            found.extend(self.bases.iter().flat_map(|base| below(sources, &Path::new(base).join(path))));
            found.extend(named.by.parent().map(|directory| without_dots(&directory.join(path))));
            found.extend(sources.iter().map(|source| without_dots(&source.name.join(path))));
        }
        found.retain(|name| !name.as_os_str().is_empty());
        found.into_iter()
    }
}

/// The files that a configuration names for output.
pub(super) struct OutputFiles<'o> {
    outputs: &'o Outputs,
    directories: Vec<PathBuf>,
    files: Vec<GlobMatcher>,
}

impl OutputFiles<'_> {
    /// Returns true if the file `name` is an output. A file that names outputs is none.
    pub(super) fn is_match(&self, name: &Path) -> bool {
        let is_named = self.directories.iter().any(|directory| name.starts_with(directory))
            || self.files.iter().any(|file| file.is_match(name));
        is_named && !self.outputs.named.iter().any(|named| named.by == name)
    }
}

/// The names that an absolute path has in the sources.
fn below(sources: &[NamedSource], path: &Path) -> Vec<PathBuf> {
    let path = without_dots(path);
    let paths = sources.iter().flat_map(|source| source.paths.iter().map(move |at| (source, at)));
    paths.filter_map(|(source, at)| Some(source.name.join(path.strip_prefix(at).ok()?))).collect()
}

/// Compiles the name of a file, in which a variable of nginx is any text (`access_log logs/$host.log`).
fn pattern(name: &Path) -> Option<GlobMatcher> {
    let name = name.to_str()?;
    let mut glob = String::new();
    let mut rest = name.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter == '$' {
            let is_braced = rest.next_if_eq(&'{').is_some();
            while rest.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_').is_some() {}
            if is_braced {
                rest.next_if_eq(&'}');
            }
            glob.push('*');
        } else {
            glob.push(letter);
        }
    }
    let literal = glob.rsplit('/').next()?.chars().filter(|letter| !matches!(letter, '*' | '?')).count();
    let glob = GlobBuilder::new(&glob).literal_separator(true).build().ok()?;
    (literal >= SHORTEST_LITERAL).then(|| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of a source at `/etc/app` that are left out.
    fn left_out(main: &str, files: &[&str]) -> Vec<String> {
        let mut outputs = Outputs::default();
        outputs.take_in(Path::new("main.conf"), main.as_bytes());
        let sources = [NamedSource { name: PathBuf::new(), paths: vec!["/etc/app".into()] }];
        let matcher = outputs.matcher(&sources);
        files.iter().filter(|file| matcher.is_match(Path::new(file))).map(|file| (*file).to_owned()).collect()
    }

    #[test]
    fn few_directories_are_bases_of_relative_paths() {
        let text: String = (0..1000).map(|number| format!("server-state-base ./s{number}\n")).collect();
        let mut outputs = Outputs::default();
        outputs.take_in(Path::new("haproxy.cfg"), text.as_bytes());
        assert_eq!((outputs.bases.len(), outputs.named.len()), (BASES, NAMES));
        assert!(outputs.is_directory(&[], Path::new("s999")) && !outputs.is_directory(&[], Path::new("s1000")));
    }

    #[test]
    fn caches_and_temporary_directories_of_nginx_are_output() {
        let main = "pid /etc/app/nginx.pid; events {} http { access_log logs/${host}.log main; error_log logs/../logs/e.log;\n\
                    proxy_cache_path /etc/app/cache levels=1:2 keys_zone=z:1m;\n client_body_temp_path tmp;\n\
                    upstream u { zone u 1m; state /etc/app/state/u.conf; } # proxy_temp_path /etc/app/conf.d;\n }";
        let output =
            ["nginx.pid", "cache/a/bc/x", "logs/one.log", "logs/e.log", "state/u.conf", "conf.d/a.conf", "main", "off"];
        assert_eq!(left_out(main, &output), output[..5]);
        let mut outputs = Outputs::default();
        outputs.take_in(Path::new("main.conf"), main.as_bytes());
        let sources = [NamedSource { name: PathBuf::new(), paths: vec!["/etc/app".into()] }];
        assert!(outputs.is_directory(&sources, Path::new("cache")));
        assert!(!outputs.is_directory(&sources, Path::new("conf.d")));
    }

    #[test]
    fn a_directory_that_holds_the_configuration_is_no_output() {
        assert!(
            left_out("proxy_temp_path /etc/app; access_log $host.log; error_log /etc/app/$x;", &["a", "a.log"])
                .is_empty()
        );
    }

    #[test]
    fn state_of_named_is_output() {
        let main = "options { directory \"/etc/app\"; pid-file \"/etc/app/named.pid\"; }; // file \"c\";\n\
                    logging { channel q { file \"query.log\" versions 3; }; };\n\
                    zone \"a.test\" { type master; file \"a.zone\"; allow-update { any; }; };\n\
                    zone \"b.test\" IN { type slave; file \"b.zone\"; };\n\
                    zone \"c.test\" { type master; file \"c.zone\"; allow-update { none; }; };\n\
                    zone \"d.test\" { type primary; file \"d.zone\"; };";
        let files = [
            "managed-keys.bind",
            "managed-keys.bind.jnl",
            "a.zone",
            "a.zone.jnl",
            "b.zone",
            "query.log",
            "named.pid",
            "c.zone",
            "d.zone",
        ];
        assert_eq!(left_out(main, &files), files[..7]);
    }

    #[test]
    fn state_of_mosquitto_and_haproxy_is_output() {
        let main = "persistence true\npersistence_location /etc/app/\nlog_dest file /etc/app/m.log\n";
        let files = ["mosquitto.db", "mosquitto.db.new", "m.log", "acl"];
        assert_eq!(left_out(main, &files), files[..3]);
        let main = "global\n server-state-base /etc/app/state\n server-state-file servers.v1\n# pidfile /etc/app/acl\n";
        assert_eq!(
            left_out(main, &["state/servers.v1", "state/b", "acl", "servers.v2"]),
            ["state/servers.v1", "state/b"]
        );
    }

    #[test]
    fn output_of_other_programs_is_known() {
        for (main, file) in [
            ("ErrorLog \"/etc/app/error.log\"", "error.log"),
            ("[global]\nerror_log = /etc/app/fpm.log\n", "fpm.log"),
            ("php_admin_value[error_log] = /etc/app/pool.log", "pool.log"),
            ("errorlog = '/etc/app/g.log'", "g.log"),
            ("server:\n  auto-trust-anchor-file: \"/etc/app/root.key\"\n", "root.key"),
            ("cache_dir ufs /etc/app/spool 100 16 256", "spool/00/1"),
        ] {
            assert_eq!(left_out(main, &[file]), [file], "{main}");
        }
        assert!(left_out(";pid = a.pid\n#pid a.pid\n", &["a.pid"]).is_empty(), "these are comments");
    }
}
