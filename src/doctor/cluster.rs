//! Checks of the rights at the API server. Nothing is changed.

use super::Checks;
use crate::cluster::{ClusterConfig, rights};
use crate::sys::kubernetes::{AccessRight, Connection, RequestError};

/// Remedy where the API server answers with another error than a missing right.
const SERVER_REFUSES: &str = "see the log of the API server for the reason, and run `doctor` again";

/// Asks for each right that the gate needs, and prints the rules of a Role for those that it lacks.
pub(super) async fn examine(cluster: &ClusterConfig, checks: &mut Checks<'_>) {
    let needed = rights::needed(cluster);
    let connection = Connection::new(cluster.access.clone());
    let mut settings: Vec<&'static str> = needed.iter().map(|(setting, _)| *setting).collect();
    settings.dedup();
    for setting in settings {
        let of_setting = needed.iter().filter(|(other, _)| *other == setting).map(|(_, right)| right);
        let of_setting: Vec<AccessRight> = of_setting.cloned().collect();
        match lacking(&connection, &of_setting).await {
            Ok(lacking) if lacking.is_empty() => checks.ok(setting, "the service account has the rights for it"),
            Ok(lacking) => {
                let named: Vec<_> = lacking.iter().map(|right| format!("{} {}", right.verb, right.resource)).collect();
                let message = format!("the service account may not {}{}", named.join(", "), place(&connection).await);
                let help = format!(
                    "bind a Role with these rules to the service account; if there is one, see that `subjects` of its RoleBinding names the account \
                     and its namespace:\n{}",
                    rights::rules(&of_setting)
                );
                checks.fail(setting, message, help);
            }
            Err(error) => {
                let help = cluster.access.remedy(&error);
                checks.fail(setting, error.to_string(), help.unwrap_or_else(|| SERVER_REFUSES.to_owned()));
            }
        }
    }
}

/// Returns the namespace in which the rights are needed.
async fn place(connection: &Connection) -> String {
    let namespace = connection.server().await.map(|server| server.namespace().to_owned());
    namespace.map_or_else(|_| String::new(), |namespace| format!(" in the namespace `{namespace}`"))
}

async fn lacking(connection: &Connection, rights: &[AccessRight]) -> Result<Vec<AccessRight>, RequestError> {
    let server = connection.server().await?;
    let mut lacking = Vec::new();
    for right in rights {
        if !server.may(right).await? {
            lacking.push(right.clone());
        }
    }
    Ok(lacking)
}
