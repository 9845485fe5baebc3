//! The application in a pod template: its container, the mounts of its configuration, and what keeps a gate out.

use std::path::Path;

use serde_json::Value;

use super::Remark;
use super::request::{InjectRequest, name_container, name_watch, shortened};
use crate::sys::suggest::nearest;

/// Beginning of the names that an injection takes for containers and volumes.
pub(super) const NAME: &str = "reload-gate";
/// Mount path of the binary, and beginning of other mount paths of the gate. The image has its binary at `/reload-gate`.
pub(super) const HOME: &str = "/gate";
/// Port of the gate's listener, and its name.
pub(super) const PORT: u16 = 9464;
pub(super) const PORT_NAME: &str = "gate-metrics";

/// The application of a pod template.
pub(super) struct Application<'t> {
    /// `spec` of the template.
    pub(super) spec: &'t Value,
    /// Index of its container.
    pub(super) index: usize,
    /// Its container.
    pub(super) container: &'t Value,
    /// The mounts of its configuration.
    pub(super) configuration: Vec<ConfigMount<'t>>,
}

/// Mount of a volume with objects of Kubernetes.
#[derive(Clone, Copy)]
pub(super) struct ConfigMount<'t> {
    /// Index in `volumeMounts`.
    pub(super) index: usize,
    /// Name of the volume.
    pub(super) volume: &'t str,
    /// Mount path, without a slash at its end.
    pub(super) path: &'t str,
    /// True if a ConfigMap is in the volume.
    has_config_map: bool,
    /// True if it is one file or directory of the volume, which is never updated.
    is_sub_path: bool,
}

/// The items of a list in a mapping.
pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A text in a mapping; empty if there is none.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// All containers of a pod, with the lists that they are in.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|key| list(spec, key))
}

/// Refuses a template in which a gate would break the pod, or could not work.
pub(super) fn refuse_conflicts(template: &Value) -> Result<(), Remark> {
    let spec = &template["spec"];
    let refuse = |message: &str, help: &str| Err((message.to_owned(), help.to_owned()));
    if spec["shareProcessNamespace"] == false {
        return refuse("`shareProcessNamespace: false` hides the application from a gate", "remove that line");
    }
    if let Some(key) = wrong_type(spec) {
        return Err((
            format!("`{key}` of the pod has a wrong type"),
            "correct it, as the API server would demand".to_owned(),
        ));
    }
    if spec["hostPID"] == true {
        return refuse("`hostPID` excludes `shareProcessNamespace`", "write the sidecar by hand");
    }
    let systems = ["kubernetes.io/os", "beta.kubernetes.io/os"].map(|label| &spec["nodeSelector"][label]);
    if spec["os"]["name"] == "windows" || systems.iter().any(|system| **system == "windows") {
        return refuse("the pod runs on Windows, and the gate on Linux alone", "remove the annotation");
    }
    if let Some(gate) = containers(spec).find(|container| is_gate(container)) {
        let message = format!("container `{}` is a gate already, or has its name", shortened(text(gate, "name")));
        return Err((message, "remove that container or the annotation".to_owned()));
    }
    let taken = list(spec, "volumes").iter().find(|volume| text(volume, "name").starts_with(NAME));
    if let Some(volume) = taken {
        let message = format!("the name of volume `{}` is taken", shortened(text(volume, "name")));
        return Err((message, format!("give it a name that does not begin with `{NAME}`")));
    }
    Ok(())
}

/// The key of a pod that an injection changes, if its value has a wrong type.
fn wrong_type(spec: &Value) -> Option<&'static str> {
    let is_list = |key: &&str| spec[*key].is_null() || spec[*key].is_array();
    let list = ["initContainers", "containers", "volumes"].into_iter().find(|key| !is_list(key));
    let shares = &spec["shareProcessNamespace"];
    list.or_else(|| (!shares.is_null() && !shares.is_boolean()).then_some("shareProcessNamespace"))
}

