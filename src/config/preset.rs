//! Bundled profiles of programs: validation, target process, reload and verification of each. Pure.

use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use reload_gate_structured::yaml::{self, Node};

use super::file::{FileReader, GATE};
use super::layer::{ErrorList, SettingsLayer};
use super::settings::{BUILTIN, PROCESS, SettingSpec};
use super::{ConfigError, SettingOrigin};
use crate::flow::validate::ConfigLookup;
use crate::sys::pattern::LazyRegex;

/// The presets, by name. Adding one is adding a file in `validators/presets` and a line here.
const TEXTS: [(&str, &str); 44] = [
    ("alertmanager", include_str!("../../validators/presets/alertmanager.yaml")),
    ("alloy", include_str!("../../validators/presets/alloy.yaml")),
    ("apache2", include_str!("../../validators/presets/apache2.yaml")),
    ("bird", include_str!("../../validators/presets/bird.yaml")),
    ("blackbox-exporter", include_str!("../../validators/presets/blackbox-exporter.yaml")),
    ("caddy", include_str!("../../validators/presets/caddy.yaml")),
    ("dnsdist", include_str!("../../validators/presets/dnsdist.yaml")),
    ("dnsmasq", include_str!("../../validators/presets/dnsmasq.yaml")),
    ("dovecot", include_str!("../../validators/presets/dovecot.yaml")),
    ("envoy", include_str!("../../validators/presets/envoy.yaml")),
    ("fluent-bit", include_str!("../../validators/presets/fluent-bit.yaml")),
    ("fluentd", include_str!("../../validators/presets/fluentd.yaml")),
    ("gunicorn", include_str!("../../validators/presets/gunicorn.yaml")),
    ("haproxy", include_str!("../../validators/presets/haproxy.yaml")),
    ("keepalived", include_str!("../../validators/presets/keepalived.yaml")),
    ("knot", include_str!("../../validators/presets/knot.yaml")),
    ("lighttpd", include_str!("../../validators/presets/lighttpd.yaml")),
    ("logstash", include_str!("../../validators/presets/logstash.yaml")),
    ("loki", include_str!("../../validators/presets/loki.yaml")),
    ("mariadb", include_str!("../../validators/presets/mariadb.yaml")),
    ("mosquitto", include_str!("../../validators/presets/mosquitto.yaml")),
    ("mysqld", include_str!("../../validators/presets/mysqld.yaml")),
    ("named", include_str!("../../validators/presets/named.yaml")),
    ("nats-server", include_str!("../../validators/presets/nats-server.yaml")),
    ("nginx", include_str!("../../validators/presets/nginx.yaml")),
    ("nsd", include_str!("../../validators/presets/nsd.yaml")),
    ("otelcol", include_str!("../../validators/presets/otelcol.yaml")),
    ("pgbouncer", include_str!("../../validators/presets/pgbouncer.yaml")),
    ("php-fpm", include_str!("../../validators/presets/php-fpm.yaml")),
    ("postfix", include_str!("../../validators/presets/postfix.yaml")),
    ("postgresql", include_str!("../../validators/presets/postgresql.yaml")),
    ("prometheus", include_str!("../../validators/presets/prometheus.yaml")),
    ("puma", include_str!("../../validators/presets/puma.yaml")),
    ("redis", include_str!("../../validators/presets/redis.yaml")),
    ("rsyslog", include_str!("../../validators/presets/rsyslog.yaml")),
    ("squid", include_str!("../../validators/presets/squid.yaml")),
    ("sshd", include_str!("../../validators/presets/sshd.yaml")),
    ("telegraf", include_str!("../../validators/presets/telegraf.yaml")),
    ("unbound", include_str!("../../validators/presets/unbound.yaml")),
    ("unicorn", include_str!("../../validators/presets/unicorn.yaml")),
    ("uwsgi", include_str!("../../validators/presets/uwsgi.yaml")),
    ("varnish", include_str!("../../validators/presets/varnish.yaml")),
    ("vector", include_str!("../../validators/presets/vector.yaml")),
    ("vmagent", include_str!("../../validators/presets/vmagent.yaml")),
];

