//! Sends Events to the API server of Kubernetes as the pod's service account. IO: through `http`; reads credentials.

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Announcement, Announcer, ApiError, ApiOutcome, KubernetesEffect, KubernetesInput, PodIdentity, Regarding, object,
    series,
};
use crate::notify::worker::{Boards, PATIENCE, Reported, until};
use crate::redact::Redactor;
use crate::report::status::{DeliveryState, DeliveryStatus};
use crate::report::{Event, Kind};
use crate::sys::http::{self, HttpRequest, HttpResponse, Method};
use crate::sys::promise::DELIVERS;
use crate::sys::server::read;

/// The name of this sink.
const NAME: &str = "kubernetes";

/// The API server and the identity of the pod.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The URL of the API server.
    pub server: String,
    /// The directory with `token`, `ca.crt` and `namespace`. The files are read for each request, since they change.
    pub service_account: PathBuf,
    /// The namespace of the pod, if it is not that of the service account.
    pub namespace: Option<String>,
    /// The name of the pod.
    pub pod: String,
    /// Its UID.
    pub uid: Option<String>,
    /// The ConfigMap that gets Events as well.
    pub configmap: Option<String>,
}

/// Sends Events until no gate is left, and then what is still pending.
pub async fn announce(
    cluster: Cluster,
    boards: Boards,
    mut reports: UnboundedReceiver<Reported>,
    report: impl Fn(usize, &Event),
) {
    boards.metrics.begin_alerts(NAME);
    show(&boards, DeliveryState::Idle, None);
    let regarding = [Some(Regarding::Pod), cluster.configmap.as_ref().map(|_| Regarding::ConfigMap)];
    let mut announcer = Announcer::new(regarding.into_iter().flatten().collect(), Instant::now());
    let mut in_flight = None;
    let (mut stopping, mut newest) = (false, 0);
    while !announcer.is_done() {
        let input = tokio::select! {
            reported = reports.recv(), if !stopping => match reported {
                Some((gate, event, at)) => {
                    newest = gate;
                    KubernetesInput::Reported { gate: boards.boards[gate].gate().to_owned(), event: Box::new(event), at }
                }
                None => {
                    stopping = true;
                    KubernetesInput::Stop
                }
            },
            outcome = finish(&mut in_flight) => {
                in_flight = None;
                let taken = matches!(outcome, ApiOutcome::Taken | ApiOutcome::Gone);
                boards.metrics.alerted(NAME, taken);
                if taken {
                    show(&boards, DeliveryState::Delivered, None);
                }
                KubernetesInput::Done(outcome)
            }
            () = until(announcer.deadline()) => KubernetesInput::Tick,
        };
        for effect in announcer.step(Instant::now(), input) {
            let cluster = cluster.clone();
            match effect {
                KubernetesEffect::Create(announcement) => {
                    in_flight = Some(tokio::task::spawn_local(async move {
                        cluster.ask(Method::Post, |identity| (String::new(), object(identity, &announcement))).await
                    }));
                }
                KubernetesEffect::Count(announcement) => {
                    in_flight = Some(tokio::task::spawn_local(async move {
                        let name = |identity: &PodIdentity| format!("/{}", identity.object_name(&announcement));
                        cluster.ask(Method::Patch, |identity| (name(identity), series(&announcement))).await
                    }));
                }
                KubernetesEffect::Failing(error) => {
                    report(newest, &cluster.failing(&error));
                    show(&boards, DeliveryState::Failing, Some(error.message));
                }
                KubernetesEffect::Works => {
                    let message = "Kubernetes takes Events again; `alert_failed` is over";
                    report(newest, &Event::new(Kind::Recovered).message(message));
                }
            }
        }
    }
}

/// Shows the state of the Events, which is the same for all gates.
fn show(boards: &Boards, state: DeliveryState, error: Option<String>) {
    let at =
        (state == DeliveryState::Delivered).then(|| humantime::format_rfc3339_seconds(SystemTime::now()).to_string());
    let sink = NAME.to_owned();
    let alert = DeliveryStatus { sink, state, about: None, at, wanted: None, error };
    boards.boards.iter().for_each(|board| board.show_alert(alert.clone()));
}

/// Waits for the request in flight; without one, without end.
async fn finish(in_flight: &mut Option<tokio::task::JoinHandle<ApiOutcome>>) -> ApiOutcome {
    match in_flight {
        // A request ends by itself otherwise only by a panic.
        Some(request) => request.await.unwrap_or_else(|error| ApiOutcome::Never(error.to_string().into())),
        None => std::future::pending().await,
    }
}

