//! Alerts and Kubernetes Events: sinks, credentials and labels. Pure.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::layer::{GivenValue, Layers};
use crate::config::settings::{
    ALERT_AFTER, ALERT_ALERTMANAGER, ALERT_ALERTMANAGER_BASIC_FILE, ALERT_ALERTMANAGER_BEARER_FILE, ALERT_CA_FILE,
    ALERT_COMMAND, ALERT_LABEL, ALERT_REPEAT, ALERT_SLACK_FILE, ALERT_TEAMS_FILE, ALERT_WEBHOOK,
    ALERT_WEBHOOK_BASIC_FILE, ALERT_WEBHOOK_BEARER_FILE, ALERT_WEBHOOK_HEADER, ALERTS, CONFIG, KUBERNETES_CONFIGMAP,
    KUBERNETES_EVENTS, KUBERNETES_SERVICE_ACCOUNT, List, Optional,
};
use crate::config::{ConfigError, SettingOrigin};
use crate::notify::kubernetes::client::Cluster;
use crate::notify::sinks::{Endpoint, SinkKind, Url};
use crate::notify::worker::{AlertSettings, SinkConfig};
use crate::sys::server::Credentials;

/// The variables of a pod's own fields (the "downward API"), and the labels that are made of them.
const POD: [(&str, &str); 3] = [("POD_NAMESPACE", "namespace"), ("POD_NAME", "pod"), ("NODE_NAME", "node")];
/// The address of the API server (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const SERVICE: &str = "kubernetes.default.svc";
/// The path below the address of an Alertmanager.
const API: &str = "/api/v2/alerts";

/// Settings of a sink that is reached by HTTP.
struct HttpSink {
    urls: List<String>,
    headers: Option<List<(String, String)>>,
    bearer: Optional<PathBuf>,
    basic: Optional<PathBuf>,
}

const WEBHOOK: HttpSink = HttpSink {
    urls: ALERT_WEBHOOK,
    headers: Some(ALERT_WEBHOOK_HEADER),
    bearer: ALERT_WEBHOOK_BEARER_FILE,
    basic: ALERT_WEBHOOK_BASIC_FILE,
};
const ALERTMANAGER: HttpSink = HttpSink {
    urls: ALERT_ALERTMANAGER,
    headers: None,
    bearer: ALERT_ALERTMANAGER_BEARER_FILE,
    basic: ALERT_ALERTMANAGER_BASIC_FILE,
};

/// Resolves the sinks of alerts, and their timing and labels.
pub(in crate::config) fn alerts(layers: &Layers<'_>, variables: &[(OsString, OsString)]) -> AlertSettings {
    let webhooks = endpoints(layers, &WEBHOOK).into_iter().map(SinkKind::Webhook);
    let chats = secret_urls(layers, ALERT_SLACK_FILE).map(SinkKind::Slack);
    let teams = secret_urls(layers, ALERT_TEAMS_FILE).map(SinkKind::Teams);
    let alertmanagers = endpoints(layers, &ALERTMANAGER).into_iter().map(SinkKind::Alertmanager);
    check_api_path(layers);
    let commands = layers.get(ALERT_COMMAND).into_iter().map(|command| SinkKind::Command(command.value));
    let sinks = named("webhook", webhooks)
        .chain(named("slack", chats))
        .chain(named("teams", teams))
        .chain(named("alertmanager", alertmanagers))
        .chain(named("command", commands));
    let settings = AlertSettings {
        sinks: sinks.collect(),
        after: layers.get(ALERT_AFTER),
        repeat: layers.get(ALERT_REPEAT),
        labels: labels(layers, variables),
    };
    let sinks =
        [ALERT_WEBHOOK.spec, ALERT_SLACK_FILE.spec, ALERT_TEAMS_FILE.spec, ALERT_ALERTMANAGER.spec, ALERT_COMMAND.spec];
    if layers.highest(&sinks).is_none() {
        check_sinks(layers);
    }
    settings
}

