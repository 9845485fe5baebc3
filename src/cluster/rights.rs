//! The rights that a gate needs at the API server. Pure.

use super::{ClusterConfig, ObjectName};
use crate::sys::kubernetes::AccessRight;

/// Returns the rights that the configuration needs, each with the setting that needs it.
#[must_use]
pub fn needed(config: &ClusterConfig) -> Vec<(&'static str, AccessRight)> {
    let mut rights = Vec::new();
    let of_object = |verb, object: &ObjectName| AccessRight {
        verb,
        group: "",
        resource: object.kind.resource(),
        name: Some(object.name.clone()),
    };
    if let Some(source) = config.source.as_ref().filter(|_| config.nudge) {
        rights.extend(["list", "watch"].map(|verb| ("nudge", of_object(verb, source))));
        let pod = AccessRight { verb: "patch", group: "", resource: "pods", name: Some(config.pod.clone()) };
        rights.push(("nudge", pod));
    }
    if let Some(rollout) = &config.rollout {
        let right = |verb, name| AccessRight { verb, group: "coordination.k8s.io", resource: "leases", name };
        let named = ["get", "list", "watch", "update"].map(|verb| right(verb, Some(rollout.group.clone())));
        rights.extend(named.map(|right| ("rollout", right)));
        // The name of an object that does not exist yet cannot be in a rule.
        rights.push(("rollout", right("create", None)));
    }
    if let Some(known_good) = &config.known_good {
        rights.extend(["get", "update"].map(|verb| ("known-good", of_object(verb, known_good))));
        rights.push(("known-good", AccessRight { name: None, ..of_object("create", known_good) }));
    }
    rights
}

/// Returns the rules of a Role for these rights, as YAML.
#[must_use]
pub fn rules(rights: &[AccessRight]) -> String {
    let mut merged: Vec<(AccessRight, Vec<&str>)> = Vec::new();
    for right in rights {
        // Pods of a Deployment have new names again and again.
        let name = right.name.clone().filter(|_| right.resource != "pods");
        let right = AccessRight { name, ..right.clone() };
        let is_same = |(other, _): &&mut (AccessRight, Vec<&str>)| {
            (other.group, other.resource, &other.name) == (right.group, right.resource, &right.name)
        };
        match merged.iter_mut().find(is_same) {
            Some((_, verbs)) => verbs.push(right.verb),
            None => merged.push((right.clone(), vec![right.verb])),
        }
    }
    let rule = |(right, verbs): &(AccessRight, Vec<&str>)| {
        let names = right.name.as_ref().map_or_else(String::new, |name| format!(", resourceNames: [{name}]"));
        let (group, resource) = (right.group, right.resource);
        format!("- {{ apiGroups: [\"{group}\"], resources: [{resource}]{names}, verbs: [{}] }}", verbs.join(", "))
    };
    merged.iter().map(rule).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_of_one_object_are_one_rule() {
        let right = |verb, name: Option<&str>| AccessRight {
            verb,
            group: "coordination.k8s.io",
            resource: "leases",
            name: name.map(str::to_owned),
        };
        let pod = AccessRight { verb: "patch", group: "", resource: "pods", name: Some("web-0".into()) };
        let rules = rules(&[right("get", Some("web")), right("update", Some("web")), right("create", None), pod]);
        let expected = "- { apiGroups: [\"coordination.k8s.io\"], resources: [leases], resourceNames: [web], verbs: [get, update] }\n\
                        - { apiGroups: [\"coordination.k8s.io\"], resources: [leases], verbs: [create] }\n\
                        - { apiGroups: [\"\"], resources: [pods], verbs: [patch] }";
        assert_eq!(rules, expected);
    }
}
