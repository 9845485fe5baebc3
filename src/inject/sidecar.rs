//! The sidecar: containers, volumes and the mark that are added to a template.

use serde_json::{Map, Value, json};

use super::application::{Application, HOME, NAME, PORT, PORT_NAME, is_of_kubernetes, list, text};
use super::edit::PatchBuilder;
use super::request::{InjectMode, InjectRequest, MODE, name_flag};
use super::{INJECT, InjectOptions, MARK, NATIVE_SIDECARS, Remark, VERSION};

/// Path of the binary in the gate's container.
const PROGRAM: &str = "/gate/reload-gate";
/// Directory of the service account's token in every container (Kubernetes' documentation, "Service Accounts").
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Memory limit of the gate in bytes, if the application has none or a lower one. The checker uses as much as the application.
const MEMORY: u64 = 256 << 20;

/// Capabilities that a checker may have at most (docs/sandbox.md), apart from KILL: a gate of the same user signals without it.
const OF_A_CHECKER: [&str; 7] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "NET_BIND_SERVICE", "SETGID", "SETUID"];
/// Fields of a security context that the gate shares with the application.
const SHARED: [&str; 7] = [
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "readOnlyRootFilesystem",
    "seccompProfile",
    "seLinuxOptions",
    "appArmorProfile",
];
/// Flags of settings that send requests to the API server.
const OF_THE_API: [&str; 5] = ["--kubernetes", "--cluster-source", "--nudge", "--rollout", "--known-good"];

/// Additions to a template.
pub(super) struct Sidecar {
    install: Value,
    /// Its container.
    pub(super) gate: Value,
    volumes: Vec<Value>,
    /// The gate is an init container that restarts.
    is_native: bool,
    /// Index of the application's container, and its mounts that get another volume.
    published: (usize, Vec<(usize, String)>),
    shares_processes: bool,
    /// Remarks for the author of the template.
    pub(super) remarks: Vec<Remark>,
}

/// Returns the sidecar for an application.
pub(super) fn of(
    application: &Application<'_>,
    request: &InjectRequest,
    options: &InjectOptions,
) -> Result<Sidecar, Remark> {
    if request.preset.text.contains("{argv}") && !request.has_flag("--validate") {
        let message = format!("a checker of `{}` needs the application's own arguments", request.preset.name);
        return Err((message, name_flag("--validate COMMAND")));
    }
    refuse_without_token(application, request)?;
    let mut parts = Parts::new(application, request);
    let listen = Listen::of(application, request)?;
    parts.configuration();
    parts.mirror();
    parts.hide_token();
    let image = request.image.as_deref().unwrap_or(&options.image);
    let is_publishing = request.mode == InjectMode::Publish;
    // A container that does not end keeps a Job from its end; a native sidecar ends with the others.
    let is_native = is_publishing || ["Never", "OnFailure"].contains(&text(application.spec, "restartPolicy"));
    let remarks = if is_native { native_remark(is_publishing, options)? } else { Vec::new() };
    let gate = gate(application, request, &parts, &listen, is_native);
    Ok(Sidecar {
        install: install(image),
        gate,
        volumes: parts.volumes,
        is_native,
        published: (application.index, parts.published),
        shares_processes: application.spec["shareProcessNamespace"] == true,
        remarks,
    })
}

/// Refuses arguments that need the API server in a pod without a token.
fn refuse_without_token(application: &Application<'_>, request: &InjectRequest) -> Result<(), Remark> {
    let is_elsewhere = request.has_flag("--kubernetes-service-account");
    if is_elsewhere || application.spec["automountServiceAccountToken"] != false {
        return Ok(());
    }
    match OF_THE_API.into_iter().find(|flag| request.args.iter().any(|word| word.starts_with(flag))) {
        Some(flag) => {
            let message = format!("`{flag}` needs the token that `automountServiceAccountToken: false` keeps away");
            Err((message, "remove that line, or write the sidecar by hand".to_owned()))
        }
        None => Ok(()),
    }
}

/// Returns the remark that an old cluster lacks native sidecars; it is an error if the cluster is known to be old.
fn native_remark(is_publishing: bool, options: &InjectOptions) -> Result<Vec<Remark>, Remark> {
    let (whose, help) = if is_publishing {
        ("of the mode `publish`", format!("use `{MODE}: direct`, or write the sidecar by hand"))
    } else {
        ("of a pod that ends", format!("write the sidecar by hand, or remove `{INJECT}`"))
    };
    let needs = || format!("the gate {whose} is a native sidecar, which needs Kubernetes 1.29");
    match options.kubernetes {
        Some(version) if version < NATIVE_SIDECARS => Err((needs(), help)),
        Some(_) => Ok(Vec::new()),
        None => {
            Ok(vec![(needs(), "use it on that or a newer version, or name yours: `--kubernetes-version`".to_owned())])
        }
    }
}