/// One program's profile.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Description in one line.
    pub about: String,
    /// Names of the program's configuration files; the first is the main file.
    pub files: Vec<String>,
    /// Usual directory of the configuration.
    pub directory: Option<String>,
    /// Files in that directory that its image's own main file includes: patterns with one `*`.
    pub parts: Vec<String>,
    /// Substitute for that main file where only such parts are known; `{part}` is the pattern.
    pub around: Option<String>,
    /// Pattern that the text of a whole configuration matches, and that of a part does not.
    pub whole: Option<LazyRegex>,
    /// Patterns of constructs by which a configuration makes the program execute or load something while it is validated, for its text
    /// without quotation marks and backslashes. None in a preset of the user's own: its command is the user's.
    pub executes: Option<Vec<LazyRegex>>,
    /// The text of the profile.
    pub text: &'static str,
    /// Pattern of the command line of the process at the root of the program's process tree.
    pub(super) master: Option<LazyRegex>,
    /// The rules by which the program finds its configuration.
    pub(super) lookup: ConfigLookup,
    /// Option of the program's command line that names the address of its metrics.
    pub(super) listen_option: Option<String>,
    pub(super) layer: SettingsLayer,
}

/// All presets, sorted by name.
///
/// # Panics
/// If a bundled preset is wrong; a test reads all of them.
#[must_use]
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let read = |(name, text)| read(name, text).unwrap_or_else(|errors| panic!("preset {name}: {errors:?}"));
        TEXTS.into_iter().map(read).collect()
    });
    &PRESETS
}

/// The preset of that name. Only that one is read: a gate needs no other.
///
/// # Panics
/// As [`presets`].
pub(super) fn named(name: &str) -> Option<&'static Preset> {
    static READ: [OnceLock<Preset>; TEXTS.len()] = [const { OnceLock::new() }; TEXTS.len()];
    let at = TEXTS.iter().position(|(known, _)| *known == name)?;
    let (name, text) = TEXTS[at];
    let read = || read(name, text).unwrap_or_else(|errors| panic!("preset {name}: {errors:?}"));
    Some(READ[at].get_or_init(read))
}

/// The preset of the program with that process name.
pub(super) fn of_process(process: &str) -> Option<&'static Preset> {
    let is_of =
        |text: &str| text.lines().any(|line| line.strip_prefix("process:").is_some_and(|name| name.contains(process)));
    let candidates = TEXTS.iter().filter(|(_, text)| is_of(text)).filter_map(|(name, _)| named(name));
    candidates.into_iter().find(|preset| preset.given_text(PROCESS.spec).is_some_and(|known| known == process))
}

fn read(name: &'static str, text: &'static str) -> Result<Preset, Vec<ConfigError>> {
    read_at(name, text, &|_, _| SettingOrigin::Preset(name))
}

/// Reads a preset of the user's own; its name is that of the file.
///
/// # Errors
/// All errors at once, with their lines.
pub(super) fn of_file(path: &Path, text: &str) -> Result<Preset, Vec<ConfigError>> {
    let name = path.file_stem().map_or_else(|| "preset".to_owned(), |stem| stem.to_string_lossy().into_owned());
    // Bundled presets are constants. One of the user's own is read once, at the start, and lives as long as the process.
    let (name, text): (&'static str, &'static str) = (name.leak(), text.to_owned().leak());
    let place = |line, column| SettingOrigin::File(path.to_path_buf(), line, column);
    let preset = read_at(name, text, &place)?;
    if preset.layer.commands.is_none() && !preset.layer.has(BUILTIN.spec) {
        let error = ConfigError::new(place(1, 1), "the preset has no validator");
        return Err(vec![error.help("add `validate` with a command, or `builtin`")]);
    }
    Ok(preset)
}

