//! The Lease of a roll-out group: its content is the state of the group.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

use super::rollout::{GroupState, REQUEST, SharedState, WriteFailure};
use crate::sys::kubernetes::{ApiServer, Connection, RequestError};

/// The annotation that holds the state, as JSON.
const STATE: &str = "reload-gate.dev/rollout";
/// The annotations for people: the newest revision, and the progress of its roll-out.
const DIGEST: &str = "reload-gate.dev/digest";
const PHASE: &str = "reload-gate.dev/phase";

/// Returns the state in `lease`. One that a newer version wrote in another way, or a person damaged, counts as empty.
#[must_use]
pub fn read(lease: &Lease) -> SharedState {
    let annotation = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(STATE));
    let state = annotation.and_then(|text| serde_json::from_str(text).ok());
    let state = state.filter(GroupState::can_go_on).unwrap_or_default();
    SharedState {
        state,
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        uid: lease.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Returns the Lease called `name` with `state`, in place of the one with `version`.
#[must_use]
pub fn write(name: &str, state: &GroupState, version: Option<String>, lasts: Duration, now: SystemTime) -> Lease {
    let mut annotations = vec![(STATE, serde_json::to_string(state).unwrap_or_default())];
    if let Some((digest, phase)) = state.newest() {
        annotations.extend([(DIGEST, digest.to_string()), (PHASE, phase.to_owned())]);
    }
    let holder = state.topic.as_ref().and_then(|topic| topic.holder.as_ref());
    let spec = LeaseSpec {
        holder_identity: holder.map(|holder| holder.pod.clone()),
        lease_duration_seconds: i32::try_from(lasts.as_secs()).ok(),
        renew_time: Timestamp::try_from(now).ok().map(MicroTime),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        resource_version: version,
        annotations: Some(annotations.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        labels: Some([("app.kubernetes.io/managed-by".to_owned(), "reload-gate".to_owned())].into()),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

/// Reads the state of the group called `name`; `None` if there is none yet.
///
/// # Errors
/// When the API server cannot be asked, or refuses.
pub async fn fetch(connection: &Connection, name: &str) -> Result<Option<SharedState>, RequestError> {
    Ok(fetch_lease(connection, name).await?.as_ref().map(read))
}

/// Returns the time at which a pod, or a person, wrote the state last, by the clock of the writer. A pod that leads writes every few seconds.
#[must_use]
pub fn written(lease: &Lease) -> Option<SystemTime> {
    lease.spec.as_ref()?.renew_time.as_ref().map(|time| time.0.into())
}

/// Reads the Lease of the group called `name`; `None` if there is none yet.
///
/// # Errors
/// When the API server cannot be asked, or refuses.
pub async fn fetch_lease(connection: &Connection, name: &str) -> Result<Option<Lease>, RequestError> {
    let answer = in_time("get", async { connection.server().await?.get::<Lease>(name).await }).await;
    match answer {
        Ok(lease) => Ok(Some(lease)),
        Err(RequestError::NotFound(_)) => Ok(None),
        Err(error) => {
            connection.failed(&error);
            Err(error)
        }
    }
}

/// Stores `state` if the Lease still has `version`, or does not exist where that is `None`.
///
/// # Errors
/// When it has another version, or the API server cannot be asked, or refuses.
pub async fn store(
    connection: &Connection,
    name: &str,
    state: &GroupState,
    version: Option<String>,
) -> Result<SharedState, WriteFailure> {
    let is_new = version.is_none();
    let lease = write(name, state, version, super::rollout::LEASE, SystemTime::now());
    let send = async |server: ApiServer| {
        if is_new { server.create(&lease).await } else { server.replace(name, &lease).await }
    };
    match in_time("update", async { send(connection.server().await?).await }).await {
        Ok(lease) => Ok(read(&lease)),
        Err(RequestError::Conflict(_)) => Err(WriteFailure::Conflict),
        // It was deleted since it was read: the next reading finds that. Where it is created, the namespace is missing.
        Err(RequestError::NotFound(_)) if !is_new => Err(WriteFailure::Conflict),
        Err(error) => {
            connection.failed(&error);
            Err(WriteFailure::Failed(error.to_string()))
        }
    }
}

async fn in_time<T>(verb: &str, request: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    let limit = humantime::format_duration(REQUEST);
    let late = || RequestError::Unreachable(format!("{verb} leases: no answer within {limit}"));
    tokio::time::timeout(REQUEST, request).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::rollout::Phase;
    use crate::flow::tree::Digest;

    #[test]
    fn a_lease_has_the_state_and_words_for_people() {
        let mut state = GroupState { serial: 3, ..GroupState::default() };
        state.begin(Digest::of(b"new"), Phase::Soaking, Some("web-0"));
        let lease = write("web", &state, Some("7".to_owned()), Duration::from_secs(20), SystemTime::UNIX_EPOCH);
        let annotations = lease.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations[PHASE], "soaking");
        assert_eq!(lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()), Some("web-0"));
        assert_eq!(written(&lease), Some(SystemTime::UNIX_EPOCH));
        assert_eq!(read(&lease), SharedState { state, version: "7".into(), uid: String::new() });
    }

    #[test]
    fn a_damaged_state_is_empty() {
        let mut lease = write("web", &GroupState::default(), None, Duration::from_secs(20), SystemTime::UNIX_EPOCH);
        for damaged in ["{", "{\"serial\":18446744073709551615}"] {
            lease.metadata.annotations = Some([(STATE.to_owned(), damaged.to_owned())].into());
            assert_eq!(read(&lease).state, GroupState::default(), "{damaged}");
        }
    }
}
