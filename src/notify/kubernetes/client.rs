//! Sends Events to the API server of Kubernetes as the pod's service account. IO: through `sys::kubernetes`; reads the token.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::events::v1::Event as EventObject;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    Announcement, Announcer, ApiOutcome, KubernetesEffect, KubernetesInput, PodIdentity, Regarding, object, series,
};
use crate::notify::worker::{Boards, Reported, until};
use crate::redact::Redactor;
use crate::report::status::{DeliveryState, DeliveryStatus};
use crate::report::{Event, Kind};
use crate::sys::kubernetes::{ApiAccess, Connection, RequestError};
use crate::sys::promise::DELIVERS;
use crate::sys::worker::{self, WorkKind};

/// The name of this sink.
const NAME: &str = "kubernetes";
/// The time limit for reading the token, which only keeps it out of a message.
const READING: Duration = Duration::from_secs(1);
/// The message in the place of one that may repeat the token.
const UNREAD_TOKEN: &str = "the answer is not shown: it may repeat the token, which cannot be read to remove it";

/// The API server and the identity of the pod.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Place and credentials of the API server.
    pub access: ApiAccess,
    /// The name of the pod.
    pub pod: String,
    /// Its UID.
    pub uid: Option<String>,
    /// The ConfigMap that gets Events as well.
    pub configmap: Option<String>,
}

/// A request about one Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventRequest {
    /// Create it.
    Create,
    /// Change its count.
    Count,
    /// Ask whether it would be created, and create nothing.
    TryOut,
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
    let connection = Rc::new(Connection::new(cluster.access.clone()));
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
            let send = |request, announcement: Announcement| {
                let (cluster, connection) = (cluster.clone(), connection.clone());
                tokio::task::spawn_local(async move { cluster.send(&connection, request, &announcement).await })
            };
            match effect {
                KubernetesEffect::Create(announcement) => {
                    in_flight = Some(send(EventRequest::Create, announcement));
                }
                KubernetesEffect::Count(announcement) => in_flight = Some(send(EventRequest::Count, announcement)),
                KubernetesEffect::Failing(error) => {
                    report(newest, &cluster.failing(&error));
                    show(&boards, DeliveryState::Failing, Some(error.to_string()));
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
        Some(request) => {
            request.await.unwrap_or_else(|error| ApiOutcome::Never(RequestError::Invalid(error.to_string())))
        }
        None => std::future::pending().await,
    }
}

impl Cluster {
    /// The event that reports an API server which does not take Events.
    #[must_use]
    pub fn failing(&self, error: &RequestError) -> Event {
        // A Role does not help against other errors.
        let remedy = if matches!(error, RequestError::Forbidden { .. }) {
            "allow `create` and `patch` of `events` in `events.k8s.io` by a Role (docs/alerts.md)"
        } else {
            "see whether this pod reaches the API server, and has a token of its service account"
        };
        let message = format!("Kubernetes (`{}`) does not take Events: {error}", self.access);
        Event::new(Kind::AlertFailed).message(message).help(Some(format!("{remedy}; {DELIVERS}")))
    }

    /// Asks the API server whether it would take an Event, without storing it (`dryRun`).
    ///
    /// # Errors
    /// The reason, when it would not.
    pub async fn try_out(&self) -> Result<(), RequestError> {
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
        match self.send(&Connection::new(self.access.clone()), EventRequest::TryOut, &announcement).await {
            ApiOutcome::Taken | ApiOutcome::Gone => Ok(()),
            ApiOutcome::Never(error) | ApiOutcome::Later(error) => Err(error),
        }
    }