fn read_at(
    name: &'static str,
    text: &'static str,
    place: &dyn Fn(u32, u32) -> SettingOrigin,
) -> Result<Preset, Vec<ConfigError>> {
    let error = |at: (u32, u32), message: String| ConfigError::new(place(at.0, at.1), message);
    let node = match yaml::documents(text).next().transpose() {
        Ok(Some(document)) => document.root,
        Ok(None) => return Err(vec![error((1, 1), "it is empty".to_owned())]),
        Err(broken) => return Err(vec![error((broken.line, broken.column), broken.message)]),
    };
    let mut preset = Preset {
        name,
        about: String::new(),
        files: Vec::new(),
        directory: None,
        parts: Vec::new(),
        around: None,
        whole: None,
        executes: None,
        text,
        master: None,
        lookup: ConfigLookup::default(),
        listen_option: None,
        layer: SettingsLayer::default(),
    };
    let (errors, mut wrong) = (ErrorList::default(), Vec::new());
    let mut own = |(key, value): &(Node, Node)| {
        let mut found = Vec::new();
        let at = (value.line, value.column);
        let pattern = match place(at.0, at.1) {
            SettingOrigin::Preset(_) => |text: &str| Ok(LazyRegex::constant(text)),
            _ => LazyRegex::parse,
        };
        let is_own = preset.take(key.as_str().unwrap_or_default(), value, pattern, &mut found);
        wrong.extend(found.into_iter().map(|reason: regex::Error| error(at, reason.to_string())));
        is_own
    };
    let layer = FileReader { place, errors: &errors }.layer(node, GATE, &mut own);
    errors.extend(wrong);
    let errors = errors.into_errors();
    if errors.is_empty() { Ok(Preset { layer, ..preset }) } else { Err(errors) }
}

impl Preset {
    /// Returns `true` if the configuration as a whole is code, which is executed when it is validated.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.executes.iter().flatten().any(|pattern| pattern.as_str().is_empty())
    }

    /// Returns `true` if a configuration may make the program execute or load something while it is validated.
    #[must_use]
    pub fn may_execute(&self) -> bool {
        self.executes.as_ref().is_some_and(|patterns| !patterns.is_empty())
    }

    /// The text of a setting of the profile.
    pub(super) fn given_text(&self, setting: &SettingSpec) -> Option<&String> {
        self.layer.text(setting).map(|given| &given.value)
    }

    /// Reads a key that only presets have; returns `false` for any other.
    fn take(
        &mut self,
        key: &str,
        value: &Node,
        parse: fn(&str) -> Result<LazyRegex, regex::Error>,
        wrong: &mut Vec<regex::Error>,
    ) -> bool {
        let text = || value.as_str().unwrap_or_default().to_owned();
        let texts = || value.items().iter().filter_map(Node::as_str).map(str::to_owned).collect();
        let mut pattern = |text: &str| parse(text).map_err(|error| wrong.push(error)).ok();
        match key {
            "about" => self.about = text(),
            "files" => self.files = texts(),
            "directory" => self.directory = Some(text()),
            "parts" => self.parts = texts(),
            "around" => self.around = Some(text()),
            "whole" => self.whole = pattern(&text()),
            "master" => self.master = pattern(&text()),
            "executes" => {
                self.executes = Some(value.items().iter().filter_map(Node::as_str).filter_map(pattern).collect());
            }
            "listen-option" => self.listen_option = Some(text()),
            "config-options" => self.lookup.options = texts(),
            "config-argument" => self.lookup.argument = pattern(&text()),
            "config-title" => self.lookup.title = pattern(&text()),
            "config-defaults" => {
                self.lookup.defaults = Some(value.items().iter().filter_map(Node::as_str).map(Into::into).collect());
            }
            "config-is-program" => self.lookup.is_program = text() == "true",
            "reload-directory" => self.lookup.directory.get_or_insert_default().by_name = text() == "PWD",
            "directory-options" => self.lookup.directory.get_or_insert_default().options = texts(),
            "directory-setting" => self.lookup.directory.get_or_insert_default().setting = pattern(&text()),
            "arguments-variable" => self.lookup.directory.get_or_insert_default().variable = Some(text()),
            _ => return false,
        }
        true
    }
}
