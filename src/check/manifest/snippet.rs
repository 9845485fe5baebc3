//! Snippets of nginx configuration in the objects of its Kubernetes controllers.

use reload_gate_structured::yaml::{Node, Value as Yaml};

use super::object::{Annotated, Id, annotation};

/// Annotations of an Ingress with the blocks around their snippets: those of ingress-nginx (`internal/ingress/annotations` of
/// kubernetes/ingress-nginx, placed by `rootfs/etc/nginx/template/nginx.tmpl`), and of NGINX Ingress Controller
/// (`internal/configs/version1/nginx.ingress.tmpl` of nginx/kubernetes-ingress).
const ANNOTATIONS: [(&str, &str); 7] = [
    ("nginx.ingress.kubernetes.io/auth-snippet", "http,server,location"),
    ("nginx.ingress.kubernetes.io/configuration-snippet", "http,server,location"),
    ("nginx.ingress.kubernetes.io/server-snippet", "http,server"),
    ("nginx.ingress.kubernetes.io/stream-snippet", "stream"),
    ("nginx.org/location-snippets", "http,server,location"),
    ("nginx.org/server-snippets", "http,server"),
    ("nginx.com/location-snippets", "http,server,location"),
];

/// Keys of the ConfigMap of a controller with the blocks around their snippets: those of ingress-nginx are in the singular
/// (`internal/ingress/controller/config/config.go`), those of NGINX Ingress Controller in the plural
/// (`internal/configs/configmaps.go`).
const KEYS: [(&str, &str); 8] = [
    ("http-snippet", "http"),
    ("http-snippets", "http"),
    ("location-snippet", "http,server,location"),
    ("location-snippets", "http,server,location"),
    ("server-snippet", "http,server"),
    ("server-snippets", "http,server"),
    ("stream-snippet", "stream"),
    ("stream-snippets", "stream"),
];

/// Snippet in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// Name of its object.
    pub id: Id,
    /// Name of the key, such as `spec.routes[0].location-snippets`.
    pub key: String,
    /// Line of the document at which its object begins.
    pub line: u32,
    /// The blocks around it.
    pub context: &'static str,
    /// Annotation that names the validator of the object.
    pub validator: Option<Annotated>,
    /// Indexes of the entries of maps and the items of lists that lead to it.
    path: Vec<usize>,
}

impl Snippet {
    /// Returns all snippets of the object at `node`.
    #[must_use]
    pub fn all(id: &Id, node: &Node) -> Vec<Self> {
        let mut finder = Finder { id, line: node.line, validator: annotation(node), found: Vec::new() };
        let group = node.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
        let root = Place { node, path: Vec::new(), key: String::new() };
        match (id.kind.as_str(), group.split('/').next().unwrap_or_default()) {
            ("Ingress", _) => finder.annotations(&root),
            ("VirtualServer" | "VirtualServerRoute", "k8s.nginx.org") => finder.virtual_server(&root),
            ("TransportServer", "k8s.nginx.org") => finder.transport_server(&root),
            ("SnippetsFilter", "gateway.nginx.org") => finder.filter(&root),
            _ => {}
        }
        finder.found
    }

    /// Returns the node of its text, in the object at `root`.
    #[must_use]
    pub fn node<'n>(&self, root: &'n Node) -> Option<&'n Node> {
        self.path.iter().try_fold(root, |node, index| match &node.value {
            Yaml::Map(entries) => entries.get(*index).map(|(_, value)| value),
            Yaml::List(items) => items.get(*index),
            _ => None,
        })
    }
}

/// Returns the blocks around the snippet at a key of a controller's ConfigMap.
#[must_use]
pub fn context_of_key(key: &str) -> Option<&'static str> {
    KEYS.iter().find(|(known, _)| *known == key).map(|(_, context)| *context)
}

/// Node in an object, with the way to it.
struct Place<'n> {
    node: &'n Node,
    path: Vec<usize>,
    key: String,
}

impl<'n> Place<'n> {
    fn get(&self, key: &str) -> Option<Self> {
        let entries = self.node.entries();
        let index = entries.iter().position(|(known, _)| known.as_str() == Some(key))?;
        let path = self.path.iter().copied().chain([index]).collect();
        let key = if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) };
        Some(Place { node: &entries[index].1, path, key })
    }

    fn items(&self) -> Vec<Self> {
        let Yaml::List(items) = &self.node.value else { return Vec::new() };
        let item = |(index, node): (usize, &'n Node)| {
            let path = self.path.iter().copied().chain([index]).collect();
            Place { node, path, key: format!("{}[{index}]", self.key) }
        };
        items.iter().enumerate().map(item).collect()
    }
}

