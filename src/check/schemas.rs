//! Recognition of files that a bundled schema describes: by the command line and the mounts of a container, and by content that no other
//! file has. Pure.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use globset::GlobBuilder;
use reload_gate_structured::yaml::{self, Node};

use super::content;
use super::trees::TreeKind;
use crate::config::{Assignment, Assignments};
use crate::flow::validate::{Builtin, Main, ProgramSchema, ValidationPlan, Validator, program_schemas};

/// Extensions of the formats that a schema can be applied to.
const ENDS: [&str; 4] = ["yaml", "yml", "json", "toml"];

/// Size of a text above which its content is not looked at: no ConfigMap is larger (`MaxSecretSize` of Kubernetes' core API).
const LARGEST: usize = 1 << 20;

/// Returns the schema of that name.
pub(super) fn named(name: &str) -> Option<&'static ProgramSchema> {
    program_schemas().iter().find(|schema| schema.name == name)
}

/// Returns the validation of a file against a schema.
pub(super) fn assignment(assignments: &Assignments, schema: &'static ProgramSchema) -> Option<Arc<Assignment>> {
    let plan = assignments.assignment_named("yaml").ok()?.plan.clone();
    let validators = vec![Validator::Builtin(Builtin::ProgramSchema(schema))];
    Some(Arc::new(Assignment { preset: None, plan: ValidationPlan { validators, main: Main::Only, ..plan } }))
}

/// Returns true if a file may be in a format that a schema can be applied to: by its extension, or by its text.
pub(super) fn may_apply(path: &Path, text: &str) -> bool {
    match path.extension() {
        Some(end) if ENDS.iter().any(|known| end == *known) => true,
        _ => matches!(content::format(text), Some("yaml" | "json")),
    }
}

/// Returns the schema for the path of a file in a container.
pub(super) fn of_path(path: &Path) -> Option<&'static ProgramSchema> {
    let fits = |pattern: &String| {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
    };
    program_schemas().iter().find(|schema| schema.paths.iter().any(fits))
}

/// Returns true if the content of a file may tell that a schema applies: it has the extension of such a format, or none. In a directory
/// a file of a program has an extension.
pub(super) fn may_be_known(path: &Path, kind: TreeKind) -> bool {
    let is_of_format = |end: &OsStr| ["yaml", "yml", "json"].iter().any(|known| end == *known);
    path.extension().map_or(kind != TreeKind::Directory, is_of_format)
}

/// Returns the schema for a text that has all keys of a set which only one program has.
pub(super) fn of_content(text: &str) -> Option<&'static ProgramSchema> {
    if text.len() > LARGEST {
        return None;
    }
    // Most texts lack a word of each set, and are not parsed.
    let has_words =
        |set: &Vec<String>| set.iter().flat_map(|keys| keys.split('/')).all(|key| key == "*" || text.contains(key));
    let mut candidates = program_schemas().iter().filter(|schema| schema.content.iter().any(has_words)).peekable();
    candidates.peek()?;
    let root = yaml::parse(text).ok()??;
    let has_all = |set: &Vec<String>| set.iter().all(|keys| has(&root, keys));
    candidates.find(|schema| schema.content.iter().any(has_all))
}

/// Returns true if a node has a value at these keys, joined by slashes; `*` is any key or the first item.
fn has(node: &Node, keys: &str) -> bool {
    let (key, rest) = keys.split_once('/').map_or((keys, None), |(key, rest)| (key, Some(rest)));
    let has_rest = |value: &Node| rest.is_none_or(|rest| has(value, rest));
    match key {
        "*" => node.entries().iter().any(|(_, value)| has_rest(value)) || node.items().first().is_some_and(has_rest),
        key => node.get(key).is_some_and(has_rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_known(text: &str, expected: Option<&str>) {
        assert_eq!(of_content(text).map(|schema| schema.name), expected, "{text}");
    }

    #[test]
    fn configurations_are_known_by_keys_that_no_other_file_has() {
        assert_known("receivers: {}\nservice: {pipelines: {}}\n", Some("otelcol"));
        assert_known("schema_config: {configs: []}\nserver: {}\n", Some("loki"));
        assert_known("apiVersion: 1\ndatasources: [{name: a, type: b}]\n", Some("grafana-datasources"));
        assert_known("http: {routers: {a: {rule: b}}}\n", Some("traefik-dynamic"));
        assert_known("pipeline: {inputs: [{name: cpu}], outputs: []}\n", Some("fluent-bit"));
    }

    #[test]
    fn files_with_some_of_the_keys_are_of_other_programs() {
        // Values of charts.
        assert_known("mode: daemonset\nconfig: {receivers: {}, service: {pipelines: {}}}\n", None);
        assert_known("loki: {schemaConfig: {configs: []}}\nserver: {}\n", None);
        assert_known("datasources: {datasources.yaml: {apiVersion: 1}}\n", None);
        // Alertmanager.
        assert_known("route: {receiver: a}\nreceivers: [{name: a}]\n", None);
        assert_known("apiVersion: v1\nkind: Service\n", None);
        assert_known("receivers: [\n", None);
    }

    #[test]
    fn the_mounts_of_grafana_are_known() {
        let of = |path: &str| of_path(Path::new(path)).map(|schema| schema.name);
        assert_eq!(of("/etc/grafana/provisioning/datasources/a.yaml"), Some("grafana-datasources"));
        assert_eq!(of("/etc/grafana/provisioning/dashboards/a.yml"), Some("grafana-dashboard-providers"));
        assert_eq!(of("/etc/grafana/provisioning/dashboards/deep/a.yaml"), None);
        assert_eq!(of("/etc/grafana/grafana.ini"), None);
    }
}
