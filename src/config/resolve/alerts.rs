//! What was said of alerts → who is told of what, or everything that is wrong with it. Pure.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigErrors, Said, normal, positive, words};
use crate::config::layer::{Layers, Words};
use crate::config::{ConfigError, Origin};
use crate::notify::kubernetes::client::Cluster;
use crate::notify::sinks::{Credentials, Endpoint, SinkKind, Url};
use crate::notify::worker::{Settings, Sink};

/// How long trouble that may pass by itself must stand, if nobody says.
const AFTER: Duration = Duration::from_secs(60);
/// How often Alertmanager is told again, if nobody says: as often as Prometheus does it.
const REPEAT: Duration = Duration::from_secs(60);

/// The variables by which a pod may tell its containers who it is (the "downward API"), and the labels that are made of them.
const POD: [(&str, &str); 3] = [("POD_NAMESPACE", "namespace"), ("POD_NAME", "pod"), ("NODE_NAME", "node")];
/// Where the API server is, and where a kubelet puts what proves who a pod is
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const SERVICE: &str = "kubernetes.default.svc";
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What every alert has of itself.
const TAKEN: [&str; 3] = ["alertname", "gate", "severity"];

/// Who is told of what.
pub(in crate::config) fn alerts(
    layers: &Layers,
    variables: &[(OsString, OsString)],
    directory: &Path,
    errors: ConfigErrors<'_>,
) -> Settings {
    let ask = Ask { layers, directory };
    let webhooks = ask.endpoints("alert-webhook", errors).into_iter().map(SinkKind::Webhook);
    ask.no_secrets("alert-slack-file", errors);
    let chats = layers.list("alert-slack-file").iter().map(|said| {
        let url = Url::File(ask.path(said));
        SinkKind::Slack(Endpoint { url, headers: Vec::new(), credentials: None, authorities: ask.authorities() })
    });
    let alertmanagers = ask.endpoints("alert-alertmanager", errors).into_iter().map(SinkKind::Alertmanager);
    let mut kinds = [("webhook", webhooks.collect()), ("slack", chats.collect::<Vec<_>>())].to_vec();
    kinds.push(("alertmanager", alertmanagers.collect()));
    let commands = layers.list("alert-command").iter();
    kinds
        .push(("command", commands.map(|said| SinkKind::Command(words(&Words::Line(said.clone()), errors))).collect()));
    let settings = Settings {
        sinks: kinds.into_iter().flat_map(|(kind, kinds)| named(kind, kinds)).collect(),
        after: super::duration(layers, "alert-after", AFTER, errors),
        repeat: positive(layers, "alert-repeat", REPEAT, errors),
        labels: labels(layers, variables, errors),
    };
    if settings.sinks.is_empty() {
        ask.nobody(errors);
    }
    settings
}

/// Names the sinks of one kind: the first by the kind alone, the others by a number as well.
fn named(kind_name: &str, kinds: Vec<SinkKind>) -> impl Iterator<Item = Sink> {
    kinds.into_iter().enumerate().map(move |(index, kind)| {
        let name = if index == 0 { kind_name.to_owned() } else { format!("{kind_name}-{}", index + 1) };
        Sink { name, kind }
    })
}

fn labels(layers: &Layers, variables: &[(OsString, OsString)], errors: ConfigErrors<'_>) -> Vec<(String, String)> {
    let of_pod = POD.iter().filter_map(|(name, label)| Some(((*label).to_owned(), variable(variables, name)?)));
    let mut labels: Vec<(String, String)> = of_pod.collect();
    let mut once = BTreeSet::new();
    for said in layers.list("alert-label") {
        match label(&said.value) {
            Ok((name, _)) if !once.insert(name.clone()) => {
                let message = format!("the label `{name}` is given twice");
                errors.push(ConfigError::new(said.origin.clone(), message).help("give it once"));
            }
            Ok((name, value)) => {
                // It takes the place of what the pod says of itself.
                labels.retain(|(other, _)| *other != name);
                labels.push((name, value));
            }
            Err(message) => {
                let help = "labels look like `team=web`; names are letters, digits and underscores";
                errors.push(ConfigError::new(said.origin.clone(), message).help(help));
            }
        }
    }
    labels
}

