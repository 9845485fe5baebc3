//! Access to the application's own servers: credentials and TLS files of the reload and verify URLs. Pure.

use std::path::PathBuf;

use crate::config::layer::Layers;
use crate::config::settings::{
    RELOAD_BASIC_FILE, RELOAD_BEARER_FILE, RELOAD_CA_FILE, RELOAD_CERT_FILE, RELOAD_HEADER, RELOAD_KEY_FILE,
    RELOAD_SERVER_NAME, RELOAD_URL, SettingSpec, VERIFY_METRIC_URL, VERIFY_URL,
};
use crate::config::{ConfigError, SettingOrigin};
use crate::sys::server::{Access, Credentials};

/// The settings of this page.
const SETTINGS: [&SettingSpec; 7] = [
    RELOAD_BEARER_FILE.spec,
    RELOAD_BASIC_FILE.spec,
    RELOAD_HEADER.spec,
    RELOAD_CA_FILE.spec,
    RELOAD_CERT_FILE.spec,
    RELOAD_KEY_FILE.spec,
    RELOAD_SERVER_NAME.spec,
];

/// Resolves the access to the servers of a gate.
pub(super) fn access(layers: &Layers<'_>) -> Access {
    let credentials = layers.get(RELOAD_BEARER_FILE).map(Credentials::Bearer);
    let headers = layers.get(RELOAD_HEADER).into_iter().map(|header| header.value).collect();
    Access {
        headers,
        credentials: credentials.or_else(|| layers.get(RELOAD_BASIC_FILE).map(Credentials::Basic)),
        authorities: layers.get(RELOAD_CA_FILE),
        identity: identity(layers),
        server_name: layers.get(RELOAD_SERVER_NAME),
    }
}

fn identity(layers: &Layers<'_>) -> Option<(PathBuf, PathBuf)> {
    let certificate = layers.get(RELOAD_CERT_FILE)?;
    let key = layers.get(RELOAD_KEY_FILE).unwrap_or_else(|| certificate.clone());
    Some((certificate, key))
}

/// Reports settings that contradict each other, have no effect, or would send credentials to several hosts.
pub(super) fn check(layers: &Layers<'_>) {
    let given: Vec<_> = SETTINGS.into_iter().filter_map(|setting| Some((setting, layers.origin(setting)?))).collect();
    let fail = |origin: &SettingOrigin, message: String, help: &str| {
        layers.fail(ConfigError::new(origin.clone(), message).help(help));
    };
    let urls: Vec<_> =
        [RELOAD_URL, VERIFY_URL, VERIFY_METRIC_URL].into_iter().filter_map(|setting| layers.given(setting)).collect();
    let urls: Vec<_> = urls.into_iter().filter(|url| !matches!(url.origin, SettingOrigin::Preset(_))).collect();
    for (setting, origin) in given.iter().filter(|_| urls.is_empty()) {
        let message = format!("`{}` has no effect without a URL", setting.name);
        fail(origin, message, "add `--reload-url` or `--verify-url`");
    }
    exclude(layers);
    if let [reload, others @ ..] = urls.as_slice()
        && !given.is_empty()
        && let Some(verify) = others.iter().find(|verify| host(&reload.value) != host(&verify.value))
    {
        let message = "the credentials of `reload-url` would go to another host".to_owned();
        fail(&verify.origin, message, "give URLs of one host; prove the reload by `--verify-command` otherwise");
    }
}

/// Reports settings of which one leaves the other without a meaning.
fn exclude(layers: &Layers<'_>) {
    let fail = |setting: &SettingSpec, message: &str, help: &str| {
        let origin = layers.origin(setting).cloned().unwrap_or(SettingOrigin::Nowhere);
        layers.fail(ConfigError::new(origin, message).help(help));
    };
    let has = |setting: &SettingSpec| layers.origin(setting).is_some();
    let (bearer, basic) = (has(RELOAD_BEARER_FILE.spec), has(RELOAD_BASIC_FILE.spec));
    if bearer && basic {
        let message = "`reload-bearer-file` and `reload-basic-file` exclude each other";
        fail(RELOAD_BASIC_FILE.spec, message, "give one of them");
    }
    let sets_authorization = |name: &str| name.eq_ignore_ascii_case("authorization");
    if (bearer || basic) && layers.get(RELOAD_HEADER).iter().any(|header| sets_authorization(&header.value.0)) {
        fail(RELOAD_HEADER.spec, "the file of the credentials sets `Authorization` already", "give one of them");
    }
    if has(RELOAD_KEY_FILE.spec) && !has(RELOAD_CERT_FILE.spec) {
        fail(RELOAD_KEY_FILE.spec, "the key has no certificate", "add `--reload-cert-file`");
    }
}

/// The host of a URL; all names of this machine are one.
fn host(url: &str) -> Option<String> {
    let uri: ureq::http::Uri = url.parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    Some(if matches!(host.as_str(), "127.0.0.1" | "[::1]") { "localhost".to_owned() } else { host })
}