/// True for a container with the name, the image, the program or the variables of a gate.
fn is_gate(container: &Value) -> bool {
    let image = text(container, "image").rsplit('/').next().unwrap_or_default();
    let program = container["command"][0].as_str().map(Path::new).and_then(Path::file_name);
    text(container, "name").starts_with(NAME)
        || image.starts_with(NAME)
        || program.is_some_and(|program| program == NAME)
        || list(container, "env").iter().any(|variable| text(variable, "name").starts_with("RELOAD_GATE_"))
}

/// Finds the application and its configuration.
pub(super) fn find<'t>(template: &'t Value, request: &InjectRequest) -> Result<Application<'t>, Remark> {
    let spec = &template["spec"];
    let (index, container) = container(spec, request)?;
    if text(container, "image").is_empty() {
        let message = format!("container `{}` has no image", shortened(text(container, "name")));
        return Err((message, "name its image".to_owned()));
    }
    let mounts = mounts(spec, container);
    let configuration = configuration(&mounts, request)?;
    for other in list(container, "volumeMounts") {
        let path = text(other, "mountPath");
        if Path::new(path).starts_with(HOME) || path.starts_with("/gate-") {
            let message = format!("the mount path `{}` is taken", shortened(path));
            return Err((message, "mount that volume at another path".to_owned()));
        }
    }
    if signals_first_process(container) {
        let message =
            "a hook of the application signals process 1, which is another one with shared processes".to_owned();
        return Err((message, "signal the program by its pid file or name".to_owned()));
    }
    Ok(Application { spec, index, container, configuration })
}

/// True if a hook of a container kills process 1: with `shareProcessNamespace` that is the pod's own.
fn signals_first_process(container: &Value) -> bool {
    let hooks = ["postStart", "preStop"].map(|hook| list(&container["lifecycle"][hook]["exec"], "command"));
    let kills = |command: &str| {
        let mut words = command.split_whitespace();
        words.next().is_some_and(|word| word.rsplit('/').next() == Some("kill")) && words.next_back() == Some("1")
    };
    let texts = |hook: &[Value]| hook.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    hooks.into_iter().any(|hook| {
        let words = texts(hook);
        kills(&words.join(" ")) || words.iter().flat_map(|word| word.split([';', '&', '|', '\n'])).any(kills)
    })
}

/// The container of the application: the only one; of several the one that is named, or has the configuration, or the program's image.
fn container<'t>(spec: &'t Value, request: &InjectRequest) -> Result<(usize, &'t Value), Remark> {
    let all: Vec<(usize, &Value)> = list(spec, "containers").iter().enumerate().collect();
    if let Some(name) = &request.container {
        let names = || all.iter().map(|(_, container)| text(container, "name"));
        let message = || match nearest(name, names()) {
            Some(meant) => format!("there is no container `{}`; did you mean `{meant}`?", shortened(name)),
            None => {
                let names: Vec<&str> = names().collect();
                format!("there is no container `{}` among {}", shortened(name), shortened(&names.join(", ")))
            }
        };
        let named = all.iter().find(|(_, container)| text(container, "name") == name);
        return named.copied().ok_or_else(|| (message(), name_container()));
    }
    let preset = request.preset;
    let has_image = |container: &Value| {
        text(container, "image").rsplit('/').next().is_some_and(|image| image.contains(preset.name))
    };
    let has_configuration = |container: &Value| {
        let mounts = mounts(spec, container);
        let usual = preset.directory.as_deref();
        mounts.iter().any(|mount| usual.is_none_or(|usual| Path::new(mount.path).starts_with(usual)))
    };
    let only = |is_it: &dyn Fn(&Value) -> bool| {
        let mut fitting = all.iter().filter(|(_, container)| is_it(container));
        fitting.next().copied().filter(|_| fitting.next().is_none())
    };
    only(&|_| true).or_else(|| only(&has_image)).or_else(|| only(&has_configuration)).ok_or_else(|| {
        let names: Vec<String> = all.iter().map(|(_, container)| shortened(text(container, "name"))).collect();
        (format!("the pod has several containers: {}", shortened(&names.join(", "))), name_container())
    })
}