impl Sidecar {
    /// Adds everything to the template at this pointer.
    pub(super) fn add_to(self, builder: &mut PatchBuilder, template: &str) {
        let spec = format!("{template}/spec");
        builder.set(&format!("{template}/metadata/annotations"), MARK, VERSION.into());
        if !self.shares_processes {
            builder.set(&spec, "shareProcessNamespace", true.into());
        }
        let (init, beside) = if self.is_native {
            (vec![self.install, self.gate], Vec::new())
        } else {
            (vec![self.install], vec![self.gate])
        };
        builder.append(&spec, "initContainers", init);
        let (container, published) = self.published;
        for (mount, volume) in published {
            let mount = format!("{spec}/containers/{container}/volumeMounts/{mount}");
            builder.replace(format!("{mount}/name"), volume.into());
            if builder.value().pointer(&mount).is_some_and(|mount| mount["readOnly"] != true) {
                builder.set(&mount, "readOnly", true.into());
            }
        }
        builder.append(&spec, "containers", beside);
        builder.append(&spec, "volumes", self.volumes);
    }
}

/// Listener of the gate.
struct Listen {
    /// Port; `None` without a listener.
    port: Option<u64>,
    /// True if an argument names it.
    is_given: bool,
}

impl Listen {
    fn of(application: &Application<'_>, request: &InjectRequest) -> Result<Self, Remark> {
        let given = request.flag("--listen");
        let port = match given {
            Some(address) => address.rsplit(':').next().and_then(|port| port.parse().ok()),
            // The network of the node is shared with other pods, which may have a gate as well.
            None if application.spec["hostNetwork"] == true => None,
            None => Some(u64::from(PORT)),
        };
        let all = ["initContainers", "containers"].into_iter().flat_map(|key| list(application.spec, key));
        let mut ports = all.flat_map(|container| list(container, "ports"));
        match port {
            Some(port) if ports.any(|taken| taken["containerPort"] == port) => {
                Err((format!("port {port} is taken in the pod"), name_flag("--listen :PORT")))
            }
            port => Ok(Self { port, is_given: given.is_some() }),
        }
    }
}

/// Mounts, volumes and variables of the gate, as they come together.
struct Parts<'a> {
    application: &'a Application<'a>,
    request: &'a InjectRequest,
    mounts: Vec<Value>,
    volumes: Vec<Value>,
    published: Vec<(usize, String)>,
    /// Variables of the gate's settings.
    env: Vec<(&'static str, String)>,
}

impl<'a> Parts<'a> {
    fn new(application: &'a Application<'a>, request: &'a InjectRequest) -> Self {
        let (mounts, env) = (vec![mount(NAME, HOME, true)], Vec::new());
        let volumes = vec![json!({ "name": NAME, "emptyDir": {} })];
        Self { application, request, mounts, volumes, published: Vec::new(), env }
    }

    /// Adds an empty volume, mounted at a path.
    fn empty(&mut self, name: &str, path: &str, read_only: bool) {
        self.volumes.push(json!({ "name": name, "emptyDir": {} }));
        self.mounts.push(mount(name, path, read_only));
    }

    /// Adds the mounts of the configuration, and the volumes in which it is published.
    fn configuration(&mut self) {
        let (mut watched, mut published, mut mounted) = (Vec::new(), Vec::new(), Vec::new());
        for (number, config) in self.application.configuration.iter().enumerate() {
            if self.request.mode == InjectMode::Direct {
                self.mounts.push(mount(config.volume, config.path, true));
                watched.push(config.path.to_owned());
                continue;
            }
            let suffix = if number == 0 { String::new() } else { format!("-{}", number + 1) };
            let path = |what: &str| format!("{HOME}-{what}{suffix}");
            let name = |what: &str| format!("{NAME}-{what}{suffix}");
            self.mounts.push(mount(config.volume, &path("config"), true));
            self.empty(&name("published"), &path("published"), false);
            // The checker sees the candidate at the path that the application knows.
            self.empty(&name("stage"), config.path, false);
            self.published.push((config.index, name("published")));
            watched.push(path("config"));
            published.push(path("published"));
            mounted.push(config.path.to_owned());
        }
        self.env.push(("RELOAD_GATE_APP", self.request.preset.name.to_owned()));
        self.env.push(("RELOAD_GATE_WATCH", watched.join("\n")));
        if self.request.mode == InjectMode::Publish {
            self.env.push(("RELOAD_GATE_PUBLISH", published.join("\n")));
            self.env.push(("RELOAD_GATE_MOUNT", mounted.join("\n")));
            self.env.push(("RELOAD_GATE_STAGE", mounted.join("\n")));
        }
        self.env.push(("RELOAD_GATE_ROOT", "local".to_owned()));
    }