impl Cluster {
    /// The event that reports an API server which does not take Events.
    #[must_use]
    pub fn failing(&self, error: &ApiError) -> Event {
        // A Role does not help against other errors.
        let remedy = if error.status == Some(403) {
            "allow `create` and `patch` of `events` in `events.k8s.io` by a Role (docs/alerts.md)"
        } else {
            "see whether this pod reaches the API server, and has a token of its service account"
        };
        let message = format!("Kubernetes (`{}`) does not take Events: {}", self.server, error.message);
        Event::new(Kind::AlertFailed).message(message).help(Some(format!("{remedy}; {DELIVERS}")))
    }

    /// Asks the API server whether it would take an Event, without storing it (`dryRun`).
    ///
    /// # Errors
    /// The reason, when it would not.
    pub async fn try_out(&self) -> Result<(), ApiError> {
        let now = SystemTime::now();
        let announcement = Announcement {
            gate: "doctor".to_owned(),
            regarding: Regarding::Pod,
            reason: "Doctor",
            action: "TryOut",
            warns: false,
            note: "whether Events may be made".to_owned(),
            first: now,
            last: now,
            count: 1,
            suffix: "doctor".to_owned(),
        };
        match self.ask(Method::Post, |identity| ("?dryRun=All".to_owned(), object(identity, &announcement))).await {
            ApiOutcome::Taken | ApiOutcome::Gone => Ok(()),
            ApiOutcome::Never(error) | ApiOutcome::Later(error) => Err(error),
        }
    }

    /// Sends a request about Events.
    async fn ask(&self, method: Method, what: impl FnOnce(&PodIdentity) -> (String, Value)) -> ApiOutcome {
        match self.request(method, what) {
            Ok((request, token)) => {
                let answer = http::exchange(request).await;
                let redactor = Redactor::new([token.as_bytes()]);
                outcome(method, answer.map_err(|error| redactor.text(&error)), &redactor)
            }
            Err(error) => ApiOutcome::Later(error.into()),
        }
    }

    /// The request, and the token in it.
    fn request(
        &self,
        method: Method,
        what: impl FnOnce(&PodIdentity) -> (String, Value),
    ) -> Result<(HttpRequest, String), String> {
        let file = |name: &str| read(&self.service_account.join(name));
        let namespace = self.namespace.clone().map_or_else(|| file("namespace"), Ok)?;
        let (pod, uid, configmap) = (self.pod.clone(), self.uid.clone(), self.configmap.clone());
        let identity = PodIdentity { namespace, pod, uid, configmap };
        let (name, body) = what(&identity);
        let token = file("token")?;
        let content_type = if method == Method::Patch { "application/merge-patch+json" } else { "application/json" };
        let namespace = &identity.namespace;
        let url = format!("{}/apis/events.k8s.io/v1/namespaces/{namespace}/events{name}", self.server);
        let headers = [
            ("Authorization", format!("Bearer {token}")),
            ("Content-Type", content_type.to_owned()),
            ("Accept", "application/json".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let authorities = Some(file("ca.crt")?.into_bytes());
        let content = body.to_string().into_bytes();
        Ok((HttpRequest { headers, content, authorities, ..HttpRequest::new(method, url, PATIENCE) }, token))
    }
}

fn outcome(method: Method, answer: Result<HttpResponse, String>, redactor: &Redactor) -> ApiOutcome {
    match answer {
        Ok(HttpResponse { status: 200..300, .. }) => ApiOutcome::Taken,
        // An earlier try created it, and its answer was lost.
        Ok(HttpResponse { status: 409, .. }) if method == Method::Post => ApiOutcome::Taken,
        Ok(HttpResponse { status: 404, .. }) if method == Method::Patch => ApiOutcome::Gone,
        Ok(HttpResponse { status, remark, .. }) => {
            let remark = remark.map_or_else(String::new, |remark| format!(": {}", redactor.text(&remark)));
            let error = ApiError { status: Some(status), message: format!("it answered {status}{remark}") };
            if matches!(status, 400 | 413 | 422) { ApiOutcome::Never(error) } else { ApiOutcome::Later(error) }
        }
        Err(error) => ApiOutcome::Later(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_the_remedy_for_403_and_for_nothing_else() {
        let cluster = Cluster {
            server: "https://kubernetes".to_owned(),
            service_account: PathBuf::from("/token"),
            namespace: None,
            pod: "web".to_owned(),
            uid: None,
            configmap: None,
        };
        for (status, has_role) in [(Some(403), true), (Some(401), false), (None, false)] {
            let error = ApiError { status, message: "403 Forbidden".to_owned() };
            let help = cluster.failing(&error).help.expect("there is one");
            assert_eq!(help.contains("by a Role"), has_role, "{status:?}: {help}");
        }
    }
}
