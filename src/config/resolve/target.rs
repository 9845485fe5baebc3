//! Target process, reload method and verification. Pure.

use crate::config::command::CommandEntry;
use crate::config::layer::Layers;
use crate::config::preset::Preset;
use crate::config::settings::{
    ALLOW_UNCAUGHT, APP, CMDLINE, EXE, PID_FILE, PROCESS, RELOAD_COMMAND, RELOAD_URL, SIGNAL, VERIFY_COMMAND,
    VERIFY_METRIC, VERIFY_METRIC_URL, VERIFY_URL, VERIFY_WORKERS,
};
use crate::config::{ConfigError, SettingOrigin};
use crate::flow::process::Selector;
use crate::flow::reload::ReloadMethod;
use crate::flow::verify::{MetricProof, Verification};
use crate::sys::server::{Access, Server};

use super::access;

pub(super) fn selector(layers: &Layers<'_>, preset: Option<&Preset>) -> Selector {
    // The user's own description of the process replaces the preset's knowledge of it.
    let own = layers.highest(&[CMDLINE.spec, EXE.spec, PID_FILE.spec]).is_some();
    Selector {
        process: layers.get(PROCESS),
        cmdline: layers.get(CMDLINE),
        exe: layers.get(EXE),
        pid_file: layers.get(PID_FILE),
        master: if own { None } else { preset.and_then(|preset| preset.master.clone()) },
        check_word: preset.and_then(check_word),
    }
}

/// The option with which the preset's own program only checks a configuration, such as `nginx -t`.
fn check_word(preset: &Preset) -> Option<String> {
    let process = preset.given_text(PROCESS.spec)?;
    let mut words = preset.layer.commands.iter().flatten().filter_map(CommandEntry::check_word);
    words.find(|(program, _)| program == process).map(|(_, word)| word)
}

pub(super) fn reload(layers: &Layers<'_>, selector: &Selector, preset: Option<&Preset>, observe: bool) -> ReloadMethod {
    let allow_uncaught = layers.get(ALLOW_UNCAUGHT);
    let Some(chosen) = layers.exclusive(&[SIGNAL.spec, RELOAD_URL.spec, RELOAD_COMMAND.spec]) else {
        // An unknown preset is an error by itself, and may have had one.
        let is_unknown = preset.is_none() && layers.given(APP).is_some_and(|app| app.value != "none");
        if !observe && !is_unknown {
            let help =
                "add `--signal HUP`, `--reload-url URL` or `--reload-command CMD`; or `--observe` to validate only";
            layers.fail(ConfigError::new(layers.place(), "no way to reload the application is given").help(help));
        }
        return ReloadMethod::Nothing;
    };
    let signal = chosen.get(SIGNAL);
    if let Some(origin) = chosen.origin(SIGNAL.spec)
        && signal != Some(None)
        && selector.is_empty()
        && !observe
    {
        let help = "name the process: `--process NAME`, `--cmdline REGEX`, `--exe PATH` or `--pid-file PATH`";
        layers.fail(ConfigError::new(origin.clone(), "the signal needs a target process").help(help));
    }
    if let Some(Some(signal)) = signal {
        ReloadMethod::Signal { signal, allow_uncaught }
    } else if let Some(url) = chosen.get(RELOAD_URL) {
        ReloadMethod::Url(Server { url, access: access::access(layers) })
    } else if let Some(command) = chosen.get(RELOAD_COMMAND) {
        ReloadMethod::Command(command)
    } else {
        ReloadMethod::Nothing
    }
}

pub(super) fn verification(layers: &Layers<'_>, selector: &Selector, preset: Option<&Preset>) -> Verification {
    let all = [VERIFY_WORKERS.spec, VERIFY_METRIC.spec, VERIFY_COMMAND.spec, VERIFY_URL.spec];
    // With a metric the URL is where it is shown.
    let has_metric = layers.highest(&all).is_some_and(|layer| layer.has(VERIFY_METRIC.spec));
    let settings = if has_metric { &all[..3] } else { &all };
    let Some(chosen) = layers.exclusive(settings) else { return Verification::Nothing };
    if chosen.get(VERIFY_WORKERS) == Some(true) {
        if selector.is_empty() {
            let origin = chosen.origin(VERIFY_WORKERS.spec).cloned().unwrap_or(SettingOrigin::Nowhere);
            let help = "name the process: `--process NAME`, `--cmdline REGEX`, `--exe PATH` or `--pid-file PATH`";
            layers.fail(ConfigError::new(origin, "proof by new workers needs a target process").help(help));
        }
        Verification::Workers
    } else if has_metric {
        metrics(&chosen, layers, preset)
    } else if let Some(url) = chosen.get(VERIFY_URL) {
        Verification::Url(Server { url, access: access::access(layers) })
    } else if let Some(command) = chosen.get(VERIFY_COMMAND) {
        Verification::Command(command)
    } else {
        Verification::Nothing
    }
}

/// The proof by metrics of the application.
fn metrics(chosen: &Layers<'_>, layers: &Layers<'_>, preset: Option<&Preset>) -> Verification {
    let expected = chosen.get(VERIFY_METRIC).into_iter().map(|metric| metric.value).collect();
    let given = layers.given(VERIFY_METRIC_URL).or_else(|| chosen.given(VERIFY_URL));
    let Some(given) = given else {
        let origin = chosen.origin(VERIFY_METRIC.spec).cloned().unwrap_or(SettingOrigin::Nowhere);
        let error = ConfigError::new(origin, "nothing says where the application shows its metrics");
        layers.fail(error.help("add `--verify-metric-url URL`, such as `http://127.0.0.1:9090/metrics`"));
        return Verification::Nothing;
    };
    let is_guess = matches!(given.origin, SettingOrigin::Preset(_));
    let listen_option = preset.filter(|_| is_guess).and_then(|preset| preset.listen_option.clone());
    // Credentials are for an address that a user has given.
    let access = if is_guess { Access::default() } else { access::access(layers) };
    let server = Server { url: given.value, access };
    Verification::Metrics(Box::new(MetricProof { server, expected, listen_option, is_guess }))
}