    /// Sends a request about an Event.
    async fn send(&self, connection: &Connection, request: EventRequest, announcement: &Announcement) -> ApiOutcome {
        match self.exchange(connection, request, announcement).await {
            Ok(()) => ApiOutcome::Taken,
            // An earlier try created it, and its answer was lost.
            Err(RequestError::Conflict(_)) if request == EventRequest::Create => ApiOutcome::Taken,
            Err(RequestError::NotFound(_)) if request == EventRequest::Count => ApiOutcome::Gone,
            Err(error) => {
                connection.failed(&error);
                let is_final = matches!(error, RequestError::Invalid(_));
                let error = self.without_token(error).await;
                if is_final { ApiOutcome::Never(error) } else { ApiOutcome::Later(error) }
            }
        }
    }

    async fn exchange(
        &self,
        connection: &Connection,
        request: EventRequest,
        announcement: &Announcement,
    ) -> Result<(), RequestError> {
        let server = connection.server().await?;
        let identity = PodIdentity {
            namespace: server.namespace().to_owned(),
            pod: self.pod.clone(),
            uid: self.uid.clone(),
            configmap: self.configmap.clone(),
        };
        match request {
            EventRequest::Create => server.create(&object(&identity, announcement)).await.map(drop),
            EventRequest::Count => {
                let name = identity.object_name(announcement);
                server.patch::<EventObject>(&name, &series(announcement)).await
            }
            EventRequest::TryOut => server.try_create(&object(&identity, announcement)).await,
        }
    }

    /// Removes the token from a message, or the message where the token is unknown: a proxy may repeat the headers of a request in its answer.
    async fn without_token(&self, error: RequestError) -> RequestError {
        let Some(file) = self.access.token_file() else { return error };
        match worker::run(WorkKind::Files, READING, move || std::fs::read(file)).await {
            Ok(Ok(token)) => error.with_message(|message| Redactor::new([token.trim_ascii()]).text(message)),
            // Then none was sent.
            Ok(Err(missing)) if missing.kind() == std::io::ErrorKind::NotFound => error,
            _ => error.with_message(|_| UNREAD_TOKEN.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn cluster(service_account: &Path, kubeconfig: Option<PathBuf>) -> Cluster {
        let (server, service_account) = ("https://kubernetes".to_owned(), service_account.to_owned());
        let access = ApiAccess { kubeconfig, server, service_account, namespace: None };
        Cluster { access, pod: "web".to_owned(), uid: None, configmap: None }
    }

    #[test]
    fn an_answer_is_withheld_where_the_token_in_it_is_unknown() {
        let account = tempfile::tempdir().expect("there is room");
        let token = account.path().join("token");
        let shown = |kubeconfig: Option<PathBuf>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
            let error = RequestError::Unauthorized("a proxy answered: Bearer ey.secret".into());
            runtime.block_on(cluster(account.path(), kubeconfig).without_token(error)).to_string()
        };
        assert!(shown(None).contains("Bearer ey.secret"), "no token was sent");
        std::fs::write(&token, "ey.secret\n").expect("there is room");
        let redacted = shown(None);
        assert!(redacted.contains("a proxy answered: Bearer ") && !redacted.contains("ey.secret"), "{redacted}");
        std::fs::remove_file(&token).and_then(|()| std::fs::create_dir(&token)).expect("it is ours");
        let withheld = shown(None);
        assert!(withheld.contains(UNREAD_TOKEN) && !withheld.contains("proxy"), "{withheld}");
        assert!(shown(Some("/kubeconfig".into())).contains("a proxy answered"), "its credentials are not that token");
    }

    #[test]
    fn a_role_is_the_remedy_for_a_missing_right_and_for_nothing_else() {
        let cluster = cluster(Path::new("/token"), None);
        let forbidden = RequestError::Forbidden { verb: "create", resource: "events".into(), message: "no".into() };
        for (error, has_role) in [
            (forbidden, true),
            (RequestError::Unauthorized("no".into()), false),
            (RequestError::Unreachable("no".into()), false),
        ] {
            let help = cluster.failing(&error).help.expect("there is one");
            assert_eq!(help.contains("by a Role"), has_role, "{error}: {help}");
        }
    }
}