/// Collector of the snippets of one object.
struct Finder<'i> {
    id: &'i Id,
    line: u32,
    validator: Option<Annotated>,
    found: Vec<Snippet>,
}

impl Finder<'_> {
    /// Adds the text at a place, if there is one.
    fn add(&mut self, place: Option<Place<'_>>, context: &'static str) {
        let Some(Place { path, key, .. }) = place.filter(|place| place.node.as_str().is_some()) else { return };
        let (id, line, validator) = (self.id.clone(), self.line, self.validator.clone());
        self.found.push(Snippet { id, key, line, context, validator, path });
    }

    fn annotations(&mut self, root: &Place<'_>) {
        let Some(annotations) = root.get("metadata").and_then(|metadata| metadata.get("annotations")) else { return };
        for (name, context) in ANNOTATIONS {
            // The name alone is the better key: it is unlike any other.
            let place = annotations.get(name).map(|place| Place { key: name.to_owned(), ..place });
            self.add(place, context);
        }
    }

    /// `pkg/apis/configuration/v1/types.go` of nginx/kubernetes-ingress.
    fn virtual_server(&mut self, root: &Place<'_>) {
        let Some(spec) = root.get("spec") else { return };
        self.add(spec.get("http-snippets"), "http");
        self.add(spec.get("server-snippets"), "http,server");
        for routes in ["routes", "subroutes"] {
            for route in spec.get(routes).iter().flat_map(Place::items) {
                self.add(route.get("location-snippets"), "http,server,location");
            }
        }
    }

    fn transport_server(&mut self, root: &Place<'_>) {
        let Some(spec) = root.get("spec") else { return };
        self.add(spec.get("streamSnippets"), "stream");
        self.add(spec.get("serverSnippets"), "stream,server");
    }

    /// `apis/v1alpha1/snippetsfilter_types.go` of nginx/nginx-gateway-fabric.
    fn filter(&mut self, root: &Place<'_>) {
        let snippets = root.get("spec").and_then(|spec| spec.get("snippets"));
        for snippet in snippets.iter().flat_map(Place::items) {
            let context = match snippet.get("context").and_then(|place| place.node.as_str()) {
                Some("http") => "http",
                Some("http.server") => "http,server",
                Some("http.server.location") => "http,server,location",
                // The text in `main` is a part of what only the whole shows to be right.
                _ => continue,
            };
            self.add(snippet.get("value"), context);
        }
    }
}

#[cfg(test)]
mod tests {
    use reload_gate_structured::yaml;

    use super::*;

    /// `key: context` of each snippet of a document, with its text.
    fn found(text: &str) -> Vec<(String, String)> {
        let root = yaml::documents(text).next().expect("there is a document").expect("it is YAML").root;
        let kind = root.get("kind").and_then(Node::as_str).expect("it has a kind").to_owned();
        let id = Id { kind, namespace: None, name: "web".to_owned() };
        let shown = |snippet: &Snippet| {
            let node = snippet.node(&root).and_then(Node::as_str).expect("it has a text");
            (format!("{}: {}", snippet.key, snippet.context), node.to_owned())
        };
        Snippet::all(&id, &root).iter().map(shown).collect()
    }

    #[test]
    fn each_object_has_its_snippets() {
        let pair = |key: &str, text: &str| (key.to_owned(), text.to_owned());
        let ingress = "kind: Ingress\nmetadata:\n  annotations:\n    other: x\n    \
                       nginx.ingress.kubernetes.io/server-snippet: a\n    nginx.org/location-snippets: b\n";
        let expected = [
            pair("nginx.ingress.kubernetes.io/server-snippet: http,server", "a"),
            pair("nginx.org/location-snippets: http,server,location", "b"),
        ];
        assert_eq!(found(ingress), expected);
        let server = "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nspec:\n  http-snippets: a\n  routes:\n  - path: /\n  \
                      - location-snippets: b\n";
        let expected = [
            pair("spec.http-snippets: http", "a"),
            pair("spec.routes[1].location-snippets: http,server,location", "b"),
        ];
        assert_eq!(found(server), expected);
        let filter = "apiVersion: gateway.nginx.org/v1alpha1\nkind: SnippetsFilter\nspec:\n  snippets:\n  \
                      - {context: main, value: a}\n  - {context: http.server, value: b}\n";
        assert_eq!(found(filter), [pair("spec.snippets[1].value: http,server", "b")]);
        let stream = "apiVersion: k8s.nginx.org/v1\nkind: TransportServer\nspec: {serverSnippets: a}\n";
        assert_eq!(found(stream), [pair("spec.serverSnippets: stream,server", "a")]);
        assert_eq!(found("apiVersion: v1\nkind: VirtualServer\nspec: {http-snippets: a}\n"), []);
    }
}