/// What a variable says that is not of this program.
fn variable(variables: &[(OsString, OsString)], name: &str) -> Option<String> {
    let (_, value) = variables.iter().find(|(other, _)| other == name)?;
    value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The cluster that is told of events, if it is.
pub(in crate::config) fn cluster(
    layers: &Layers,
    variables: &[(OsString, OsString)],
    directory: &Path,
    errors: ConfigErrors<'_>,
) -> Option<Cluster> {
    let path = |said: &Said| normal(&directory.join(&said.value));
    if !super::switch(layers, "kubernetes-events", errors) {
        for name in ["kubernetes-configmap", "kubernetes-service-account"] {
            if let Some(said) = layers.text(name) {
                let error = ConfigError::new(said.origin.clone(), "no Events are to be made");
                errors.push(error.help("say `--kubernetes-events`, or RELOAD_GATE_KUBERNETES_EVENTS=true"));
            }
        }
        return None;
    }
    // A pod's host name is its name, unless it has that of its node.
    let pod = variable(variables, "POD_NAME").or_else(|| variable(variables, "HOSTNAME"));
    if pod.is_none() {
        let help = "set the variable POD_NAME to the field `metadata.name` in the pod's spec (`fieldRef`)";
        let origin = layers.text("kubernetes-events").map_or(Origin::Nowhere, |said| said.origin.clone());
        errors.push(ConfigError::new(origin, "nothing says which pod this is").help(help));
    }
    let host = variable(variables, "KUBERNETES_SERVICE_HOST").unwrap_or_else(|| SERVICE.to_owned());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = variable(variables, "KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    Some(Cluster {
        server: format!("https://{host}:{port}"),
        service_account: layers.text("kubernetes-service-account").map_or_else(|| SERVICE_ACCOUNT.into(), path),
        namespace: variable(variables, "POD_NAMESPACE"),
        pod: pod?,
        uid: variable(variables, "POD_UID"),
        configmap: layers.text("kubernetes-configmap").map(|said| said.value.clone()),
    })
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` has no `=`"))?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{name}` is no name of a label"));
    }
    if TAKEN.contains(&name) {
        return Err(format!("every alert has a label `{name}` of its own"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Headers that follow from the request itself.
const OWN: [&str; 5] = ["Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"];
/// What is added to the address of an Alertmanager.
const API: &str = "/api/v2/alerts";

/// What is asked, of what was said where.
struct Ask<'a> {
    layers: &'a Layers,
    directory: &'a Path,
}

impl Ask<'_> {
    fn path(&self, said: &Said) -> PathBuf {
        normal(&self.directory.join(&said.value))
    }

    fn authorities(&self) -> Option<PathBuf> {
        self.layers.text("alert-ca-file").map(|said| self.path(said))
    }

    /// The endpoints of one kind: all have the same headers and credentials, so they have to be of one host if there are any.
    fn endpoints(&self, name: &'static str, errors: ConfigErrors<'_>) -> Vec<Endpoint> {
        let said = self.layers.list(name);
        let credentials = self.credentials(name, errors);
        let headers = self.headers(name, credentials.is_some(), errors);
        self.each_once(name, errors);
        let urls: Vec<_> = said.iter().map(|said| super::url(said, errors)).collect();
        let host = |url: &String| url.parse::<ureq::http::Uri>().ok().and_then(|uri| Some(uri.authority()?.clone()));
        let other = urls.iter().zip(said).find(|(url, _)| host(url) != urls.first().and_then(host));
        if let Some((_, other)) = other.filter(|_| credentials.is_some() || !headers.is_empty()) {
            let message = format!("the headers and credentials of `{name}` would go to more than one host");
            let help = "they are for one host: tell the other one by another way";
            errors.push(ConfigError::new(other.origin.clone(), message).help(help));
        }
        let endpoint = |url| Endpoint {
            url: Url::Said(url),
            headers: headers.clone(),
            credentials: credentials.clone(),
            authorities: self.authorities(),
        };
        urls.into_iter().map(endpoint).collect()
    }

    /// Who is told is told once.
    fn each_once(&self, name: &str, errors: ConfigErrors<'_>) {
        let mut once = BTreeSet::new();
        for said in self.layers.list(name) {
            if !once.insert(said.value.trim_end_matches('/')) {
                let error = ConfigError::new(said.origin.clone(), format!("`{name}` is given the same twice"));
                errors.push(error.help("give it once"));
            }
            if name == "alert-alertmanager" && said.value.trim_end_matches('/').ends_with(API) {
                let error = ConfigError::new(said.origin.clone(), format!("`{API}` is added to what is said"));
                errors.push(error.help("say where Alertmanager is, as `http://alertmanager:9093`"));
            }
        }
    }

    /// Refuses an address in place of the file that holds it, and does not repeat it.
    fn no_secrets(&self, name: &str, errors: ConfigErrors<'_>) {
        self.each_once(name, errors);
        let is_url = |said: &&Said| ["http://", "https://"].iter().any(|scheme| said.value.trim().starts_with(scheme));
        for said in self.layers.list(name).iter().filter(is_url) {
            let error = ConfigError::new(said.origin.clone(), "that is a URL, which is a secret, and no file");
            errors.push(error.help("put the URL into a file, and say where that is"));
        }
    }

    fn credentials(&self, name: &str, errors: ConfigErrors<'_>) -> Option<Credentials> {
        let said = |kind| self.layers.text(&format!("{name}-{kind}-file"));
        match (said("bearer"), said("basic")) {
            (Some(_), Some(basic)) => {
                let message = format!("`{name}-bearer-file` and `{name}-basic-file` exclude each other");
                errors.push(ConfigError::new(basic.origin.clone(), message).help("say one of them"));
                None
            }
            (Some(bearer), None) => Some(Credentials::Bearer(self.path(bearer))),
            (None, basic) => basic.map(|basic| Credentials::Basic(self.path(basic))),
        }
    }

    fn headers(&self, name: &str, authorized: bool, errors: ConfigErrors<'_>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for said in self.layers.list(&format!("{name}-header")) {
            let parts = said.value.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
            let valid = parts.filter(|(name, value)| {
                ureq::http::HeaderName::try_from(*name).is_ok() && ureq::http::HeaderValue::try_from(*value).is_ok()
            });
            match valid {
                Some((name, _)) if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) => {
                    let error =
                        ConfigError::new(said.origin.clone(), format!("the header `{name}` is not for you to say"));
                    errors.push(error.help("it is made of the URL and of what is sent"));
                }
                Some((header, _)) if authorized && header.eq_ignore_ascii_case("authorization") => {
                    let message = format!("`{name}-bearer-file` or `{name}-basic-file` says `{header}` already");
                    errors.push(ConfigError::new(said.origin.clone(), message).help("say one of them"));
                }
                Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
                // It may be a credential, so it is not shown.
                None => errors.push(
                    ConfigError::new(said.origin.clone(), "this is no header")
                        .help("headers look like `X-Scope-OrgID: web`; credentials are better read from a file"),
                ),
            }
        }
        headers
    }

    /// Tells of what is said to nobody.
    fn nobody(&self, errors: ConfigErrors<'_>) {
        let names = super::super::SETTINGS.iter().map(|setting| setting.name).filter(|name| name.starts_with("alert-"));
        for said in names.filter_map(|name| self.layers.list(name).first()) {
            let origin: Origin = said.origin.clone();
            let help = "say whom: `--alert-webhook`, `--alert-slack-file`, `--alert-alertmanager` or `--alert-command`";
            errors.push(ConfigError::new(origin, "nobody is to be alerted").help(help));
        }
    }
}