    /// Adds the application's other mounts, so that the checker sees the application's files. What the application alone writes to is an
    /// empty volume of the gate's own there.
    fn mirror(&mut self) {
        let (spec, mut own) = (self.application.spec, 0);
        for (index, theirs) in list(self.application.container, "volumeMounts").iter().enumerate() {
            let (name, path) = (text(theirs, "name"), text(theirs, "mountPath"));
            let is_configuration = self.application.configuration.iter().any(|config| config.index == index);
            let volume = list(spec, "volumes").iter().find(|volume| text(volume, "name") == name);
            let is_of_node = volume.is_some_and(|volume| volume.get("hostPath").is_some());
            if is_configuration || is_of_node || is_of_kubernetes(path) || !text(theirs, "subPathExpr").is_empty() {
                continue;
            }
            let is_empty = volume.is_some_and(|volume| volume.get("emptyDir").is_some());
            if is_empty && self.is_private(name) {
                own += 1;
                self.empty(&format!("{NAME}-tmp-{own}"), path, false);
                continue;
            }
            let mut mirrored = mount(name, path, true);
            if let (Some(part), Some(map)) = (theirs.get("subPath"), mirrored.as_object_mut()) {
                map.insert("subPath".to_owned(), part.clone());
            }
            self.mounts.push(mirrored);
        }
    }

    /// True if no other container mounts the volume.
    fn is_private(&self, name: &str) -> bool {
        let all = ["initContainers", "containers"].into_iter().flat_map(|key| list(self.application.spec, key));
        let mounting =
            |container: &&Value| list(container, "volumeMounts").iter().any(|mount| text(mount, "name") == name);
        all.filter(mounting).count() <= 1
    }

    /// Hides the token of the service account from the checker, unless a setting of the gate needs it. The API server mounts none where
    /// something is mounted already.
    fn hide_token(&mut self) {
        let needs = self.request.args.iter().any(|word| OF_THE_API.iter().any(|flag| word.starts_with(flag)));
        if !needs && self.application.spec["automountServiceAccountToken"] != false {
            self.empty(&format!("{NAME}-no-token"), TOKEN, true);
        }
    }
}

/// The init container that copies the binary into a volume.
fn install(image: &str) -> Value {
    json!({
        "name": "reload-gate-install",
        "image": image,
        "args": ["install", HOME],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [mount(NAME, HOME, false)],
    })
}

/// The container of the gate, in the application's image.
fn gate(
    application: &Application<'_>,
    request: &InjectRequest,
    parts: &Parts<'_>,
    listen: &Listen,
    is_native: bool,
) -> Value {
    let mut env: Vec<Value> = parts.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    if let Some(port) = listen.port.filter(|_| !listen.is_given) {
        env.push(json!({ "name": "RELOAD_GATE_LISTEN", "value": format!(":{port}") }));
    }
    // With the network of its node a pod has its host name, too.
    if application.spec["hostNetwork"] == true {
        env.push(json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }));
    }
    let args = [&["run".to_owned()], request.args.as_slice()].concat();
    let mut gate = json!({
        "name": NAME,
        "image": application.container["image"],
        "command": [PROGRAM],
        "args": args,
        "resources": { "requests": { "cpu": "100m", "memory": "16Mi" }, "limits": { "memory": memory(application) } },
        "securityContext": security(application),
        "volumeMounts": parts.mounts,
    });
    let mut set = |key: &str, value: Value| gate[key] = value;
    if let Some(variables) = own_variables(application, request) {
        env.push(json!({ "name": "RELOAD_GATE_PASS_ENV", "value": variables.names.join("\n") }));
        env.extend(variables.env);
        if !variables.env_from.is_empty() {
            set("envFrom", variables.env_from.into());
        }
    }
    set("env", env.into());
    for key in ["imagePullPolicy", "workingDir"] {
        if let Some(value) = application.container.get(key) {
            set(key, value.clone());
        }
    }
    if is_native {
        set("restartPolicy", "Always".into());
    }
    if let Some(port) = listen.port {
        set("ports", json!([{ "name": PORT_NAME, "containerPort": port }]));
        set("livenessProbe", json!({ "httpGet": { "path": "/livez", "port": port } }));
    }
    if request.mode == InjectMode::Publish {
        let probe = match listen.port {
            Some(port) => json!({ "httpGet": { "path": "/readyz", "port": port } }),
            None => json!({ "exec": { "command": [PROGRAM, "status", "--ready"] } }),
        };
        set("startupProbe", probe);
        gate["startupProbe"]["periodSeconds"] = 1.into();
        gate["startupProbe"]["failureThreshold"] = 300.into();
    }
    gate
}

