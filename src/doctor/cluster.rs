//! Checks of the rights at the API server. Nothing is changed.

use super::{CheckStatus, Checks};
use crate::cluster::{ClusterConfig, rights};
use crate::sys::kubernetes::{AccessRight, Connection};

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
                let message = format!("the service account may not {}", named.join(", "));
                let help = format!("add these rules to a Role of the service account:\n{}", rights::rules(&of_setting));
                checks.add(setting, CheckStatus::Fail, message, Some(help));
            }
            Err(error) => {
                let help =
                    "mount the token of a service account, and let this pod reach the API server (network policies)";
                checks.add(setting, CheckStatus::Fail, error, Some(help.into()));
            }
        }
    }
}

async fn lacking(connection: &Connection, rights: &[AccessRight]) -> Result<Vec<AccessRight>, String> {
    let server = connection.server().await.map_err(|error| error.to_string())?;
    let mut lacking = Vec::new();
    for right in rights {
        if !server.may(right).await.map_err(|error| error.to_string())? {
            lacking.push(right.clone());
        }
    }
    Ok(lacking)
}
