//! Between pods: the object of the volume, the nudge, the roll-out and the known-good revision. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

use super::alerts::{api_server, variable};
use crate::cluster::rollout::RolloutSettings;
use crate::cluster::{ClusterConfig, ObjectKind};
use crate::config::layer::Layers;
use crate::config::settings::{
    BETWEEN_PODS, CLUSTER_SOURCE, KNOWN_GOOD, KUBERNETES_SERVICE_ACCOUNT, NUDGE, ON_API_LOSS, PUBLISH, ROLLOUT,
    ROLLOUT_PARALLEL, ROLLOUT_SOAK, SettingSpec,
};
use crate::config::{ConfigError, SettingOrigin};
use crate::sys::kubernetes::ApiAccess;

/// The settings that need the API server.
pub(super) const USES: [&SettingSpec; 3] = [NUDGE.spec, ROLLOUT.spec, KNOWN_GOOD.spec];

/// Resolves the part of a gate's settings that is about other pods, if there is one.
pub(in crate::config) fn between_pods(
    layers: &Layers<'_>,
    variables: &[(OsString, OsString)],
) -> Option<ClusterConfig> {
    let (source, nudge, group) = (layers.get(CLUSTER_SOURCE), layers.get(NUDGE), layers.get(ROLLOUT));
    let known_good = layers.given(KNOWN_GOOD);
    if !nudge && group.is_none() && known_good.is_none() {
        check_used(layers);
        return None;
    }
    let fail = |setting: &SettingSpec, message: &str, help: &str| {
        let origin = layers.origin(setting).cloned().unwrap_or(SettingOrigin::Nowhere);
        layers.fail(ConfigError::new(origin, message).help(help));
    };
    if nudge && source.is_none() {
        fail(NUDGE.spec, "`nudge` does not know the object of the volume", "add `--cluster-source configmap/NAME`");
    }
    if layers.origin(ROLLOUT.spec).is_none() {
        for setting in [ROLLOUT_SOAK.spec, ROLLOUT_PARALLEL.spec, ON_API_LOSS.spec] {
            if layers.origin(setting).is_some() {
                fail(setting, &format!("`{}` has no effect without a roll-out", setting.name), "add `--rollout GROUP`");
            }
        }
    }
    if let Some(known_good) = &known_good {
        if layers.highest(&[PUBLISH.spec]).is_none() {
            let message = "`known-good` has no effect without a publication: the application reads the volume itself";
            fail(KNOWN_GOOD.spec, message, "add `--publish DIR`, and let the application mount that volume");
        }
        let of_secret = source.as_ref().is_some_and(|source| source.kind == ObjectKind::Secret);
        if of_secret && known_good.value.kind == ObjectKind::ConfigMap {
            let message = "the configuration is a Secret, and its known-good revision would be a ConfigMap";
            fail(KNOWN_GOOD.spec, message, "write `--known-good secret/NAME`");
        }
        if source.as_ref().is_some_and(|source| *source == known_good.value) {
            let message = "the known-good revision would replace the object of the volume";
            fail(KNOWN_GOOD.spec, message, "give it an object of its own");
        }
    }
    // A pod's host name is its name, unless it has that of its node.
    let pod = variable(variables, "POD_NAME").or_else(|| variable(variables, "HOSTNAME"));
    if pod.is_none() {
        let setting = USES.into_iter().find(|setting| layers.origin(setting).is_some()).unwrap_or(ROLLOUT.spec);
        let help = "set the variable POD_NAME to the field `metadata.name` in the pod's spec (`fieldRef`)";
        fail(setting, "the name of this pod is unknown", help);
    }
    let pod = pod?;
    let rollout = group.map(|group| RolloutSettings {
        group,
        pod: pod.clone(),
        soak: layers.get(ROLLOUT_SOAK),
        parallel: layers.get(ROLLOUT_PARALLEL),
        proceed_alone: layers.get(ON_API_LOSS),
    });
    let access = api_access(layers, variables);
    let known_good = known_good.map(|known_good| known_good.value);
    Some(ClusterConfig { access, pod, source, nudge, rollout, known_good })
}

/// Returns the kubeconfig that a variable names, as kubectl reads it.
pub(in crate::config) fn kubeconfig(variables: &[(OsString, OsString)]) -> Option<PathBuf> {
    variable(variables, "KUBECONFIG").map(PathBuf::from)
}

/// Resolves place and credentials of the API server.
pub(in crate::config) fn api_access(layers: &Layers<'_>, variables: &[(OsString, OsString)]) -> ApiAccess {
    ApiAccess {
        kubeconfig: kubeconfig(variables),
        server: api_server(variables),
        service_account: layers.get(KUBERNETES_SERVICE_ACCOUNT),
        namespace: variable(variables, "POD_NAMESPACE"),
    }
}

/// Reports settings that nothing uses.
fn check_used(layers: &Layers<'_>) {
    // Their values are wrong, or they would be in use.
    if [ROLLOUT.spec, KNOWN_GOOD.spec].into_iter().any(|setting| layers.origin(setting).is_some()) {
        return;
    }
    for (setting, given) in layers.all_given().filter(|(setting, _)| setting.heading == BETWEEN_PODS) {
        // `nudge: false` is as good as none.
        if setting.name == NUDGE.spec.name {
            continue;
        }
        let origin = given.first().map_or(SettingOrigin::Nowhere, |given| given.origin.clone());
        let message = format!("`{}` has no effect without a nudge, a roll-out or a known-good revision", setting.name);
        let help = "add `--nudge`, `--rollout GROUP` or `--known-good configmap/NAME`";
        layers.fail(ConfigError::new(origin, message).help(help));
    }
}
