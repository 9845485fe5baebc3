//! The charts on a real API server.

use std::process::Output;

use serde_json::Value;

use super::{Charts, FOREIGN, examples, schema};
use crate::support::{ApiServer, report_skipped, skip};

/// Definitions of the foreign kinds: the names alone, since the schemas are those of other software.
fn definitions() -> String {
    let groups = [
        ("monitoring.coreos.com", "prometheusrules", "PrometheusRule"),
        ("monitoring.coreos.com", "podmonitors", "PodMonitor"),
        ("cert-manager.io", "certificates", "Certificate"),
        ("cert-manager.io", "issuers", "Issuer"),
    ];
    assert!(groups.iter().all(|(_, _, kind)| FOREIGN.contains(kind)));
    let definition = |(group, plural, kind): &(&str, &str, &str)| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: {plural}.{group} }}\n\
             spec:\n  group: {group}\n  scope: Namespaced\n  names: {{ plural: {plural}, kind: {kind} }}\n  versions:\n    \
             - name: v1\n      served: true\n      storage: true\n      \
             schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}\n---\n"
        )
    };
    groups.iter().map(definition).collect()
}

#[track_caller]
pub(super) fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// A server with the namespaces and definitions that the examples need, and its version.
pub(super) fn server() -> Option<(ApiServer, String)> {
    let server = ApiServer::start()?;
    let namespaces =
        ["apps", "web"].map(|name| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n---\n"));
    succeeds(&server.kubectl_with(&["apply", "-f", "-"], &(namespaces.concat() + &definitions())));
    succeeds(&server.kubectl(&[
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "customresourcedefinitions",
        "--all",
    ]));
    let version = succeeds(&server.kubectl(&["get", "--raw", "/version"]));
    let version: Value = serde_json::from_str(&version).expect("it is JSON");
    let version = version["gitVersion"].as_str().expect("it is text").to_owned();
    // A service account is made by a controller, and there is none.
    for namespace in ["apps", "web"] {
        succeeds(&server.kubectl(&["create", "serviceaccount", "default", "--namespace", namespace]));
    }
    Some((server, version))
}

/// The minor version of a server.
fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_else(|| panic!("{version}"))
}

#[test]
fn a_real_api_server_takes_every_example() {
    let Some(charts) = Charts::new() else { return skip("helm is not installed: `make test-chart`") };
    let Some((server, version)) = server() else { return };
    let number = version.split(['+', '-']).next().expect("there is one");
    for (chart, values) in examples() {
        let text = charts.text(chart, &values, &["--kube-version", number]);
        // An older server does not know the field that makes an init container a sidecar, and refuses probes there.
        let is_native = text.contains("restartPolicy: Always") && minor(&version) < 28;
        let text = if is_native {
            report_skipped(&format!(
                "the deployment of {values}: native sidecars need Kubernetes 1.29, and this server is {version}"
            ));
            text.split("\n---\n")
                .filter(|document| !document.contains("kind: Deployment"))
                .collect::<Vec<_>>()
                .join("\n---\n")
        } else {
            text
        };
        let objects = schema::stream(&text).len();
        let said = succeeds(&server.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &text));
        assert_eq!(said.matches(" created (server dry run)\n").count(), objects, "{values}: {said}");
        assert!(!said.contains("arning"), "{values}: {said}");
        let said = succeeds(&server.kubectl_with(&["apply", "--server-side", "-f", "-"], &text));
        assert_eq!(said.matches(" serverside-applied\n").count(), objects, "{values}: {said}");
        // Nothing of a second time is a change.
        let again = succeeds(&server.kubectl_with(&["apply", "--server-side", "-f", "-"], &text));
        assert_eq!(again, said);
        succeeds(&server.kubectl_with(&["delete", "--wait=false", "-f", "-"], &text));
    }
}

/// Helm with the rights of an administrator of this server.
#[track_caller]
pub(super) fn helm(charts: &Charts, server: &ApiServer, arguments: &[&str]) -> String {
    let mut helm = charts.command();
    helm.arg("--kubeconfig").arg(server.kubeconfig()).args(["--namespace", "apps"]).args(arguments);
    succeeds(&helm.output().expect("it starts"))
}

#[test]
fn helm_installs_a_release_and_its_upgrade_keeps_the_certificate() {
    let Some(charts) = Charts::new() else { return skip("helm is not installed: `make test-chart`") };
    let Some((server, _)) = server() else { return };
    let notes = helm(&charts, &server, &["install", "web", "reload-gate"]);
    let expected = [
        "STATUS: deployed",
        "reload-gate.dev/validate=nginx",
        "helm test web --namespace apps",
        "objects are stored without validation",
    ];
    for expected in expected {
        assert!(notes.contains(expected), "`{expected}` is not in: {notes}");
    }
    assert!(!notes.contains("label namespace"), "{notes}");
    let certificate = || {
        let arguments = ["get", "secret", "web-reload-gate-tls", "--namespace", "apps", "-o", "jsonpath={.data}"];
        succeeds(&server.kubectl(&arguments))
    };
    let authority = || {
        let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        succeeds(&server.kubectl(&["get", "validatingwebhookconfiguration", "web-reload-gate", "-o", path]))
    };
    let first = (certificate(), authority());
    assert!(first.0.contains(&first.1) && first.1.len() > 100, "{first:?}");
    let notes = helm(
        &charts,
        &server,
        &["upgrade", "web", "reload-gate", "--set", "injection.enabled=true,webhook.failurePolicy=Fail"],
    );
    assert!(notes.contains("label namespace NAME reload-gate.dev/inject=enabled"), "{notes}");
    assert!(notes.contains("no such object can be stored"), "{notes}");
    assert_eq!((certificate(), authority()), first);
    // An object without the label is stored although no webhook answers.
    succeeds(&server.kubectl(&["create", "configmap", "plain", "--namespace", "apps"]));
    let labelled =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: gated, labels: { reload-gate.dev/validate: nginx } }\n";
    let refused = server.kubectl_with(&["apply", "--namespace", "apps", "-f", "-"], labelled);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("failed calling webhook"), "{said}");
    helm(&charts, &server, &["upgrade", "web", "reload-gate", "--set", "webhook.failurePolicy=Ignore"]);
    succeeds(&server.kubectl_with(&["apply", "--namespace", "apps", "-f", "-"], labelled));
    helm(&charts, &server, &["uninstall", "web"]);
    let left = server.kubectl(&[
        "get",
        "deployments,services,validatingwebhookconfigurations",
        "--namespace",
        "apps",
        "-o",
        "name",
    ]);
    assert_eq!(succeeds(&left), "");
}