/// Names the sinks of one kind: the first by the kind alone, the others by a number as well.
fn named(kind_name: &str, kinds: impl Iterator<Item = SinkKind>) -> impl Iterator<Item = SinkConfig> {
    kinds.enumerate().map(move |(index, kind)| {
        let name = if index == 0 { kind_name.to_owned() } else { format!("{kind_name}-{}", index + 1) };
        SinkConfig { name, kind }
    })
}

fn labels(layers: &Layers<'_>, variables: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let of_pod = POD.iter().filter_map(|(name, label)| Some(((*label).to_owned(), variable(variables, name)?)));
    let mut labels: Vec<(String, String)> = of_pod.collect();
    let mut seen = BTreeSet::new();
    for GivenValue { value: (name, value), origin } in layers.get(ALERT_LABEL) {
        if !seen.insert(name.clone()) {
            let message = format!("the label `{name}` is given twice");
            layers.fail(ConfigError::new(origin, message).help("give it once"));
            continue;
        }
        // It replaces the label of the pod's field.
        labels.retain(|(other, _)| *other != name);
        labels.push((name, value));
    }
    labels
}

/// Returns the value of a variable that is not of this program.
pub(super) fn variable(variables: &[(OsString, OsString)], name: &str) -> Option<String> {
    let (_, value) = variables.iter().find(|(other, _)| other == name)?;
    value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Resolves the cluster in which Events are created, if any.
pub(in crate::config) fn cluster(layers: &Layers<'_>, variables: &[(OsString, OsString)]) -> Option<Cluster> {
    if !layers.get(KUBERNETES_EVENTS) {
        // The account serves the settings between pods as well, which may be those of a gate in the file.
        let of_account = layers.highest(&super::cluster::USES).is_none() && layers.origin(CONFIG.spec).is_none();
        let account = of_account.then_some(KUBERNETES_SERVICE_ACCOUNT.spec);
        for setting in [KUBERNETES_CONFIGMAP.spec].into_iter().chain(account) {
            if let Some(origin) = layers.origin(setting) {
                let message = format!("`{}` has no effect without Kubernetes Events", setting.name);
                let help = "add `--kubernetes-events`, or set RELOAD_GATE_KUBERNETES_EVENTS=true";
                layers.fail(ConfigError::new(origin.clone(), message).help(help));
            }
        }
        return None;
    }
    // A pod's host name is its name, unless it has that of its node.
    let pod = variable(variables, "POD_NAME").or_else(|| variable(variables, "HOSTNAME"));
    if pod.is_none() {
        let help = "set the variable POD_NAME to the field `metadata.name` in the pod's spec (`fieldRef`)";
        let origin = layers.origin(KUBERNETES_EVENTS.spec).cloned().unwrap_or(SettingOrigin::Nowhere);
        layers.fail(ConfigError::new(origin, "the name of this pod is unknown").help(help));
    }
    Some(Cluster {
        access: super::api_access(layers, variables),
        pod: pod?,
        uid: variable(variables, "POD_UID"),
        configmap: layers.get(KUBERNETES_CONFIGMAP),
    })
}

/// The URL of the API server, as a pod knows it.
pub(in crate::config) fn api_server(variables: &[(OsString, OsString)]) -> String {
    let host = variable(variables, "KUBERNETES_SERVICE_HOST").unwrap_or_else(|| SERVICE.to_owned());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = variable(variables, "KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    format!("https://{host}:{port}")
}

/// The endpoints with URLs that are secrets, in files.
fn secret_urls(layers: &Layers<'_>, setting: List<PathBuf>) -> impl Iterator<Item = Endpoint> {
    check_repeats(layers, setting);
    let authorities = layers.get(ALERT_CA_FILE);
    layers.get(setting).into_iter().map(move |file| Endpoint {
        url: Url::File(file.value),
        headers: Vec::new(),
        credentials: None,
        authorities: authorities.clone(),
    })
}

/// The endpoints of one kind: all have the same headers and credentials, so these have to be of one host.
fn endpoints(layers: &Layers<'_>, sink: &HttpSink) -> Vec<Endpoint> {
    let credentials = credentials(layers, sink);
    let headers = sink.headers.map_or_else(Vec::new, |headers| self::headers(layers, sink, headers));
    check_repeats(layers, sink.urls);
    let urls = layers.get(sink.urls);
    let host = |url: &GivenValue<String>| {
        url.value.parse::<ureq::http::Uri>().ok().and_then(|uri| Some(uri.authority()?.clone()))
    };
    let other = urls.iter().find(|url| host(url) != urls.first().and_then(host));
    if let Some(other) = other
        && (credentials.is_some() || !headers.is_empty())
    {
        let name = sink.urls.spec.name;
        let message = format!("the headers and credentials of `{name}` would go to more than one host");
        let help = format!("give one host as `--{name}`; alert the others by another kind of sink");
        layers.fail(ConfigError::new(other.origin.clone(), message).help(help));
    }
    let endpoint = |url: GivenValue<String>| Endpoint {
        url: Url::Said(url.value),
        headers: headers.clone(),
        credentials: credentials.clone(),
        authorities: layers.get(ALERT_CA_FILE),
    };
    urls.into_iter().map(endpoint).collect()
}

fn credentials(layers: &Layers<'_>, sink: &HttpSink) -> Option<Credentials> {
    let (bearer, basic) = (layers.get(sink.bearer), layers.given(sink.basic));
    match (bearer, basic) {
        (Some(_), Some(basic)) => {
            let message = format!("`{}` and `{}` exclude each other", sink.bearer.spec.name, sink.basic.spec.name);
            layers.fail(ConfigError::new(basic.origin, message).help("give one of them"));
            None
        }
        (Some(bearer), None) => Some(Credentials::Bearer(bearer)),
        (None, basic) => basic.map(|basic| Credentials::Basic(basic.value)),
    }
}

fn headers(layers: &Layers<'_>, sink: &HttpSink, setting: List<(String, String)>) -> Vec<(String, String)> {
    let authorized = [sink.bearer.spec, sink.basic.spec].into_iter().find(|setting| layers.origin(setting).is_some());
    let mut headers = Vec::new();
    for GivenValue { value: (name, value), origin } in layers.get(setting) {
        match authorized {
            Some(file) if name.eq_ignore_ascii_case("authorization") => {
                let message = format!("`{}` sets the header `{name}` already", file.name);
                layers.fail(ConfigError::new(origin, message).help("give one of them"));
            }
            _ => headers.push((name, value)),
        }
    }
    headers
}

/// Reports values that are given twice: a sink delivers each alert once.
fn check_repeats<T>(layers: &Layers<'_>, setting: List<T>) {
    let texts = layers.highest(&[setting.spec]).map_or(&[][..], |layer| layer.texts(setting.spec));
    let mut seen = BTreeSet::new();
    for text in texts {
        if !seen.insert(text.value.trim_end_matches('/')) {
            let error =
                ConfigError::new(text.origin.clone(), format!("`{}` has the same value twice", setting.spec.name));
            layers.fail(error.help("give it once"));
        }
    }
}

fn check_api_path(layers: &Layers<'_>) {
    for url in layers.get(ALERT_ALERTMANAGER) {
        if url.value.trim_end_matches('/').ends_with(API) {
            let error = ConfigError::new(url.origin, format!("`{API}` is added to the URL by the gate"));
            layers.fail(error.help("give the address of Alertmanager alone, as `http://alertmanager:9093`"));
        }
    }
}

/// Reports settings of alerts where there is no sink.
fn check_sinks(layers: &Layers<'_>) {
    for (setting, given) in layers.all_given().filter(|(setting, _)| setting.heading == ALERTS) {
        let origin = given.first().map_or(SettingOrigin::Nowhere, |given| given.origin.clone());
        let help = "add a sink: `--alert-webhook`, `--alert-slack-file`, `--alert-teams-file`, `--alert-alertmanager` or `--alert-command`";
        let message = format!("`{}` has no effect without a sink", setting.name);
        layers.fail(ConfigError::new(origin, message).help(help));
    }
}
