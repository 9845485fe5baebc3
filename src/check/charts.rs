//! Helm charts whose templates are not rendered. IO: reads templates.

use std::path::Path;

use super::listing::LARGEST;
use super::placeholder;
use crate::check::render::{CheckSubject, Unchecked};

/// File that makes a directory a Helm chart.
pub(super) const CHART: &str = "Chart.yaml";

/// Reason for which a template is not checked.
pub(super) const TEMPLATE: &str = "it is a template";

/// Reason for which the templates of a chart are not checked.
pub(super) const WHY: &str = "it is a chart of templates";

/// Directories of a chart whose files are not validated.
pub(super) const PARTS: [&str; 2] = ["templates", "charts"];

/// Returns the entry of a chart whose templates are not checked.
pub(super) fn unrendered(chart: &Path) -> Unchecked {
    let subject = CheckSubject::input(&name(chart));
    Unchecked { subject, why: WHY.into(), help: Some(render(chart).into()) }
}

fn name(chart: &Path) -> String {
    if chart.as_os_str().is_empty() { ".".to_owned() } else { chart.to_string_lossy().into_owned() }
}

/// Returns the remedy for a chart that is not rendered.
pub(super) fn render(chart: &Path) -> String {
    format!("render it first: `helm template {} | reload-gate check -`", name(chart))
}

/// Returns the outermost chart that a file is in.
pub(super) fn around(file: &Path) -> Option<&Path> {
    file.ancestors().skip(1).filter(|directory| directory.join(CHART).is_file()).last()
}

/// Returns true for a template of a chart, also for one that is YAML as it is.
pub(super) fn is_template(file: &Path) -> bool {
    let is_below = |chart: &Path| file.strip_prefix(chart).is_ok_and(|inside| inside.starts_with("templates"));
    let charts = file.ancestors().skip(1).filter(|directory| directory.join(CHART).is_file());
    let is_small = || file.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST);
    charts.into_iter().any(is_below)
        && is_small()
        && std::fs::read_to_string(file).is_ok_and(|text| placeholder::is_template(&text))
}