/// Variables of the application that its checker reads, too.
struct OwnVariables {
    env: Vec<Value>,
    env_from: Vec<Value>,
    /// Values of `--pass-env`.
    names: Vec<String>,
}

/// Returns the application's variables, if its program reads variables in its configuration: a program with a bundled checker reads none.
fn own_variables(application: &Application<'_>, request: &InjectRequest) -> Option<OwnVariables> {
    if request.preset.text.contains("\n    otherwise:") {
        return None;
    }
    let is_own = |variable: &&Value| {
        let name = text(variable, "name");
        is_name(name) && !name.starts_with("RELOAD_GATE_")
    };
    let env: Vec<Value> = list(application.container, "env").iter().filter(is_own).cloned().collect();
    let is_prefixed = |source: &&Value| is_name(text(source, "prefix"));
    let env_from: Vec<Value> = list(application.container, "envFrom").iter().filter(is_prefixed).cloned().collect();
    let prefixes = env_from.iter().map(|source| format!("{}*", text(source, "prefix")));
    let names: Vec<String> = env.iter().map(|variable| text(variable, "name").to_owned()).chain(prefixes).collect();
    (!names.is_empty()).then_some(OwnVariables { env, env_from, names })
}

/// True for a name of a variable as POSIX has it (XBD 8.1).
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The security context of the gate: the application's user, and no right that the application lacks.
fn security(application: &Application<'_>) -> Value {
    let (theirs, pod) = (&application.container["securityContext"], &application.spec["securityContext"]);
    let mut own: Map<String, Value> = Map::new();
    own.extend(SHARED.iter().filter_map(|key| Some(((*key).to_owned(), theirs.get(*key)?.clone()))));
    own.insert("allowPrivilegeEscalation".to_owned(), false.into());
    if theirs.get("seccompProfile").or(pod.get("seccompProfile")).is_none() {
        own.insert("seccompProfile".to_owned(), json!({ "type": "RuntimeDefault" }));
    }
    let said = |key: &str| theirs.get(key).or(pod.get(key)).unwrap_or(&Value::Null);
    let is_root = said("runAsNonRoot") != true && matches!(said("runAsUser").as_u64(), None | Some(0));
    let named = |list: &[Value], name: &str| {
        list.iter().any(|other| other.as_str().is_some_and(|other| other.trim_start_matches("CAP_") == name))
    };
    let (dropped, added) = (list(&theirs["capabilities"], "drop"), list(&theirs["capabilities"], "add"));
    let has = |name: &&&str| named(added, name) || !(named(dropped, "ALL") || named(dropped, name));
    // Capabilities of a container that does not run as root have no effect.
    let kept: Vec<&str> = OF_A_CHECKER.iter().filter(|_| is_root).filter(has).copied().collect();
    let mut capabilities = json!({ "drop": ["ALL"] });
    if !kept.is_empty() {
        capabilities["add"] = json!(kept);
    }
    own.insert("capabilities".to_owned(), capabilities);
    own.into()
}

/// The memory limit of the gate: that of the application, if it is larger than the usual one.
fn memory(application: &Application<'_>) -> Value {
    let theirs = &application.container["resources"]["limits"]["memory"];
    let bytes = theirs.as_u64().or_else(|| theirs.as_str().and_then(bytes));
    if bytes.is_some_and(|bytes| bytes > MEMORY) { theirs.clone() } else { format!("{}Mi", MEMORY >> 20).into() }
}

/// The bytes of a quantity ("Quantity" in Kubernetes' API reference); `None` for an unusual one.
fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.len() - quantity.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, suffix) = quantity.split_at(digits);
    let factor: u64 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn mount(volume: &str, path: &str, read_only: bool) -> Value {
    let mut mount = json!({ "name": volume, "mountPath": path });
    if read_only {
        mount["readOnly"] = true.into();
    }
    mount
}
