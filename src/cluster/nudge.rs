//! The nudge: when the object of the volume changes, an annotation of the own pod is changed, so that the kubelet updates the volume at
//! once instead of at its next look, up to two minutes later.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::core::PartialObjectMeta;
use serde_json::json;

use super::{ObjectKind, ObjectName};
use crate::sys::backoff::Backoff;
use crate::sys::kubernetes::{Connection, ObjectWatch, RequestError, Stored, WatchNews};

/// The annotation of the pod: the `resourceVersion` of the object, and the time.
const ANNOTATION: &str = "reload-gate.dev/nudge";
/// The pause before a watch that has ended begins again.
const PAUSE: Duration = Duration::from_millis(500);
/// The number of failures in a row that is reported.
const REPORTED: u32 = 2;
const RETRY: Backoff = Backoff::SECONDS;

/// A report of the nudge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NudgeNews {
    /// It does not work, for the first time since it worked.
    Lost(RequestError),
    /// It works again.
    Regained,
}

/// Nudges the kubelet of `pod` whenever `object` changes. It ends when it is dropped.
pub async fn run(connection: &Connection, object: &ObjectName, pod: &str, report: impl Fn(NudgeNews)) {
    let mut nudge = Nudge { connection, object, pod, seen: None, pending: false };
    let mut failures = 0;
    loop {
        let ended = match object.kind {
            ObjectKind::ConfigMap => nudge.follow::<ConfigMap>(&mut failures, &report).await,
            ObjectKind::Secret => nudge.follow::<Secret>(&mut failures, &report).await,
        };
        match ended {
            Ok(()) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                connection.failed(&error);
                failures += 1;
                if failures == REPORTED {
                    report(NudgeNews::Lost(error.clone()));
                }
                let pause = match error {
                    RequestError::TooManyRequests { pause } => Duration::from_secs(pause.into()),
                    RequestError::Gone(_) => PAUSE,
                    _ => Duration::ZERO,
                };
                tokio::time::sleep(pause.max(RETRY.wait(failures - 1))).await;
            }
        }
    }
}

struct Nudge<'a> {
    connection: &'a Connection,
    object: &'a ObjectName,
    pod: &'a str,
    /// The version of the object that was seen last.
    seen: Option<String>,
    /// The kubelet does not know of that version yet.
    pending: bool,
}

impl Nudge<'_> {
    /// Follows one watch to its end.
    async fn follow<K: Stored + 'static>(
        &mut self,
        failures: &mut u32,
        report: &impl Fn(NudgeNews),
    ) -> Result<(), RequestError> {
        let server = self.connection.server().await?;
        let mut watch: ObjectWatch<PartialObjectMeta<K>> = server.watch_metadata(&self.object.name).await?;
        self.works(failures, report).await?;
        while let Some(news) = watch.next().await? {
            let WatchNews::There(object) = news else { continue };
            let version = object.metadata.resource_version;
            // The first state is what the kubelet mounted, or newer; after that each version is news.
            if self.seen != version {
                self.pending = self.seen.is_some();
                self.seen = version;
            }
            self.works(failures, report).await?;
        }
        Ok(())
    }

    /// Sends the pending nudge, and reports that all works.
    async fn works(&mut self, failures: &mut u32, report: &impl Fn(NudgeNews)) -> Result<(), RequestError> {
        if self.pending {
            let time = humantime::format_rfc3339_millis(SystemTime::now());
            let value = format!("{} {time}", self.seen.as_deref().unwrap_or_default());
            let change = json!({ "metadata": { "annotations": { ANNOTATION: value } } });
            self.connection.server().await?.patch::<Pod>(self.pod, &change).await?;
            self.pending = false;
        }
        if std::mem::take(failures) >= REPORTED {
            report(NudgeNews::Regained);
        }
        Ok(())
    }
}
