//! An authority of the webhook's own (`--self-signed`), and its place in the configuration of the API server. IO: asks the API server.
//!
//! Each replica has its own authority, whose key is never stored. It adds its certificate to the `caBundle`, beside those of the other
//! replicas.

use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair as SigningKey,
    KeyUsagePurpose,
};
use serde_json::Value;

use super::certificate::KeyPair;
use crate::sys::kubernetes::{ApiAccess, CLUSTER_WEBHOOKS, ClusterObject, RequestError};

/// Time for which a certificate is valid.
const VALID: Duration = Duration::from_secs(365 * 24 * 3600);

/// Age at which another certificate takes its place.
pub const RENEWAL: Duration = Duration::from_secs(300 * 24 * 3600);

/// Time before the start for which a certificate is valid, since clocks differ.
const EARLIER: Duration = Duration::from_secs(3600);

/// Largest number of authorities in the configuration: those of replicas that are gone stay until others need their place.
const MOST: usize = 20;

/// Number of tries to change the configuration while others change it.
const TRIES: usize = 5;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Authority with the certificate that it signed.
pub struct OwnAuthority {
    /// Certificate of the authority in PEM.
    pub certificate: String,
    /// Certificate of the server, and its key.
    pub server: KeyPair,
}

impl OwnAuthority {
    /// Makes an authority and a certificate for these names of the server.
    ///
    /// # Errors
    /// The reason, such as a name that is none.
    pub fn new(names: Vec<String>) -> Result<Self, String> {
        let said = |error: rcgen::Error| error.to_string();
        let now = SystemTime::now();
        let dated = |mut params: CertificateParams, name: &str| {
            params.not_before = (now - EARLIER).into();
            params.not_after = (now + VALID).into();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut authority = dated(CertificateParams::new(Vec::new()).map_err(said)?, "reload-gate admission authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = SigningKey::generate().map_err(said)?;
        let certificate = authority.self_signed(&key).map_err(said)?.pem();
        let issuer = Issuer::new(authority, key);
        let mut server = dated(CertificateParams::new(names).map_err(said)?, "reload-gate admission");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = SigningKey::generate().map_err(said)?;
        let signed = server.signed_by(&key, &issuer).map_err(said)?;
        let server = KeyPair { certificate: signed.pem().into_bytes(), key: key.serialize_pem().into_bytes() };
        Ok(Self { certificate, server })
    }
}

/// Returns the names by which the API server will know the webhook, by its configuration of this name.
///
/// # Errors
/// When there is no such configuration, or it cannot be read.
pub async fn names(access: &ApiAccess, configuration: &str) -> Result<Vec<String>, RequestError> {
    let server = access.connect().await?;
    let mut names = Vec::new();
    let mut found = 0;
    for kind in CLUSTER_WEBHOOKS {
        match server.get_of_cluster(&kind(), configuration).await {
            Ok(object) => {
                found += 1;
                names.extend(clients(&object).filter_map(name));
            }
            Err(RequestError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    names.sort();
    names.dedup();
    match (found, names.is_empty()) {
        (0, _) => Err(RequestError::NotFound(missing(configuration))),
        (_, true) => Err(RequestError::NotFound(nameless(configuration))),
        _ => Ok(names),
    }
}

/// Returns the reason why no certificate can be made for a configuration, and the remedy.
fn nameless(configuration: &str) -> String {
    format!(
        "no webhook of `{configuration}` has a `clientConfig` with a `service` or a `url`, so the name of the server is unknown\n  \
         help: add `clientConfig.service` with its name and namespace"
    )
}

/// Returns the reason why no configuration has this name, and the remedy.
fn missing(configuration: &str) -> String {
    format!(
        "neither a ValidatingWebhookConfiguration nor a MutatingWebhookConfiguration is called `{configuration}`\n  \
         help: apply the configuration of the webhook first, and name its `metadata.name` with `--self-signed`"
    )
}

fn clients(object: &ClusterObject) -> impl Iterator<Item = &Value> {
    object.data["webhooks"].as_array().into_iter().flatten().map(|webhook| &webhook["clientConfig"])
}

/// Returns the name of the server in a `clientConfig` (`WebhookClientConfig` of Kubernetes' API).
fn name(client: &Value) -> Option<String> {
    let service = &client["service"];
    if let Some((name, namespace)) = service["name"].as_str().zip(service["namespace"].as_str()) {
        return Some(format!("{name}.{namespace}.svc"));
    }
    let rest = client["url"].as_str()?.strip_prefix("https://")?;
    let host = rest.split(['/', '?']).next()?;
    let host = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(host, _)| host);
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// Puts the certificate of an authority into the configuration of this name, unless it is there.
///
/// # Errors
/// When the configuration cannot be read or changed.
pub async fn register(access: &ApiAccess, configuration: &str, certificate: &str) -> Result<(), RequestError> {
    let server = access.connect().await?;
    for kind in CLUSTER_WEBHOOKS.map(|kind| kind()) {
        let mut tries = TRIES;
        loop {
            let mut object = match server.get_of_cluster(&kind, configuration).await {
                Ok(object) => object,
                Err(RequestError::NotFound(_)) => break,
                Err(error) => return Err(error),
            };
            if !add(&mut object, certificate) {
                break;
            }
            match server.replace_of_cluster(&kind, configuration, &object).await {
                Err(RequestError::Conflict(_)) if tries > 1 => tries -= 1,
                changed => {
                    changed?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Adds a certificate to each `caBundle`, and returns true if that changed any.
fn add(object: &mut ClusterObject, certificate: &str) -> bool {
    let mut is_changed = false;
    for webhook in object.data["webhooks"].as_array_mut().into_iter().flatten() {
        let Some(client) = webhook["clientConfig"].as_object_mut() else { continue };
        let encoded = client.get("caBundle").cloned().unwrap_or_default();
        let old: ByteString = serde_json::from_value(encoded).unwrap_or_default();
        let old = String::from_utf8_lossy(&old.0).into_owned();
        if let Some(new) = with(&old, certificate) {
            client
                .insert("caBundle".to_owned(), serde_json::to_value(ByteString(new.into_bytes())).unwrap_or_default());
            is_changed = true;
        }
    }
    is_changed
}

/// Returns a bundle with a further certificate, without the oldest if there are too many; `None` if it is in the bundle already.
fn with(bundle: &str, certificate: &str) -> Option<String> {
    let certificate = certificate.trim();
    let begins = bundle.match_indices(BEGIN).map(|(at, _)| at);
    let begins: Vec<usize> = begins.chain([bundle.len()]).collect();
    let known: Vec<&str> = begins.windows(2).map(|pair| bundle[pair[0]..pair[1]].trim()).collect();
    if known.contains(&certificate) {
        return None;
    }
    let kept = &known[known.len().saturating_sub(MOST - 1)..];
    Some(kept.iter().chain([&certificate]).map(|certificate| format!("{certificate}\n")).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_authority_signs_a_certificate_that_a_server_takes() {
        let names = vec!["admission.reload-gate.svc".to_owned(), "127.0.0.1".to_owned()];
        let own = OwnAuthority::new(names).expect("it is made");
        assert!(own.certificate.starts_with(BEGIN));
        own.server.server().expect("it is fit");
    }

    #[test]
    fn a_bundle_keeps_the_newest_authorities() {
        let one = |name: usize| format!("{BEGIN}\n{name}\n-----END CERTIFICATE-----\n");
        let bundle = with("", &one(0)).expect("it is new");
        assert_eq!(bundle, one(0));
        assert_eq!(with(&bundle, &one(0)), None);
        let many = (1..30).fold(bundle, |bundle, name| with(&bundle, &one(name)).expect("it is new"));
        assert_eq!(many.matches(BEGIN).count(), MOST);
        assert!(many.ends_with(&one(29)) && !many.contains("\n9\n"), "{many}");
    }

    #[test]
    fn the_names_are_those_of_the_service_or_the_url() {
        let named = |client: Value| name(&client);
        let service = json!({"service": {"name": "a", "namespace": "b", "path": "/validate"}});
        assert_eq!(named(service).as_deref(), Some("a.b.svc"));
        for (url, expected) in [
            ("https://127.0.0.1:8443/validate", "127.0.0.1"),
            ("https://[::1]:8443/validate", "::1"),
            ("https://door.example.com/validate?a=b", "door.example.com"),
        ] {
            assert_eq!(named(json!({"url": url})).as_deref(), Some(expected));
        }
        assert_eq!(named(json!({})), None);
    }
}
