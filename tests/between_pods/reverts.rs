//! A change back to an earlier revision, and a revision that every gate rejects.

use super::{Cluster, GROUP};
use crate::support::eventually;

/// The digest that an object of the cluster has for people.
fn digest(cluster: &Cluster, object: &str) -> String {
    let path = r"jsonpath={.metadata.annotations.reload-gate\.dev/digest}";
    String::from_utf8_lossy(&cluster.server.kubectl(&["get", object, "-o", path]).stdout).into_owned()
}

fn running(cluster: &Cluster) -> String {
    cluster.pods[0].last("verified").expect("it is verified")["digest"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_revert_is_the_newest_and_the_known_good_revision() {
    let flags = ["--publish", "--known-good", "configmap/web-good", "--cluster-source", "configmap/web"];
    let rollout = ["--rollout", GROUP, "--rollout-soak", "0s", "--rollout-parallel", "1"];
    let Some(mut cluster) = Cluster::start(&[&flags[..], &rollout[..]].concat()) else { return };
    let (missing, code) = cluster.rollout(&["status", "wbe"]);
    assert!(missing.contains("in the namespace `default`") && code == Some(2), "{code:?}: {missing}");
    (0..3).for_each(|_| cluster.add("valid 1"));
    for content in ["valid 1", "valid 2", "valid 1"] {
        cluster.write(content);
        cluster.wait_for_all(content);
        let running = running(&cluster);
        eventually("it is stored", || digest(&cluster, "configmap/web-good") == running);
        eventually("it is the topic", || digest(&cluster, "lease/web") == running);
    }
    assert_eq!(cluster.rollout(&["status", GROUP]).1, Some(0));
    let before = running(&cluster);
    assert_eq!(cluster.rollout(&["status", GROUP, "--after", &before]).1, Some(3));
    cluster.write("wrong");
    eventually("the group knows that it is rejected", || {
        cluster.rollout(&["status", GROUP, "--after", &before]).1 == Some(1)
    });
    let (text, _) = cluster.rollout(&["status", GROUP]);
    assert!(text.contains("is newer, and rejected, first by web-0"), "{text}");
    // A new pod does not start with the withdrawn revision.
    cluster.add("wrong");
    cluster.wait("it runs the known-good", |pods| pods[3].last("verified").is_some());
    assert_eq!(cluster.pods[3].live(), "valid 1", "{}", cluster.story());
}
