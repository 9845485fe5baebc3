use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reload_gate_structured::yaml;

use super::*;

fn documents(text: &str) -> Vec<ManifestDocument> {
    ManifestDocuments::new(text.as_bytes()).map(|document| document.expect("it can be read")).collect()
}

#[track_caller]
fn object(text: &str) -> Object {
    Object::read(&yaml::parse(text).expect("it is YAML").expect("it is not empty"), text)
}

fn config(text: &str) -> ConfigObject {
    match object(text) {
        Object::Config(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// Files of the container of a pod. `a` and `b` are ConfigMaps with two keys each, `s` is a Secret, and others are unknown.
#[track_caller]
fn mounted(mounts: &str, volumes: &str) -> Mounted<String> {
    let text =
        format!("kind: Pod\nspec:\n  containers: [{{name: c, volumeMounts: [{mounts}]}}]\n  volumes: [{volumes}]\n");
    let Object::Pod(pod) = object(&text) else { panic!("a pod is wanted") };
    let entries = |kind: &str, name: &str| {
        let known = matches!((kind, name), ("ConfigMap", "a" | "b") | ("Secret", "s"));
        known.then(|| ["one", "two"].map(|key| (key.into(), format!("{name}.{key}"))).into())
    };
    Mounted::of(&pod, &pod.containers[0], &entries, &Filled::new(), &mut Room::of(1_000))
}

fn value<'n>(root: &'n yaml::Node, key: &str) -> Option<Result<Cow<'n, [u8]>, Box<reload_gate_contract::Finding>>> {
    ConfigObject::positions(root).get(root, key).map(|position| ConfigObject::value_at(root, key, position))
}

fn files(mounted: &Mounted<String>) -> BTreeMap<&str, &str> {
    mounted.files.iter().map(|(path, key)| (path.to_str().expect("it is UTF-8"), key.as_str())).collect()
}

const A: &str = "{name: a, configMap: {name: a}}";
const B: &str = "{name: b, configMap: {name: b}}";

#[test]
fn a_stream_is_split_at_its_markers_and_nowhere_else() {
    let text = "# head\n---\na: |\n  x\n   ---\n  --- y\nb: '--- z'\n---   # why\nc: 1\n...\n# between\n---\n---\n# none\n--- {d: 1}\n----\n";
    let found = documents(text);
    let begins: Vec<_> = found.iter().map(|document| (document.lines, &*document.text)).collect();
    assert_eq!(
        begins,
        [
            (0, "# head\n---\na: |\n  x\n   ---\n  --- y\nb: '--- z'\n"),
            (7, "---   # why\nc: 1\n...\n"),
            (14, "--- {d: 1}\n----\n"),
        ]
    );
    for ManifestDocument { text: document, offset, .. } in found {
        assert_eq!(&text[usize::try_from(offset).expect("it is small")..][..document.len()], document);
    }
    assert_eq!(documents("# nothing\n---\n"), []);
    assert_eq!(documents("%YAML 1.2\n---\na: 1").len(), 1);
}

#[test]
fn a_document_that_is_no_utf8_has_a_place_and_the_others_are_read() {
    let mut found = ManifestDocuments::new(&b"a: 1\n---\nb:\n  c: x\xff\n---\nd: 1\n"[..]);
    assert!(found.next().expect("there is one").is_ok());
    let Some(Err(Unreadable::Text(finding))) = found.next() else { panic!("it is no UTF-8") };
    assert_eq!(finding.place.expect("it has one").to_string(), ":4:7");
    assert_eq!(found.next().expect("there is another").expect("it is UTF-8").lines, 4);
}

#[test]
fn objects_are_found_in_lists_of_lists() {
    let text =
        "kind: List\nitems:\n- kind: ConfigMapList\n  items: [{kind: ConfigMap}, {kind: Secret}]\n- kind: Service\n";
    let root = yaml::parse(text).expect("it is YAML").expect("it is not empty");
    let kinds: Vec<_> = objects(root).iter().filter_map(|node| Some(node.get("kind")?.as_str()?.to_owned())).collect();
    assert_eq!(kinds, ["ConfigMap", "Secret", "Service"]);
}

#[test]
fn a_config_has_keys_and_an_annotation() {
    let text = "kind: Secret\ntype: kubernetes.io/tls\nmetadata:\n  name: x\n  namespace: web\n  annotations:\n    \
                reload-gate.dev/validator: tls\ndata: {b: eA==, a: ''}\nstringData: {c: x, a: y}\n";
    let config = config(text);
    assert_eq!((config.id.to_string().as_str(), config.secret), ("Secret web/x", true));
    assert_eq!(config.keys.iter().map(|key| &*key.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let annotated = config.validator.expect("it has one");
    assert_eq!((annotated.value.as_str(), annotated.place.to_string().as_str()), ("tls", ":7:32"));
}

#[test]
fn a_value_is_what_a_file_would_contain() {
    let text = "kind: Secret\ndata: {plain: aGVsbG8=, wrapped: \"aGVs\\nbG8=\", both: eA==}\nstringData: {both: clear, empty: }\n";
    let root = yaml::parse(text).expect("it is YAML").expect("it is not empty");
    for (key, expected) in [("plain", "hello"), ("wrapped", "hello"), ("both", "clear"), ("empty", "")] {
        let found = value(&root, key).expect("it is there").expect("it is right");
        assert_eq!(&*found, expected.as_bytes(), "{key}");
    }
    assert!(value(&root, "none").is_none());
    let position = ConfigObject::positions(&root).get(&root, "plain").expect("it is there");
    let plain = ConfigObject::written_at(&root, position).expect("it is there");
    let at = plain.locate(text, 3).expect("it is written somewhere");
    assert_eq!(&text[at..at + 4], "bG8=", "the fourth byte begins in the fifth character");
}

#[test]
fn a_verbatim_value_is_read_from_the_text_of_its_document() {
    let text = "kind: Secret\ndata: {encoded: aGVsbG8=, folded: \"aGVs\\nbG8=\"}\nstringData:\n  plain: a b\n  single: 'a \"b\"'\n  \
                escaped: 'it''s'\n  double: \"a b\"\n  newline: \"a\\n\"\n  block: |\n    a\n  lines: a\n    b\n  anchor: &x !!str a\n  \
                alias: *x\n  empty: ''\n";
    let root = yaml::parse(text).expect("it is YAML").expect("it is not empty");
    let positions = ConfigObject::positions(&root);
    for (key, is_verbatim) in [
        ("encoded", true),
        ("folded", false),
        ("plain", true),
        ("single", true),
        ("escaped", false),
        ("double", true),
        ("newline", false),
        ("block", false),
        ("lines", false),
        ("anchor", true),
        ("alias", true),
        ("empty", true),
    ] {
        let position = positions.get(&root, key).expect("it is there");
        let written = ConfigObject::written_at(&root, position).expect("it is there");
        let verbatim = VerbatimValue::of(&written, text);
        assert_eq!(verbatim.is_some(), is_verbatim, "{key}");
        let content = ConfigObject::value_at(&root, key, position).expect("it is right");
        assert!(verbatim.is_none_or(|verbatim| verbatim.content(text) == Some(content)), "{key}");
    }
}

#[test]
fn a_value_that_the_api_server_rejects_has_a_place() {
    let text = "kind: ConfigMap\ndata:\n  number: 80\n  truth: yes\n  map: {a: b}\n  word: eighty\n  quoted: '80'\nbinaryData:\n  broken: '%'\n";
    let root = yaml::parse(text).expect("it is YAML").expect("it is not empty");
    for (key, place) in [("number", ":3:11"), ("truth", ":4:10"), ("map", ":5:8"), ("broken", ":9:11")] {
        let finding = value(&root, key).expect("it is there").expect_err("it is wrong");
        assert_eq!(finding.place.as_ref().expect("it has one").to_string(), place, "{finding:?}");
        assert!(finding.help.is_some());
    }
    for key in ["word", "quoted"] {
        assert!(value(&root, key).expect("it is there").is_ok(), "{key}");
    }
}

#[test]
fn pod_templates_are_found_in_every_kind() {
    let pod = "{containers: [{name: c}]}";
    for (text, expected) in [
        (format!("kind: Pod\nspec: {pod}\n"), true),
        (format!("kind: Deployment\nspec: {{template: {{spec: {pod}}}}}\n"), true),
        (format!("kind: Rollout\nspec: {{template: {{spec: {pod}}}}}\n"), true),
        (format!("kind: CronJob\nspec: {{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}\n"), true),
        ("kind: Service\nspec: {ports: []}\n".to_owned(), false),
    ] {
        assert_eq!(matches!(object(&text), Object::Pod(_)), expected, "{text}");
    }
}

#[test]
fn a_container_sees_its_volumes_laid_over_each_other() {
    let seen = mounted("{name: b, mountPath: /etc/app/sub}, {name: a, mountPath: /etc/app/}", &format!("{A}, {B}"));
    let expected = [
        ("/etc/app/one", "a.one"),
        ("/etc/app/two", "a.two"),
        ("/etc/app/sub/one", "b.one"),
        ("/etc/app/sub/two", "b.two"),
    ];
    assert_eq!(files(&seen), expected.into());
    assert!(seen.knows(Path::new("/etc/app/other")) && !seen.knows(Path::new("/etc/other")));
}

#[test]
fn items_and_sub_paths_choose_what_is_seen() {
    let items = "{name: a, configMap: {name: a, items: [{key: one, path: x/y.conf}, {key: gone, path: z}, {key: two, path: ../up}]}}";
    assert_eq!(files(&mounted("{name: a, mountPath: /m}", items)), [("/m/x/y.conf", "a.one")].into());
    let sub = mounted("{name: a, mountPath: /m/renamed, subPath: two}", A);
    assert_eq!(files(&sub), [("/m/renamed", "a.two")].into());
    assert!(!sub.knows(Path::new("/m/beside")), "what else is there is the image's");
    assert_eq!(files(&mounted("{name: a, mountPath: /m/../../up}, {name: a, mountPath: m}", A)), [].into());
    let directory = mounted("{name: a, mountPath: /m, subPath: x}", items);
    assert_eq!(files(&directory), [("/m/y.conf", "a.one")].into());
}

#[test]
fn files_of_other_volumes_are_unknown() {
    let projected =
        "{name: a, projected: {sources: [{configMap: {name: a}}, {secret: {name: s, items: [{key: one, path: k}]}}]}}";
    let seen = mounted("{name: a, mountPath: /m}", projected);
    assert_eq!(files(&seen), [("/m/one", "a.one"), ("/m/two", "a.two"), ("/m/k", "s.one")].into());
    assert!(seen.knows(Path::new("/m/other")));
    for volume in ["{name: a, configMap: {name: other}}", "{name: a, emptyDir: {}}", "{name: b}", projected_token()] {
        let seen = mounted("{name: a, mountPath: /m}", volume);
        assert!(!seen.knows(Path::new("/m/other")), "{volume}");
    }
}

fn projected_token() -> &'static str {
    "{name: a, projected: {sources: [{serviceAccountToken: {path: token}}, {configMap: {name: a}}]}}"
}

#[test]
fn a_part_of_what_is_seen_lies_elsewhere_too() {
    let seen = mounted("{name: a, mountPath: /config}, {name: b, mountPath: /config/sub}", &format!("{A}, {B}"));
    let there = seen.at(Path::new("/config"), Path::new("/etc/app"));
    assert!(there.files.contains_key(Path::new("/etc/app/sub/one")) && there.knows(Path::new("/etc/app/x")));
    let inside = seen.at(Path::new("/config/one"), Path::new("/etc/one"));
    assert_eq!(inside.files.keys().collect::<Vec<_>>(), [&PathBuf::from("/etc/one")]);
}

#[test]
fn an_alias_as_a_key_ends_at_the_colon() {
    let text = "a: &app web\nb:\n  *app:\n    c: *app\n";
    let found = documents(text);
    assert_eq!(found[0].text.len(), text.len());
    assert!(yaml::parse(&found[0].text).is_ok());
}
