//! Settings of a gate that will run in another place, whose files are unknown here. Pure.

use std::ffi::OsString;
use std::path::Path;

use super::settings::{CONFIG, PRESET};
use super::{ConfigError, Flags, SettingOrigin, UserInput, load, run_flags};

/// Variables of every container that settings depend on, with values that they may have.
const IN_EVERY_POD: [(&str, &str); 3] =
    [("HOSTNAME", "pod"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("KUBERNETES_SERVICE_PORT", "443")];
/// Beginning of a reference that the kubelet replaces in an argument (`third_party/forked/golang/expansion` of Kubernetes).
const REFERENCE: &str = "$(";
/// JSON Schema in place of one that cannot be read here.
const ANY_SCHEMA: &str = "{}";

/// Checks the arguments and variables of a gate in a pod, as the gate does at its start. No file is read. Of arguments with a
/// reference, a configuration file or a preset of the user's own, only the names of the flags are checked: the values are unknown here.
///
/// # Errors
/// All errors at once.
pub fn check_pod_settings(arguments: &[String], variables: &[(String, String)]) -> Result<(), Vec<ConfigError>> {
    let Some(flags) = run_flags(arguments)? else { return Ok(()) };
    if depends_on_unknown(&flags) {
        return Ok(());
    }
    let given = IN_EVERY_POD.into_iter().filter(|(name, _)| variables.iter().all(|(other, _)| other != name));
    let given = given.chain(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let config = load(&UserInput {
        flags,
        variables: given.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect(),
        read: &|_| Ok(ANY_SCHEMA.to_owned()),
        is_directory: &|_| true,
        directory: Path::new("/").to_owned(),
        terminal: false,
    })?;
    if config.once {
        let error = ConfigError::new(SettingOrigin::Flag("once"), "the gate ends after one validation");
        return Err(vec![error.help("remove it: Kubernetes starts a sidecar that ends again")]);
    }
    Ok(())
}

fn depends_on_unknown(flags: &Flags) -> bool {
    let is_file = |name: &str| [CONFIG.spec, PRESET.spec].iter().any(|setting| setting.name == name);
    flags.iter().any(|(setting, value)| is_file(setting.name) || value.contains(REFERENCE))
}
