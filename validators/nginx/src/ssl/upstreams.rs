//! TLS towards upstreams: `proxy_ssl_…`, `grpc_ssl_…`, `uwsgi_ssl_…` (`ngx_http_proxy_set_ssl()` and its siblings).

use super::openssl;
use super::servers::{file, is_on, lines};
use crate::checker::Checker;
use crate::checker::script;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;

/// Judges the settings of the family `proxy`, `grpc` or `uwsgi` in a block that speaks TLS to an upstream.
pub(crate) fn upstream(checker: &mut Checker<'_>, block: BlockId, family: &str) -> Checked {
    let name = |rest: &str| format!("{family}_ssl_{rest}");
    openssl::ciphers(checker, block, &name("ciphers"))?;
    if let Some(certificate) = lines(checker, block, &name("certificate")).first().filter(|set| !set.word(1).is_empty())
    {
        let keys = lines(checker, block, &name("certificate_key"));
        let Some(key) = keys.first() else {
            let (key, certificate_text) = (name("certificate_key"), certificate.text(1));
            let message = format!("no \"{key}\" is defined for certificate \"{certificate_text}\"");
            return certificate.refuse(1, codes::CERTIFICATE_WITHOUT_KEY, message);
        };
        if script::variables(certificate.word(1)) == 0 && script::variables(key.word(1)) == 0 {
            file(checker, certificate, "certificate");
            file(checker, key, "certificate key");
        }
    }
    verification(checker, block, family)?;
    openssl::commands(checker, block, &name("conf_command"))
}

/// Checks the verification of an upstream's certificate.
fn verification(checker: &mut Checker<'_>, block: BlockId, family: &str) -> Checked {
    let name = |rest: &str| format!("{family}_ssl_{rest}");
    let verify = name("verify");
    if !is_on(checker, block, &verify) {
        return Ok(());
    }
    let trusted = lines(checker, block, &name("trusted_certificate"));
    let Some(trusted) = trusted.first().filter(|set| !set.word(1).is_empty()) else {
        let message = format!("no {} for {verify}", name("trusted_certificate"));
        return match checker.effective(block, &verify) {
            Some(verify) => verify.refuse(0, codes::NO_TRUSTED_CERTIFICATE, message),
            None => Ok(()),
        };
    };
    file(checker, trusted, "certificate");
    lines(checker, block, &name("crl")).iter().for_each(|crl| file(checker, crl, "file"));
    Ok(())
}