/// The mounts of ConfigMaps and Secrets of a container, without those that Kubernetes makes itself.
fn mounts<'t>(spec: &'t Value, container: &'t Value) -> Vec<ConfigMount<'t>> {
    let mount = |(index, mount): (usize, &'t Value)| {
        let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
        let declared = list(spec, "volumes").iter().find(|declared| text(declared, "name") == volume)?;
        let sources = list(&declared["projected"], "sources");
        let has = |key: &str| declared.get(key).is_some() || sources.iter().any(|source| source.get(key).is_some());
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let is_usable = path.starts_with('/') && !is_of_kubernetes(path) && path.trim() == path && !path.contains('\n');
        let is_sub_path = ["subPath", "subPathExpr"].iter().any(|key| !text(mount, key).is_empty());
        let has_config_map = has("configMap");
        (is_usable && (has_config_map || has("secret"))).then_some(ConfigMount {
            index,
            volume,
            path,
            has_config_map,
            is_sub_path,
        })
    };
    list(container, "volumeMounts").iter().enumerate().filter_map(mount).collect()
}

/// True for a path at which Kubernetes mounts the token of a service account.
pub(super) fn is_of_kubernetes(path: &str) -> bool {
    ["/var/run/secrets", "/run/secrets"].iter().any(|secrets| Path::new(path).starts_with(secrets))
}

/// The remark that nothing is mounted at a path that is named.
fn not_mounted(path: &str, whole: &[ConfigMount<'_>]) -> Remark {
    let shown = shortened(path);
    if path.contains(',') {
        return (format!("`{shown}` has a comma"), "separate the mount paths with spaces".to_owned());
    }
    if let Some(mount) = whole.iter().find(|mount| Path::new(path).starts_with(mount.path)) {
        let message = format!("`{shown}` is a path in the mount `{}`", shortened(mount.path));
        return (message, "name the path of the mount".to_owned());
    }
    let paths: Vec<&str> = whole.iter().map(|mount| mount.path).collect();
    let help = if paths.is_empty() { name_watch() } else { format!("name one of: {}", shortened(&paths.join(", "))) };
    (format!("no ConfigMap or Secret is mounted as a whole at `{shown}`"), help)
}

/// The mounts of the configuration: those that are named, or those in the program's usual directory, or the only one.
fn configuration<'t>(mounts: &[ConfigMount<'t>], request: &InjectRequest) -> Result<Vec<ConfigMount<'t>>, Remark> {
    let whole: Vec<ConfigMount<'t>> = mounts.iter().filter(|mount| !mount.is_sub_path).copied().collect();
    if !request.watch.is_empty() {
        let named = |path: &String| {
            whole.iter().find(|mount| mount.path == path).copied().ok_or_else(|| not_mounted(path, &whole))
        };
        return request.watch.iter().map(named).collect();
    }
    let usual = request.preset.directory.as_deref();
    let inside = whole.iter().filter(|mount| usual.is_some_and(|usual| Path::new(mount.path).starts_with(usual)));
    let inside: Vec<_> = inside.copied().collect();
    if !inside.is_empty() {
        return Ok(inside);
    }
    let config_maps: Vec<_> = whole.iter().filter(|mount| mount.has_config_map).copied().collect();
    match (config_maps.as_slice(), whole.as_slice()) {
        ([only], _) => Ok(vec![*only]),
        // A Secret elsewhere is seldom the configuration of a program.
        ([], [_, ..]) => {
            let paths: Vec<&str> = whole.iter().map(|mount| mount.path).collect();
            let message =
                format!("the application mounts no ConfigMap, and Secrets at {}", shortened(&paths.join(", ")));
            Err((message, name_watch()))
        }
        ([], []) if !mounts.is_empty() => {
            let message = "the configuration is mounted with `subPath`, which is never updated".to_owned();
            Err((message, "mount the whole volume as a directory".to_owned()))
        }
        ([], []) => {
            let message = "the application mounts no ConfigMap and no Secret".to_owned();
            Err((message, "mount its configuration as a volume".to_owned()))
        }
        (several, _) => {
            let paths: Vec<&str> = several.iter().map(|mount| mount.path).collect();
            Err((format!("several mounts may be the configuration: {}", shortened(&paths.join(", "))), name_watch()))
        }
    }
}
